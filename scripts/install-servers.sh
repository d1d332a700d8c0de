#!/usr/bin/env bash
# Installs MariaDB from the Debian release: all that `make demo` needs beside the Rust toolchain.
# The tests start servers of their own; the system's service is neither started nor enabled.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

apt_install gcc libc6-dev make mariadb-server mariadb-client
