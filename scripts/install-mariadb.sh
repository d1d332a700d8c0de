#!/usr/bin/env bash
# Unpacks the MariaDBs that the Debian release does not have from its older and its newer suite into
# .tidegate/mariadb-VERSION. This is the extended matrix: without it, the tests say what they did not run.
set -uo pipefail
. "$(dirname "$0")/apt.sh"
. "$(dirname "$0")/suite.sh"

# install VERSION SUITE PACKAGE...: in a subshell, so that a skip is this one's only.
install() (
    release=$1 suite=$2
    shift 2
    tree=$state/mariadb-$release
    what="MariaDB $release, the extended matrix"
    if [ -x "$tree/bin/mariadbd" ]; then exit 0; fi
    unpack "$@"
    wrap mariadb usr/bin/mariadb '"$@"'
    # `--no-defaults` has to come first, and the folders compiled in are those of an installed system.
    mv "$unpacked/usr/share/mariadb" "$unpacked/usr/share/mysql" 2>/dev/null
    wrap mariadbd usr/sbin/mariadbd '--no-defaults --basedir="$tree/usr" --lc-messages-dir="$tree/usr/share/mysql" --plugin-dir="$tree/usr/lib/mysql/plugin" "$@"'
    make_data
    version=$("$unpacked/bin/mariadbd" --version 2>&1) || skip "mariadbd does not run: $version"
    settle
    say "${version##*mariadbd }"
)

# make_data: bin/mariadb-make-data makes a data folder, as the package's own script does with
# programs that cannot run here.
make_data() {
    cat >"$unpacked/bin/mariadb-make-data" <<'END'
#!/bin/sh
# Arguments are the server's. Root has no password, and there is nobody else.
tree=$(cd "$(dirname "$0")/.." && pwd)
share=$tree/usr/share/mysql
{
    # A line each: while it is bootstrapped, a server reads no further.
    echo 'CREATE DATABASE IF NOT EXISTS mysql;'
    echo 'USE mysql;'
    echo 'SET @skip_auth_anonymous=1;'
    echo 'SET @auth_root_socket=NULL;'
    # Those of 10.5 have mysql in their names, and no schema sys.
    cat "$share"/*_system_tables.sql "$share"/*_performance_tables.sql
    sed '/@current_hostname/d' "$share"/*_system_tables_data.sql
    cat "$share"/*_sys_schema.sql 2>/dev/null
} | "$tree/bin/mariadbd" --bootstrap --log-warnings=0 --enforce-storage-engine= --max-allowed-packet=8M "$@"
END
    chmod +x "$unpacked/bin/mariadb-make-data"
}

install 10.5 bullseye mariadb-server-10.5 mariadb-client-10.5
install 11.8 trixie mariadb-server mariadb-client
