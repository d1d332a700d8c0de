#!/usr/bin/env bash
# Unpacks Prometheus and Alertmanager of the Debian release into .tidegate/prometheus: what the boards and
# alerts are tested with. Unpacked and not installed, because the packages would make accounts and enable
# services. All that they need beside themselves is two templates that Debian's Alertmanager reads from one place alone.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

tree=$state/prometheus
templates=/usr/share/prometheus/alertmanager
if [ -x "$tree/bin/prometheus" ] && [ -x "$tree/bin/amtool" ] && [ -e $templates/email.tmpl ]; then exit 0; fi
command -v apt-get >/dev/null || { say "needs apt-get, for the packages prometheus and prometheus-alertmanager" >&2; exit 1; }

packages=(prometheus prometheus-alertmanager)
work=$(mktemp -d "$tree.XXXXXX")
trap 'rm -rf "$work"' EXIT
# apt-get drops to an account that may not write to the folder, and says so.
download() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "${packages[@]}" >"$state/apt.log" 2>&1); }

say "${packages[*]} into ${tree#"$root/"}"
download || { apt_update && download; } || { tail -n 5 "$state/apt.log" >&2; exit 1; }
for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$work/unpacked"
done
as_root install -D -m 644 -t $templates "$work/unpacked$templates"/*.tmpl
mkdir "$work/tree"
mv "$work/unpacked/usr/bin" "$work/tree/bin"
mv "$work/tree/bin/prometheus-alertmanager" "$work/tree/bin/alertmanager"
"$work/tree/bin/prometheus" --version 2>&1 | head -n 1
"$work/tree/bin/promtool" --version >/dev/null
rm -rf "$tree"
mv "$work/tree" "$tree"
