#!/usr/bin/env bash
# Makes a Debian package: the program, its unit, a configuration to begin with, manual pages, completions and
# docs. Prints its path.
#
#   scripts/build-deb.sh [PROGRAM [FOLDER]]
#
# PROGRAM is a built `tidegate`, by default that of `cargo build --release`; FOLDER is where the package goes.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
program=${1:-$target/release/tidegate}
out=${2:-$target}
[ -x "$program" ] || { echo "there is no program at $program: run cargo build --release" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
version=$("$program" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
# It is linked with the C library of the machine that it was built on, or runs with a newer one.
libc=$(dpkg-query --show --showformat '${source:Upstream-Version}' libc6)

put() { install -D -m "$1" "$2" "$root/$3"; }
install -D -m 755 "$program" "$root/usr/bin/tidegate"
strip --strip-debug "$root/usr/bin/tidegate"
put 644 examples/tidegate.service usr/lib/systemd/system/tidegate.service
# Passwords are not in here but in /etc/tidegate/environment, which only root reads.
put 644 examples/tidegate.toml etc/tidegate/tidegate.toml

"$program" manuals "$root/usr/share/man/man1" >/dev/null
gzip --best --no-name "$root"/usr/share/man/man1/*
mkdir -p "$root"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
"$program" completions bash >"$root/usr/share/bash-completion/completions/tidegate"
"$program" completions zsh >"$root/usr/share/zsh/vendor-completions/_tidegate"
"$program" completions fish >"$root/usr/share/fish/vendor_completions.d/tidegate.fish"

docs=usr/share/doc/tidegate
for page in README.md CHANGELOG.md docs/*.md; do put 644 "$page" "$docs/$(basename "$page")"; done
cat LICENSE-APACHE LICENSE-MIT >"$root/$docs/copyright"

mkdir "$root/DEBIAN"
echo /etc/tidegate/tidegate.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: tidegate
Version: $version
Architecture: $architecture
Maintainer: The Tidegate authors <tidegate@localhost>
Installed-Size: $(du --summarize --block-size=1024 "$root/usr" | cut -f 1)
Depends: libc6 (>= $libc), libgcc-s1
Section: database
Priority: optional
Description: keeps a MySQL, MariaDB or PostgreSQL primary from tipping over
 A proxy that stands before the primary and lets in what it can carry, with time
 limits that cancel, and a scheduler that spreads batches. The unit is not
 started before it is told which database to guard.
CONTROL

mkdir -p "$out"
dpkg-deb --root-owner-group -Zgzip --build "$root" "$out/tidegate_${version}_$architecture.deb" >/dev/null
echo "$out/tidegate_${version}_$architecture.deb"
