# shellcheck shell=bash
# What the scripts share: Debian packages and the Python environment. To be sourced at the checkout's root.
#
#   prepare_debian WORD...   install what scripts/debian-packages lists for these words and this host lacks
#   prepare_venv LOCK...     make .venv from the first LOCK, unless it was made from one of them as they are now
#   prepare_axe              put axe-core, which looks at pages in a browser, into .cache/axe
#   as_root COMMAND...       run it as root: directly, or by sudo
#   is_root_possible         whether as_root can work without asking for a password in the middle of a run
#   fail TEXT                say it and end
#
# Nothing is installed twice, no service is started (nor will be at the next boot), no other package is removed. Output of the package
# tools goes to .cache/prepare.log and is shown when they fail.

prepare_log=.cache/prepare.log
policy_rc=/usr/sbin/policy-rc.d

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "${0##*/}: $*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

is_root_possible() {
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -v 2>/dev/null; }
}

# Run a package tool quietly; when it fails, show its last words.
logged() {
    mkdir -p .cache
    if ! "$@" >"$prepare_log" 2>&1 </dev/null; then
        tail -n 20 "$prepare_log" >&2
        fail "failed: $*"
    fi
}

# Print the packages listed for the given words that are not installed, one a line.
missing_packages() {
    local word package _
    while read -r word package _; do
        case " $* " in
            *" $word "*)
                dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
                    printf '%s\n' "$package"
                ;;
        esac
    done <scripts/debian-packages
}

prepare_debian() {
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian; install by hand what scripts/debian-packages names for: $*"
    local missing removed
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    is_root_possible || fail "that needs root. Mend: sudo apt-get install ${missing[*]}"
    mkdir -p .cache
    # A list that cannot be renewed (a third-party source is down) is no reason to stop: the install will tell.
    as_root apt-get -q update >"$prepare_log" 2>&1 </dev/null || say "apt-get update failed, going on with the lists there are"
    logged apt-get --simulate --no-install-recommends install "${missing[@]}"
    removed=$(sed -n 's/^Remv \([^ ]*\).*/\1/p' "$prepare_log" | paste -sd ' ')
    [ -z "$removed" ] || fail "installing what is missing would remove: $removed. Nothing was changed.
Postroom works with Postfix; a host has one mail server. Mend: use a host without the other one, or remove it yourself."
    (
        # A subshell, so that its traps take away what it put in place, however it ends.
        trap 'exit 130' INT TERM HUP
        trap 'as_root rm -f "$policy_rc.postroom"; [ -z "${ours-}" ] || as_root rm -f "$policy_rc"' EXIT
        # No service starts: Postfix would listen on all interfaces (invoke-rc.d(8), policy-rc.d). One that
        # somebody else put there stays; one that a killed run of ours left is ours to take away.
        if ! [ -e "$policy_rc" ] || grep -qs 'postroom scripts/prepare.sh' "$policy_rc"; then
            ours=yes
            printf '#!/bin/sh\n# Left by postroom scripts/prepare.sh if you see this; remove it.\nexit 101\n' |
                as_root tee "$policy_rc.postroom" >/dev/null
            as_root chmod 0755 "$policy_rc.postroom"
            as_root mv "$policy_rc.postroom" "$policy_rc"
        fi
        case " ${missing[*]} " in
            # "No configuration" leaves /etc/postfix without a main.cf, so that Postfix does not start at boot either.
            *' postfix '*)
                printf 'postfix postfix/main_mailer_type select No configuration\n' | as_root debconf-set-selections
                ;;
        esac
        logged as_root env DEBIAN_FRONTEND=noninteractive apt-get -q --yes --no-remove --no-install-recommends \
            install "${missing[@]}"
        case " ${missing[*]} " in
            # Here for its program alone; its service would be there after the next boot.
            *' opendkim '*) ! command -v systemctl >/dev/null || logged as_root systemctl disable opendkim ;;
        esac
    ) || exit
}

# Debian's own Python when it is new enough, else the first python3 on the PATH.
pick_python() {
    local python
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    fail "no Python of version 3.11 or newer. Mend: use Debian 12 or newer, or put one on the PATH as python3."
}

# What a .venv made from this lock by this Python is known by.
venv_stamp() {
    printf '%s %s\n' "$("$1" -c 'import sys; print(sys.executable, sys.version.split()[0])')" "$(sha256sum <"$2")"
}

# Pinned with its hash in scripts/axe/package-lock.json. Debian's npm is taken where there is none of another origin:
# the two exclude each other.
prepare_axe() {
    cmp -s scripts/axe/package-lock.json .cache/axe/package-lock.json && [ -d .cache/axe/node_modules ] && return
    command -v npm >/dev/null || prepare_debian npm
    rm -rf .cache/axe
    mkdir -p .cache
    cp -r scripts/axe .cache/axe
    logged npm ci --prefix .cache/axe --ignore-scripts --no-audit --no-fund
}

prepare_venv() {
    local python lock
    python=$(pick_python) || exit
    for lock in "$@"; do
        if [ "$(venv_stamp "$python" "$lock")" = "$(cat .venv/postroom.stamp 2>/dev/null)" ]; then return; fi
    done
    say "making .venv from $1"
    logged "$python" -m venv --clear .venv
    logged .venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --requirement "$1"
    # Last, so that an interrupted run makes it again.
    venv_stamp "$python" "$1" >.venv/postroom.stamp
}
