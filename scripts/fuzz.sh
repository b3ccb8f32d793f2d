#!/usr/bin/env bash
# Feeds hostile input to what reads it (tests/fuzz), with libFuzzer. Ends with 1 at a finding;
# the input then lies in target/fuzz/findings/TARGET-*.
#
#   scripts/fuzz.sh [SECONDS]        # each target, 600 if nothing is said; two at a time
#   TARGET=camt scripts/fuzz.sh 60   # this one only
#
# Needs a C++ compiler and the Rust that builds the gateway: no nightly, and no tool besides
# cargo. Without a sanitizer, which Rust without `unsafe` has little use for, but with every
# check of a debug build. What is found of value is kept in target/fuzz/corpus; what a target
# begins with, and must never fail on again, is in tests/fuzz/corpus.
#
# Building takes about four minutes on two cores, the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
say() { printf '==> %s\n' "$*"; }
die() { printf 'make fuzz: %s\n' "$*" >&2; exit 1; }

command -v c++ >/dev/null 2>&1 || die "missing: a C++ compiler (c++), for libFuzzer"

crate=tests/fuzz
home="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
host=$(rustc -vV | sed -n 's/^host: //p')
all=()
for file in "$crate"/targets/*.rs; do all+=("$(basename "$file" .rs)"); done
targets=("${all[@]}")
if [ -n "${TARGET:-}" ]; then
  [ -e "$crate/targets/$TARGET.rs" ] || die "no target is called $TARGET; there are ${all[*]}"
  targets=("$TARGET")
fi

say "Building the targets of the fuzzer"
# What cargo-fuzz says to the compiler, without its sanitizer. A target of its own, so that it
# is not said to build scripts.
coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  coverage+=" -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTFLAGS="$coverage" cargo build --quiet --locked --manifest-path "$crate/Cargo.toml" --target-dir "$home" \
  --target "$host" --bins || die "the build failed"

mkdir -p "$home/findings" "$home/log"
fuzz() {
  local target=$1 words=()
  mkdir -p "$home/corpus/$target"
  if [ -e "$crate/dictionaries/$target" ]; then words=(-dict="$crate/dictionaries/$target"); fi
  # No input of a few KiB may take ten seconds, or two GiB.
  "$home/$host/debug/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$home/findings/$target-" ${words[@]+"${words[@]}"} \
    "$home/corpus/$target" "$crate/corpus/$target" >"$home/log/$target" 2>&1
}

tell() {
  local target=$1 log="$home/log/$1"
  local runs
  runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
  printf '    %-18s %10s runs in %s s\n' "$target" "${runs:-no}" "$seconds"
}

say "Fuzzing for $seconds s each: ${targets[*]}"
failed=0
while [ ${#targets[@]} -gt 0 ]; do
  pair=("${targets[@]:0:2}")
  targets=("${targets[@]:2}")
  running=()
  for target in "${pair[@]}"; do fuzz "$target" & running+=($!); done
  for at in "${!pair[@]}"; do
    if wait "${running[$at]}"; then
      tell "${pair[$at]}"
    else
      failed=1
      say "FOUND by ${pair[$at]}"
      grep -vE '^(#|INFO|Dictionary)' "$home/log/${pair[$at]}" | head -n 30 | cut -c1-400
    fi
  done
done
exit "$failed"
