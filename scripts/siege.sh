#!/usr/bin/env bash
# What clients that behave notice of clients that do not: a gateway of its own (release build),
# five thousand slow or silent connections, garbage, handshakes, broken-off HTTP/2 requests,
# ten times what can be answered, of strangers and of a client that it knows, and bodies that are dear to
# look into, each for SECONDS_EACH (30), and peace in between. Prints a line of JSON for each, and ends with 1 if the
# gateway ended, a client that behaves was refused or not answered, its p99 was more than twice what it is in peace, or
# the gateway took more than 384 MiB.
#
#   scripts/siege.sh --short    # of the tests' build, two seconds each: that nobody who behaves fails, however long it takes
#
# Everything runs on this machine, but attackers have its last core for themselves, and the gateway and the
# clients that behave have the others: what is measured is what attacks make the gateway do.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf 'make siege: %s\n' "$*" >&2; exit 1; }

# A socket of each attacker, at both ends.
files() { ulimit -n 20000 2>/dev/null || [ "$(ulimit -n)" -ge "$1" ] || die "$1 open files are needed (ulimit -n)"; }
if [ "${1:-}" = --short ]; then
  files 3000
  # As the tests build them: another set of features would build everything again.
  cargo build --locked --quiet --workspace --features consentry/plugins,consentry/crash-points --bin consentry --example edge_load
  release="${CARGO_TARGET_DIR:-target}/debug"
  CONNECTIONS=${CONNECTIONS:-1000} SECONDS_EACH=${SECONDS_EACH:-2} how=(--debug)
else
  files 12000
  # In one go: apart they would be built with other features each.
  cargo build --release --locked --quiet -p consentry --bins --example edge_load
  release="${CARGO_TARGET_DIR:-target}/release" how=()
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=19840
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
all_free() { for offset in $(seq 0 15); do is_free $((base + offset)) || return 1; done; }
until all_free; do base=$((base + 16)); done
last=$(($(nproc) - 1))
if [ "$last" -gt 0 ]; then
  apart=(taskset --cpu-list "0-$((last - 1))")
  there=(--attackers-on "$last")
else
  echo "make siege: one core, which attackers share: what they compute is measured, too" >&2
  apart=() there=()
fi
"${apart[@]}" "$release/examples/edge_load" siege --binary "$release/consentry" --folder "$work/data" --port-base "$base" \
  --connections "${CONNECTIONS:-5000}" --seconds "${SECONDS_EACH:-30}" "${there[@]}" "${how[@]}"
