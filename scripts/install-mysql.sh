#!/usr/bin/env bash
# Unpacks MySQL from Debian's unstable suite into .tidegate/mysql-9.7, beside the system and without
# root: with its own C library, so that nothing of the release is touched.
#
# This is the extended matrix. The unstable suite moves and may be out of reach, so that any failure
# is a loud skip and the exit code stays 0: the tests say again what they did not run.
set -uo pipefail
. "$(dirname "$0")/apt.sh"

tree=$state/mysql-9.7

skip() {
    printf '\n*** extended matrix SKIPPED: no MySQL 9.7: %s ***\n\n' "$*" >&2
    rm -rf "$work"
    exit 0
}

# mirror: the archive this machine's own apt uses for the Debian release.
mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian" { print $2; exit }'
}

if [ -x "$tree/bin/mysqld" ]; then exit 0; fi
work=$(mktemp -d "$state/mysql.XXXXXX")

command -v apt-get >/dev/null || skip "apt-get is missing"
if [ -z "$(mirror)" ]; then apt_update || skip "apt-get update failed"; fi
uri=$(mirror)
[ -n "$uri" ] || skip "apt names no Debian mirror"

say "MySQL from the unstable suite into ${tree#"$root/"}"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $uri unstable main" >"$work/sources.list"
own=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
    -o Dir::State::status=/dev/null -o APT::Install-Recommends=false
    -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1)
apt-get "${own[@]}" update >"$work/log" 2>&1 || skip "$(tail -n 1 "$work/log")"
apt-get "${own[@]}" -y -d install mysql-server-core mysql-client >>"$work/log" 2>&1 ||
    skip "$(tail -n 1 "$work/log")"
for package in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$work/unpacked" || skip "cannot unpack $(basename "$package")"
done

# The loader and the libraries are the unpacked ones, by name: the machine's own may be older.
unpacked=$work/unpacked
loader=$(cd "$unpacked" && find usr/lib* -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
libraries=$(cd "$unpacked" && find usr/lib -maxdepth 2 -name 'libc.so.6' -printf '%h\n' | head -n 1)
[ -n "$loader" ] && [ -n "$libraries" ] || skip "the packages bring no C library"
mkdir -p "$unpacked/bin"
wrap() {
    printf '#!/bin/sh\ntree=$(cd "$(dirname "$0")/.." && pwd)\n' >"$unpacked/bin/$1"
    printf 'exec "$tree/%s" --library-path "$tree/%s" "$tree/%s" %s\n' \
        "$loader" "$libraries" "$2" "$3" >>"$unpacked/bin/$1"
    chmod +x "$unpacked/bin/$1"
}
wrap mysql usr/bin/mysql '"$@"'
# `--no-defaults` has to come first, and the folders compiled in are those of an installed system.
wrap mysqld usr/sbin/mysqld '--no-defaults --basedir="$tree/usr" --lc-messages-dir="$tree/usr/share/mysql" --plugin-dir="$tree/usr/lib/mysql/plugin" "$@"'

version=$("$unpacked/bin/mysqld" --version 2>&1) || skip "mysqld does not run: $version"
case $version in
    *" 9.7."*) ;;
    *) say "note: the matrix was written against 9.7; this is ${version##*mysqld }" >&2 ;;
esac
rm -rf "$tree"
mv "$unpacked" "$tree"
rm -rf "$work"
say "${version##*mysqld }"
