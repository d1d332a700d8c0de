#!/usr/bin/env bash
# Installs the clients of the test matrix: sysbench and psql from Debian (pgbench came with the server),
# and HAProxy and PgBouncer beside them to compare with; the Python drivers into a virtual environment,
# an exporter for PgBouncer's console beside them, the JavaScript drivers from npm, all at the versions
# pinned beside this script.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

here=$root/scripts

apt_install mariadb-client postgresql-client-15 sysbench haproxy pgbouncer \
    python3 python3-venv python3-dev libmariadb-dev gcc libc6-dev pkg-config
command -v npm >/dev/null || apt_install nodejs npm

# fresh STAMP FILE...: whether what STAMP records was made from FILEs as they are now.
fresh() { [ -e "$1" ] && [ "$(cat "$1")" = "$(sha256sum "${@:2}" | sha256sum)" ]; }
stamp() { sha256sum "${@:2}" | sha256sum >"$1"; }

python_clients() {
    local venv=$state/python
    if fresh "$venv/.installed" "$here/requirements.txt"; then return; fi
    say "python clients into ${venv#"$root/"}"
    rm -rf "$venv"
    # Debian's own interpreter by its full name: one earlier in PATH (pyenv) may lack headers.
    env -u PYTHONHOME -u PYTHONPATH /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps --requirement "$here/requirements.txt"
    "$venv/bin/pip" check >/dev/null
    stamp "$venv/.installed" "$here/requirements.txt"
}

# The exporter pins versions of its own, so it has a folder beside the environment.
exporter() {
    local folder=$state/exporter
    if fresh "$folder/.installed" "$here/requirements-exporter.txt"; then return; fi
    say "an exporter for PgBouncer into ${folder#"$root/"}"
    rm -rf "$folder"
    "$state/python/bin/pip" install --quiet --no-deps --use-pep517 --target "$folder" \
        --requirement "$here/requirements-exporter.txt"
    stamp "$folder/.installed" "$here/requirements-exporter.txt"
}

node_clients() {
    local node=$state/node
    if fresh "$node/.installed" "$here/package.json" "$here/package-lock.json"; then return; fi
    say "node clients into ${node#"$root/"}"
    mkdir -p "$node"
    cp "$here/package.json" "$here/package-lock.json" "$node/"
    (cd "$node" && npm ci --silent --no-audit --no-fund --ignore-scripts)
    stamp "$node/.installed" "$here/package.json" "$here/package-lock.json"
}

python_clients
exporter
node_clients
