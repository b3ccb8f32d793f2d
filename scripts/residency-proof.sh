#!/usr/bin/env bash
# Whether personal data stays at home (docs/residency.md): three cells, persons in each region,
# traffic through every cell, failover, backup, export, crash; then every byte of every file of
# each cell is searched for persons of the others. On SQLite, then on PostgreSQL with a server
# for each region. Then with one deliberate leak after the other, each of which has to be found.
#
#   scripts/residency-proof.sh              # all of it, about ten minutes on two cores
#   LEAK=log-line scripts/residency-proof.sh   # that leak only
#
# What it starts is its own, on free ports, and is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
ulimit -c unlimited

say() { printf '==> %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
die() { printf 'make residency-proof: %s\n' "$*" >&2; exit 1; }
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

regions=(uk eu pl)
leaks=(log-line trace-attribute error-text panic disk-cache redis-cache redis-channel request-log
  global-store backup core-dump)
if [ -n "${LEAK:-}" ]; then leaks=("$LEAK"); fi

say "Building"
cargo build --quiet -p consentry --features crash-points,leaks --bin consentry --example residency
target="${CARGO_TARGET_DIR:-target}/debug"

run=
servers=()
redis=()
clean() {
  local one
  for one in ${redis[@]+"${redis[@]}"}; do kill "$one" 2>/dev/null && wait "$one" 2>/dev/null || true; done
  redis=()
  for one in ${servers[@]+"${servers[@]}"}; do postgres_data=$one; stop_postgres; done
  servers=()
  postgres_data=
  if [ -n "$run" ]; then rm -rf "$run"; fi
  run=
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# once DATABASE LEAK: 0 if nothing of anybody is away from home, 3 if something is.
once() {
  local database=$1 leak=$2 region port code=0 options=()
  run=$(mktemp -d)
  # What runs PostgreSQL passes through.
  chmod 711 "$run"
  for region in "${regions[@]}"; do
    if ! has redis-server; then continue; fi
    mkdir "$run/redis-$region"
    port=$(free_port)
    redis-server --bind 127.0.0.1 --port "$port" --dir "$run/redis-$region" --appendonly yes --appendfsync always \
      --save '' >"$run/redis-$region/log" 2>&1 &
    redis+=($!)
    until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done
    options+=(--redis "$region=127.0.0.1:$port")
  done
  if [ "$database" = postgres ]; then
    for region in "${regions[@]}" global; do
      mkdir "$run/postgres-$region"
      # Slow queries are logged with what they were about: all of them.
      start_postgres "$run/postgres-$region" -c fsync=off -c log_min_duration_statement=0 >/dev/null
      servers+=("$postgres_data")
      options+=(--postgres "$region=postgres://consentry@127.0.0.1:$postgres_port/postgres")
    done
  fi
  if [ -n "$leak" ]; then options+=(--leak "$leak"); fi
  "$target/examples/residency" --binary "$target/consentry" --run "$run" ${options[@]+"${options[@]}"} || code=$?
  if [ -n "${KEEP:-}" ]; then cp -r "$run" "$KEEP"; fi
  clean
  return "$code"
}

if [ -z "${LEAK:-}" ]; then
  say "On SQLite"
  once sqlite "" || die "personal data is away from home, or nothing could be found out"
  [ -n "$(postgres_bin)" ] || die "missing: postgresql-15"
  say "On PostgreSQL, a server for each region"
  once postgres "" || die "personal data is away from home, or nothing could be found out"
fi
found=0
for leak in "${leaks[@]}"; do
  say "With a leak: $leak"
  code=0
  once sqlite "$leak" || code=$?
  [ "$code" = 3 ] || die "the leak $leak was not found"
  found=$((found + 1))
done
say "Nothing was away from home, and each of $found leaks was found"
