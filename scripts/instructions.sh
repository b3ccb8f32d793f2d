#!/usr/bin/env bash
# Counts the instructions of a read with callgrind and holds them to tests/bench/instructions.txt, which
# has a line for each way of building the gateway, with the compiler. Ends with 1 where a read has become
# dearer, or cheaper and nobody said so; where the compiler is another one, there is nothing to hold it to.
#
#   scripts/instructions.sh [--update]          # the build of the tests
#   PROFILE=release scripts/instructions.sh     # the release build
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C PATH="$PATH:/usr/sbin"
unset RUST_BACKTRACE
say() { printf '==> %s\n' "$*"; }
die() { printf 'make instructions: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
missing=()
has valgrind || missing+=(valgrind)
has nginx || missing+=(nginx-light)
install_packages ${missing[@]+"${missing[@]}"}

case "${PROFILE:-dev}" in
  dev)
    # As the tests build them.
    cargo build --quiet --workspace --features consentry/plugins,consentry/crash-points --bin consentry --example bench
    built="${CARGO_TARGET_DIR:-target}/debug"
    ;;
  release)
    cargo build --release --locked --quiet -p consentry --bins --examples
    built="${CARGO_TARGET_DIR:-target}/release"
    ;;
  *) die "PROFILE is dev or release" ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$built/examples/bench" count --folder "$work/place" --binary "$built/consentry" \
  --known tests/bench/instructions.txt --profile "${PROFILE:-dev}-rustc-$(rustc -V | awk '{ print $2 }')" "$@"
