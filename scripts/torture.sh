#!/usr/bin/env bash
# Payments under torture (docs/reliability.md): on SQLite, then on PostgreSQL with two
# gateways. Ends with 1 if a payment doubled, was lost or was told wrong.
#
#   scripts/torture.sh [--short] [further options of the harness, such as --seed N]
#
# --short is made for every change: a few dozen payments on SQLite, in less than a minute.
# A PostgreSQL of its own is started, killed and started again, and removed; nothing else
# that runs on the machine is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

say() { printf '==> %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
die() { printf 'make torture: %s\n' "$*" >&2; exit 1; }
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

short=
if [ "${1:-}" = --short ]; then
  short=1
  shift
fi
# The short one as the tests build it; thousands of payments as an operator would.
build=(--workspace --features consentry/plugins,consentry/crash-points --bin consentry --example torture)
target="${CARGO_TARGET_DIR:-target}/debug"
if [ -z "$short" ]; then
  build+=(--release)
  target="${CARGO_TARGET_DIR:-target}/release"
fi
say "Building"
cargo build --quiet "${build[@]}"
harness=("$target/examples/torture" --binary "$target/consentry")

if [ -n "$short" ]; then
  exec "${harness[@]}" --payments 60 --seconds 12 "$@"
fi

payments=${PAYMENTS:-10000}
run=$(mktemp -d)
stop() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$postgres_data" ]; then stop_postgres; fi
  if [ -e "$run/redis.pid" ]; then kill "$(cat "$run/redis.pid")" 2>/dev/null || true; fi
  rm -rf "$run"
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "On SQLite"
"${harness[@]}" --payments "$payments" "$@"

[ -n "$(postgres_bin)" ] || die "missing: postgresql-15"
# What the harness kills is this server alone; its commits are on the disk.
start_postgres "$run"
tool="$run/postgres.sh"
{
  echo '#!/bin/sh'
  echo 'cd /'
  printf 'case "$1" in\n'
  printf 'kill) %s %s stop -D %s -m immediate -s ;;\n' "${postgres_user[*]}" "$(postgres_bin)/pg_ctl" "$postgres_data"
  printf 'start) %s %s start -D %s -w -s -l %s -o "%s" ;;\n' "${postgres_user[*]}" "$(postgres_bin)/pg_ctl" \
    "$postgres_data" "$(dirname "$postgres_data")/log" "$postgres_options"
  echo 'esac'
} >"$tool"
chmod 755 "$tool"
redis=()
if has redis-server; then
  redis_port=$(free_port)
  redis_tool="$run/redis.sh"
  {
    echo '#!/bin/sh'
    echo 'case "$1" in'
    printf 'kill) kill -9 "$(cat %s/redis.pid)" 2>/dev/null || true ;;\n' "$run"
    # Its port may still be the former one's, and before it has written its number it could not
    # be killed.
    printf 'start) until redis-cli -p %s ping >/dev/null 2>&1; do\n' "$redis_port"
    printf '  redis-server --bind 127.0.0.1 --port %s --dir %s --pidfile %s/redis.pid --daemonize yes --save "" --appendonly no >/dev/null\n' \
      "$redis_port" "$run" "$run"
    printf 'done ;;\n'
    echo 'esac'
  } >"$redis_tool"
  chmod 755 "$redis_tool"
  "$redis_tool" start >/dev/null
  redis=(--redis-url "redis://127.0.0.1:$redis_port" --redis-tool "$redis_tool")
else
  say "SKIPPED: there is no redis-server to be killed"
fi
say "On PostgreSQL, two gateways"
"${harness[@]}" --payments "$payments" --database-url "postgres://consentry@127.0.0.1:$postgres_port/postgres" \
  --database-tool "$tool" ${redis[@]+"${redis[@]}"} "$@"
