#!/usr/bin/env bash
# Renews what the live page draws its charts with: uPlot, from its npm package, into guard/assets/uplot, with its
# licence. Another version: change both lines below; npm prints the checksum as `dist.integrity`.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.6.32
integrity=sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "uplot@$version" >/dev/null)
found=sha512-$(openssl dgst -sha512 -binary "$work/uplot-$version.tgz" | base64 -w0)
[ "$found" = "$integrity" ] || { echo "uplot $version has another checksum: $found" >&2; exit 1; }
tar -xzf "$work/uplot-$version.tgz" -C "$work"
mkdir -p guard/assets/uplot
cp "$work"/package/dist/uPlot.iife.min.js "$work"/package/dist/uPlot.min.css "$work"/package/LICENSE guard/assets/uplot/
