#!/bin/bash
# scripts/uninstall.sh [--dry-run] [--purge] [--wait SECONDS]: take Postroom out of this host, with no mail lost.
#
#   --dry-run        show what would be done, and change nothing
#   --purge          remove state, configuration, signing keys, program and users too; not while mail is in the outbox
#   --wait SECONDS   how long to wait for what is at the sendmail door and in the outbox; 300 without it
#
# Mail that waits at the sendmail door goes on without it; the outbox is handed over; then main.cf and master.cf are what
# they were (edits made since are kept), and the units go. Needs root. Exit: 0 all well, 1 a finding, 2 usage.
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/prepare.sh
[ "$(id -u)" = 0 ] || fail "needs root. Mend: run it with sudo."
PYTHONPATH=daemons PYTHONDONTWRITEBYTECODE=1 exec "$(pick_python)" -m postroom.setup uninstall "$@"
