# Sourced, behind apt.sh, by the scripts that unpack programs of another suite of Debian's beside the
# system and without root: with their own C library, so that nothing of the release is touched.
#
# $suite is which, $tree where to, $what is named when it cannot be had. A suite may move, or be out of
# reach: any failure is a loud skip, and ends the (sub)shell with 0; whoever wants the program says again
# that it is missing.

skip() {
    printf '\n*** SKIPPED: no %s: %s ***\n\n' "$what" "$*" >&2
    rm -rf "$work"
    exit 0
}

# mirror: the archive this machine's own apt uses for the Debian release.
mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian" { print $2; exit }'
}

# unpack PACKAGE...: those and what they depend on, into $unpacked.
unpack() {
    work=$(mktemp -d "$tree.XXXXXX")
    unpacked=$work/unpacked
    command -v apt-get >/dev/null || skip "apt-get is missing"
    if [ -z "$(mirror)" ]; then apt_update || skip "apt-get update failed"; fi
    local uri own keyring=/usr/share/keyrings/debian-archive-keyring.gpg package
    uri=$(mirror)
    [ -n "$uri" ] || skip "apt names no Debian mirror"

    say "$what from the suite $suite into ${tree#"$root/"}"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$unpacked/bin"
    echo "deb [signed-by=$keyring] $uri $suite main" >"$work/sources.list"
    own=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
        -o Dir::State::status=/dev/null -o APT::Install-Recommends=false
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1)
    apt-get "${own[@]}" update >"$work/log" 2>&1 || skip "$(tail -n 1 "$work/log")"
    apt-get "${own[@]}" -y -d install "$@" >>"$work/log" 2>&1 || skip "$(tail -n 1 "$work/log")"
    for package in "$work"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$unpacked" || skip "cannot unpack $(basename "$package")"
    done
    # Before trixie, some packages still have their files in /lib.
    loader=$(cd "$unpacked" && find usr/lib* lib* -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
    libraries=$(cd "$unpacked" && find usr/lib lib -maxdepth 2 -name 'libc.so.6' -printf '%h\n' 2>/dev/null |
        head -n 1)
    [ -n "$loader" ] && [ -n "$libraries" ] || skip "the packages bring no C library"
}

# wrap NAME PROGRAM ARGUMENTS: bin/NAME runs PROGRAM. The loader and the libraries are the unpacked
# ones, by name: the machine's own may be older.
wrap() {
    printf '#!/bin/sh\ntree=$(cd "$(dirname "$0")/.." && pwd)\n' >"$unpacked/bin/$1"
    printf 'exec "$tree/%s" --library-path "$tree/%s:$tree/usr/%s" "$tree/%s" %s\n' \
        "$loader" "$libraries" "${libraries#usr/}" "$2" "$3" >>"$unpacked/bin/$1"
    chmod +x "$unpacked/bin/$1"
}

# settle: what was unpacked takes its place.
settle() {
    rm -rf "$tree"
    mv "$unpacked" "$tree"
    rm -rf "$work"
}
