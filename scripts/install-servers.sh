#!/usr/bin/env bash
# Installs MariaDB and PostgreSQL from the Debian release: all that `make demo` needs beside the Rust
# toolchain. The tests start servers of their own; the system's services are neither started nor
# enabled.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

# The package would make and start a cluster of its own, unless told before it is installed.
no_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf
    if installed postgresql-15; then return; fi
    apt_install postgresql-common
    as_root sed -i "s/^#\?create_main_cluster.*/create_main_cluster = false/" $conf
    grep -q '^create_main_cluster = false' $conf
}

apt_install gcc libc6-dev make mariadb-server mariadb-client
no_cluster
apt_install postgresql-15 postgresql-client-15
