#!/usr/bin/env bash
# Installs what the live page is tested with: Chromium from Debian, and axe, which looks for what keeps people from
# using a page, from npm into .tidegate/axe. Another axe: change both lines; npm prints the checksum as
# `dist.integrity`.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

version=4.14.1
integrity=sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==

apt_install chromium fonts-dejavu-core
axe=$state/axe
if [ "$(cat "$axe/.installed" 2>/dev/null || true)" = "$integrity" ]; then exit 0; fi
command -v npm >/dev/null || apt_install nodejs npm
command -v openssl >/dev/null || apt_install openssl
say "axe into ${axe#"$root/"}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "axe-core@$version" >/dev/null)
found=sha512-$(openssl dgst -sha512 -binary "$work/axe-core-$version.tgz" | base64 -w0)
[ "$found" = "$integrity" ] || { say "axe-core $version has another checksum: $found" >&2; exit 1; }
tar -xzf "$work/axe-core-$version.tgz" -C "$work"
rm -rf "$axe"
mkdir -p "$axe"
cp "$work/package/axe.min.js" "$work/package/LICENSE" "$axe/"
printf '%s' "$integrity" >"$axe/.installed"
