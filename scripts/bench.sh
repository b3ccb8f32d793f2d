#!/usr/bin/env bash
# Measures the release build and writes docs/performance.md: the whole path of a read beside nginx,
# HAProxy, Caddy, Pingora and axum in turns, growth, and the parts (scripts/measure.sh). About
# twenty minutes after the build.
#
#   scripts/bench.sh                           # everything
#   scripts/bench.sh --only paths,latency      # these parts of the path alone, and nothing is written
#   CONSENTS=10000000 scripts/bench.sh         # up to ten million consents: 15 GiB of disk, half an hour more
#
# Needs two cores: the servers have one, who asks and the bank have the other. Installs the peers where
# apt-get is at hand. A busy machine makes every figure worse, and the ratios not.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C PATH="$PATH:/usr/sbin"
say() { printf '==> %s\n' "$*"; }
die() { printf 'make bench: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

[ "$(nproc)" -ge 2 ] || die "two cores are needed"
has taskset || die "missing: taskset (util-linux)"
missing=()
has nginx || missing+=(nginx-light)
has haproxy || missing+=(haproxy)
has caddy || missing+=(caddy)
[ -n "$(postgres_bin)" ] || missing+=(postgresql-15)
install_packages ${missing[@]+"${missing[@]}"}
ulimit -n 20000 2>/dev/null || die "20,000 open files are needed (ulimit -n)"

# How busy the machine is with something else, for five minutes.
busy=$(awk '{ print $2 }' /proc/loadavg)
say "Building"
# In one go: apart they would be built with other features each.
cargo build --release --locked --quiet -p consentry --bins --examples
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
release="$target/release"
cargo build --release --locked --quiet --manifest-path tests/bench/pingora/Cargo.toml --target-dir "$target/peers"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is measured stays, should something fail behind it.
tables="$target/bench"
mkdir -p "$tables"
say "The whole path, beside its peers"
taskset -c 1 "$release/examples/bench" run --folder "$work/path" --binary "$release/consentry" \
  --load "$release/examples/edge_load" --pingora "$target/peers/release/passes-on" --rounds "${ROUNDS:-5}" --consents "${CONSENTS:-1000000}" --tables "$tables/path.md" "$@"
rm -rf "$work/path"
if [ $# -gt 0 ]; then cat "$tables/path.md"; exit 0; fi
say "The parts"
scripts/measure.sh "$tables/parts.md"

{
  cat <<HEAD
# Performance

Written by \`make bench\` ($(date -u +%F), version $(git rev-parse --short HEAD), $(nproc) cores, $(uname -sm),
$(nginx -v 2>&1 | sed 's/.*: //'), HAProxy $(haproxy -v | awk 'NR == 1 { print $3 }'), Caddy $(caddy version | awk '{ print $1 }'),
Pingora $(sed -n '/^name = "pingora"/{n;s/.*"\(.*\)"/\1/p}' tests/bench/pingora/Cargo.lock), release build).
The gateway runs as \`consentry serve\` on its defaults (SQLite, filter on, audit on the disk before each answer); limits
are counted and never reached. "Axum that passes on" is a
proxy made of the gateway's own libraries, without what it does: what the gateway takes more than it is the price of all that.
All servers have one core, TLS 1.3 with client certificates (P-256), and the same bank
behind them over mutual TLS: an nginx that keeps what a model bank answered. Whoever asks has the other core and 32
connections, each with a grant of its own. Servers are measured in turns; figures are medians, ratios are medians within
a round with their quartiles. CPU is user and system time of the server by request. Compare ratios, not figures: they
are of a small virtual machine, whose load average was $busy before anything of ours ran. Goals, and how far each is reached, are in [goals.md](goals.md).

HEAD
  cat "$tables/path.md"
  echo
  cat "$tables/parts.md"
} >docs/performance.md
say "Written to docs/performance.md"
