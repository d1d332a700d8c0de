#!/usr/bin/env bash
# Unpacks MySQL from Debian's unstable suite into .tidegate/mysql-9.7. This is the extended matrix:
# without it, the tests say what they did not run.
set -uo pipefail
. "$(dirname "$0")/apt.sh"
. "$(dirname "$0")/suite.sh"

suite=unstable
tree=$state/mysql-9.7
what="MySQL 9.7, the extended matrix"

if [ -x "$tree/bin/mysqld" ]; then exit 0; fi
unpack mysql-server-core mysql-client
wrap mysql usr/bin/mysql '"$@"'
# `--no-defaults` has to come first, and the folders compiled in are those of an installed system.
wrap mysqld usr/sbin/mysqld '--no-defaults --basedir="$tree/usr" --lc-messages-dir="$tree/usr/share/mysql" --plugin-dir="$tree/usr/lib/mysql/plugin" "$@"'

version=$("$unpacked/bin/mysqld" --version 2>&1) || skip "mysqld does not run: $version"
case $version in
    *" 9.7."*) ;;
    *) say "note: the matrix was written against 9.7; this is ${version##*mysqld }" >&2 ;;
esac
settle
say "${version##*mysqld }"
