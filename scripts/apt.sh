# Sourced by the install scripts: Debian packages, without ever starting a service.
#
# A database server that its package starts would sit on the default port and could be taken for
# the one under test, so a policy-rc.d that forbids starting stands while packages are installed,
# and the services they enable are disabled again. What was there before is left as it was.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/.tidegate
mkdir -p "$state"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# apt_update: fetch the package lists, once per run of `make`.
apt_update() {
    if [ -z "${TIDEGATE_APT_UPDATED:-}" ]; then
        say "apt-get update"
        as_root apt-get update -qq
        export TIDEGATE_APT_UPDATED=1
    fi
}

# apt_install PACKAGE...: install those that are missing; says nothing when none is.
apt_install() {
    local missing=() package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || { say "needs Debian packages: ${missing[*]}" >&2; return 1; }
    apt_update
    say "apt-get install ${missing[*]}"
    forbid_services
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$state/apt.log" 2>&1 ||
        { allow_services; tail -n 20 "$state/apt.log" >&2; return 1; }
    allow_services
    disable_services "${missing[@]}"
}

policy=/usr/sbin/policy-rc.d
forbade=no

forbid_services() {
    if [ ! -e $policy ]; then
        forbade=yes
        trap allow_services EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod +x $policy
    fi
}

allow_services() {
    if [ $forbade = yes ]; then
        as_root rm -f $policy
        forbade=no
    fi
}

# disable_services PACKAGE...: of the packages just installed, keep the daemons off at boot.
disable_services() {
    local package
    command -v systemctl >/dev/null || return 0
    for package in "$@"; do
        case $package in
            mariadb-server) as_root systemctl disable mariadb.service >/dev/null 2>&1 || true ;;
            postgresql-15) as_root systemctl disable postgresql.service >/dev/null 2>&1 || true ;;
            pgbouncer) as_root systemctl disable pgbouncer.service >/dev/null 2>&1 || true ;;
            redis-server) as_root systemctl disable redis-server.service >/dev/null 2>&1 || true ;;
            haproxy) as_root systemctl disable haproxy.service >/dev/null 2>&1 || true ;;
        esac
    done
}
