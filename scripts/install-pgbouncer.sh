#!/usr/bin/env bash
# Unpacks PgBouncer from Debian's unstable suite into .tidegate/pgbouncer: the release's own (1.18)
# carries no prepared statements in transaction pooling, so that there would be nothing to compare
# with. Without it, benches take the release's.
set -uo pipefail
. "$(dirname "$0")/apt.sh"
. "$(dirname "$0")/suite.sh"

suite=unstable
tree=$state/pgbouncer
what="PgBouncer of the unstable suite"

if [ -x "$tree/bin/pgbouncer" ]; then exit 0; fi
unpack pgbouncer
wrap pgbouncer usr/sbin/pgbouncer '"$@"'
version=$("$unpacked/bin/pgbouncer" --version 2>&1) || skip "it does not run: $version"
settle
say "${version%%$'\n'*}"
