#!/usr/bin/env bash
# High availability with real engines on one machine (docs/high-availability.md): etcd, PostgreSQL under
# Patroni, PgBouncer, Redis with sentinels, two gateways behind balancers. Ends with 1 if a payment doubled
# or was lost, a request failed that may not, or something took longer than promised.
#
#   scripts/ha.sh [--short | --drill-only] [further options of the harness, such as --events switchover]
#
# Without any it is all of it, and the table of docs/high-availability.md is written anew.
# Installs what is missing where apt-get is at hand; Patroni comes from PyPI into target/tools, as the one
# of Debian 12 loses commits. Stops what it started and removes its folder, also when it is interrupted;
# touches nothing else that runs on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
unset RUST_BACKTRACE

PATRONI=4.1.5
say() { printf '==> %s\n' "$*"; }
has() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }
die() { printf 'make ha: %s\n' "$*" >&2; exit 1; }
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

what=all
case "${1:-}" in
  --short) what=short; shift ;;
  --drill-only) what=drill; shift ;;
  --*) what=some ;;
esac

# --- Tools -----------------------------------------------------------------

missing=()
if [ -z "$(postgres_bin)" ]; then missing+=(postgresql-15); fi
if ! has etcd; then missing+=(etcd-server); fi
if ! has pgbouncer; then missing+=(pgbouncer); fi
if ! has pgbackrest; then missing+=(pgbackrest); fi
if ! has redis-server || ! has redis-cli; then missing+=(redis-server); fi
if ! [ -x /usr/bin/python3 ] || ! /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
install_packages ${missing[@]+"${missing[@]}"}
patroni=target/tools/patroni
if [ "$("$patroni/bin/patroni" --version 2>/dev/null)" != "patroni $PATRONI" ]; then
  say "Installing Patroni $PATRONI into target/tools"
  rm -rf "$patroni"
  mkdir -p target/tools
  /usr/bin/python3 -m venv "$patroni"
  "$patroni/bin/pip" install --quiet --disable-pip-version-check "patroni[etcd3]==$PATRONI" psycopg2-binary >/dev/null 2>&1 ||
    die "Patroni could not be installed"
fi

if [ -z "${HA_BINARIES:-}" ]; then
  # As the tests build them.
  build=(--workspace --features consentry/plugins,consentry/crash-points --bin consentry --example ha)
  say "Building"
  cargo build --quiet "${build[@]}"
  HA_BINARIES="${CARGO_TARGET_DIR:-target}/debug"
fi

# --- A folder, and the end of all that works in it -------------------------

run=$(mktemp -d)
chmod 711 "$run"
# Processes that work below the folder: they are the run's, whoever is their parent by now.
of_run() {
  { find /proc -maxdepth 2 -name cwd -lname "$run*" 2>/dev/null || true; } | cut -d/ -f3
}
stop() {
  local code=$? pid left
  trap - EXIT INT TERM
  if [ -n "${harness:-}" ]; then kill -KILL "$harness" 2>/dev/null || true; fi
  # Agents first, which would start servers again; servers in the way that leaves no memory behind.
  for pid in $(of_run); do
    case "$(cat "/proc/$pid/comm" 2>/dev/null)" in
      postgres) ;;
      *) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done
  for pid in $(cat "$run"/node-*/data/postmaster.pid 2>/dev/null | awk '/^[0-9]+$/ && length($0) < 9' | sort -u); do
    case "$(readlink "/proc/$pid/cwd" 2>/dev/null)" in "$run"/*) kill -QUIT "$pid" 2>/dev/null; kill -CONT "$pid" 2>/dev/null || true ;; esac
  done
  for _ in $(seq 50); do
    left=$(of_run)
    [ -n "$left" ] || break
    sleep 0.1
  done
  # shellcheck disable=SC2086
  if [ -n "$left" ]; then kill -KILL $left 2>/dev/null || true; fi
  if [ -n "${KEEP:-}" ]; then say "The folder of the run: $run"; else rm -rf "$run"; fi
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The run ---------------------------------------------------------------

options=(--folder "$run" --binary "$HA_BINARIES/consentry" --postgres "$(postgres_bin)" --patroni "$patroni")
table=
case "$what" in
  short) options+=(--events rolling-restart,switchover-paused,server-killed --reads 8 --consents 3) ;;
  drill) options+=(--events nothing --drill) ;;
  some) ;;
  all)
    table="$run/table.md"
    options+=(--drill --table "$table" --events)
    # Behind PgBouncer first, then by the hosts' own addresses.
    options+=("nothing,rolling-restart,rotations,switchover-paused,onto-hosts,switchover,migration,node-by-node,\
server-killed,primary-killed,primary-frozen,master-killed,redis-gone,gateway-frozen,gateway-killed,quorum-lost,collector-gone,bank-stalled")
    ;;
esac
# In the background, so that an interruption is heard at once.
"$HA_BINARIES/examples/ha" "${options[@]}" "$@" &
harness=$!
wait "$harness"
if [ -n "$table" ]; then
  page=docs/high-availability.md
  {
    sed '/^<!-- written by make ha -->$/q' "$page"
    printf '\nRun of %s, version %s, %s cores, %s build.\n\n' "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$(nproc)" \
      "$(basename "$HA_BINARIES")"
    cat "$table"
    printf '\n'
    sed -n '/^<!-- until here -->$/,$p' "$page"
  } >"$run/page.md"
  cp "$run/page.md" "$page"
fi
