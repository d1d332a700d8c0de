#!/usr/bin/env bash
# Installs what the tests of sinks send to: Redis and Sidekiq from Debian, never started as services,
# and the reference library of Standard Webhooks for Python in an environment of its own.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

here=$root/scripts

apt_install redis-server ruby ruby-sidekiq python3 python3-venv

venv=$state/sinks
pinned=$(sha256sum "$here/requirements-sinks.txt")
if [ "$(cat "$venv/.installed" 2>/dev/null || true)" != "${pinned%% *}" ]; then
    say "standardwebhooks into ${venv#"$root/"}"
    rm -rf "$venv"
    env -u PYTHONHOME -u PYTHONPATH /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps --requirement "$here/requirements-sinks.txt"
    printf '%s' "${pinned%% *}" >"$venv/.installed"
fi
