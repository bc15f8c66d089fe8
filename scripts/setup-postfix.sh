#!/bin/bash
# scripts/setup-postfix.sh --domain DOMAIN [OPTIONS]: set up Postroom beside the Postfix of this host (Debian 12 or newer).
#
#   --domain DOMAIN      whose mail is signed: the domain of From
#   --hostname NAME      this host's full name; without it Postfix's myhostname
#   --dry-run            show every file as a diff and every command, and change nothing
#   --wheelhouse DIR     wheels that scripts/wheelhouse built elsewhere; without it they are built here, and what they
#                        are built with is removed again
#   --return-path DOMAIN a name of its own below DOMAIN, such as bounces.example.org, where mails that bounce later come to
#                        and Postroom reads them; needs an MX record that leads here. Without it they go to a mailbox.
#                        Only for the first configuration: from then on postroom.yaml tells
#   --queue-readers USERS who may list Postfix's queue beside root, as in root,anna: the queue shows everybody's
#                        recipients and return addresses. Without it everybody may, or who may now; `everybody` gives
#                        main.cf its own line back. Their mailq(1) and postqueue(1) then fail for all others
#   --no-sendmail-door   leave the mail of sendmail(1) alone
#   --selector NAME      of the signing key; without it year and month
#   --recipient ADDRESS  who gets the test mails; without it root on this host
#   --no-test-mail       send none
#
# Checks Postfix first; then installs the program into /opt/postroom, users, folders and units, makes configuration,
# store and signing key where there are none, starts the daemons, writes them into main.cf and master.cf, and sends a
# mail through each door. Run it again at any time: what is done is not done twice. scripts/uninstall.sh undoes it.
# docs/setup.md tells what is changed. Needs root. Exit: 0 all well, 1 a finding, 2 usage.
set -euo pipefail
given=() dry_run='' wheelhouse=''
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --wheelhouse) wheelhouse=$(realpath "${2:?--wheelhouse needs a folder}"); shift 2 ;;
        --dry-run) dry_run=yes; given+=("$1"); shift ;;
        *) given+=("$1"); shift ;;
    esac
done
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/prepare.sh

program=/opt/postroom
[ "$(id -u)" = 0 ] || fail "needs root. Mend: run it with sudo."
[ -x /usr/sbin/postconf ] || fail "/usr/sbin/postconf is not there. Mend: install Postfix and see that its mail goes out, or link its commands to /usr/sbin; then come back."
command -v python3 >/dev/null || { [ -z "$dry_run" ] || fail "needs python3 to show what it would do. Mend: apt-get install python3"; prepare_debian host; }
python=$(pick_python)
setup() { PYTHONPATH=daemons PYTHONDONTWRITEBYTECODE=1 "$python" -m postroom.setup "$@"; }

setup check "${given[@]}"

# What the program is made of, and the Python it runs on.
stamp() {
    find daemons templates postfix-conf systemd setup.py requirements.lock -type f ! -name '*.pyc' -print0 | sort -z |
        xargs -0 sha256sum | sha256sum | cut -d' ' -f1
    "$python" -VV
}

# Give back a host without the packages that were not there before.
without_new_packages() {
    local new
    mapfile -t new < <(comm -13 "$1" <(dpkg-query --show --showformat='${Package}\n' | sort -u))
    [ ${#new[@]} = 0 ] || {
        say "removing what the wheels were built with"
        logged env DEBIAN_FRONTEND=noninteractive apt-get -q --yes purge "${new[@]}"
    }
}

install_program() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder as it is now
    trap "rm -rf '$work'" EXIT
    prepare_debian host
    if [ -z "$wheelhouse" ]; then
        dpkg-query --show --showformat='${Package}\n' | sort -u >"$work/before"
        # shellcheck disable=SC2064
        trap "without_new_packages '$work/before'; rm -rf '$work'" EXIT
        scripts/wheelhouse "$work/wheels"
        without_new_packages "$work/before"
        wheelhouse=$work/wheels
    fi
    say "installing the program into $program"
    # Beside it first: what runs goes on with the old one until the new one is whole.
    rm -rf "$program.new"
    logged "$python" -m venv "$program.new"
    logged "$program.new/bin/python" -m pip --disable-pip-version-check install --quiet --no-index --find-links "$wheelhouse" postroom
    logged "$program.new/bin/python" -c 'import Milter, systemd.journal, apsw'
    # Scripts name the Python they were made for; links to it stay links.
    find "$program.new/bin" -type f -exec sed -i "s|$program\.new|$program|g" {} +
    stamp >"$program.new/postroom.stamp"
    rm -rf "$program.old"
    [ ! -e "$program" ] || mv "$program" "$program.old"
    mv "$program.new" "$program"
    rm -rf "$program.old" "$work"
    trap - EXIT
}

if [ "$(stamp)" != "$(cat $program/postroom.stamp 2>/dev/null)" ]; then
    if [ -n "$dry_run" ]; then
        echo "# $program: would be made from ${wheelhouse:-wheels built here, with packages that are removed again}"
    else
        install_program
    fi
    given+=(--new-program)
fi
setup install "${given[@]}"
