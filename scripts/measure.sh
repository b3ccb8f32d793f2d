#!/usr/bin/env bash
# Measures parts of the release build, most of them in a sandbox, and writes a table of them. Called by
# scripts/bench.sh.
#
#   scripts/measure.sh FILE           with what is built already (cargo build --release -p consentry --bins --examples)
#   scripts/measure.sh FILE --cold    builds into an empty folder first, and times that
#
# Runs on Linux (memory is read from /proc). Everything it starts is its own
# and is stopped again. A busy machine makes every figure worse.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

say() { printf '==> %s\n' "$*"; }
die() { printf 'make bench: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh
[ -n "${1:-}" ] || die "say where the table is to be written"
report=$1
for tool in cargo curl awk; do command -v "$tool" >/dev/null || die "missing: $tool"; done
[ -r /proc/self/smaps_rollup ] || die "memory is read from /proc/PID/smaps_rollup, which is not here"

ROUNDS=5
DIRECTORY=${DIRECTORY:-../shared/data/bank-directory.jsonl.gz}
work=$(mktemp -d)
pid=
finish() {
  if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; fi
  if [ -n "$postgres_data" ]; then stop_postgres; fi
  rm -rf "$work"
}
trap finish EXIT

now() { printf '%s' "${EPOCHREALTIME/./}"; } # microseconds
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
spread() { sort -n | awk '{ all[NR] = $1 } END { printf "%s (%s to %s)", all[int((NR + 1) / 2)], all[1], all[NR] }'; }
mib() { awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }
rows=()
row() { rows+=("| $1 | $2 |"); printf '%-62s %s\n' "$1" "$2"; }

# --- The build -------------------------------------------------------------

cargo fetch --locked --quiet
if [ "${2:-}" = --cold ]; then export CARGO_TARGET_DIR="$work/target"; fi
started=$(now)
if [ "${2:-}" = --cold ]; then cargo build --release --locked --quiet -p consentry --bins --examples; fi
if [ "${2:-}" = --cold ]; then row "Release build, nothing built before" "$(( ($(now) - started) / 1000000 )) s"; fi
release="${CARGO_TARGET_DIR:-target}/release"
binary="$release/consentry"
size=$(wc -c <"$binary")
row "Binary, stripped" "$(awk -v bytes="$size" 'BEGIN { printf "%.1f", bytes / 1048576 }') MiB"

# --- Ready -----------------------------------------------------------------

base=19440
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
all_free() { for offset in $(seq 0 15); do is_free $((base + offset)) || return 1; done; }
until all_free; do base=$((base + 16)); done

launch() { "$binary" sandbox --data-dir "$1" --port-base "$base" >"$work/log" 2>&1 & pid=$!; }
halt() { kill "$pid"; wait "$pid" || true; pid=; }
ready() { # milliseconds from exec to the first 200 of the discovery document
  local started
  started=$(now)
  launch "$1"
  until curl --silent --insecure --fail --output /dev/null "https://localhost:$base/.well-known/openid-configuration"; do
    kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; die "the sandbox did not start"; }
  done
  echo $(( ($(now) - started) / 1000 )) >>"$work/$2"
}

for round in $(seq "$ROUNDS"); do
  ready "$work/fresh-$round" fresh
  halt
  ready "$work/fresh-$round" warm
  if [ "$round" = "$ROUNDS" ]; then
    row "Memory, ready, six banks (PSS)" "$(mib "$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")") MiB"
  fi
  halt
done
row "Ready: first answer, fresh folder, keys to be made, ms" "$(spread <"$work/fresh")"
row "Ready: first answer, folder used before, ms" "$(spread <"$work/warm")"

# --- The journey -----------------------------------------------------------

for round in $(seq "$ROUNDS"); do
  "$binary" sandbox --demo --json --data-dir "$work/demo-$round" --port-base "$base" >"$work/demo.json" 2>"$work/log" ||
    { cat "$work/log" "$work/demo.json" >&2; die "the demo failed"; }
  sed -n 's/.*"total_ms":\([0-9]*\).*/\1/p' "$work/demo.json" >>"$work/total"
  sed -n 's/.*"payment":{\([^}]*\)}.*/\1/p' "$work/demo.json" | sed -n 's/.*"ms":\([0-9]*\).*/\1/p' >>"$work/payment"
done
row "Whole journey (demo), ms" "$(spread <"$work/total")"
row "Of it: a payment from order to settled, ms" "$(spread <"$work/payment")"

# The last reading before it ends; gateway, six banks and the fintech in one process.
"$binary" sandbox --demo --json --data-dir "$work/demo-memory" --port-base "$base" >/dev/null 2>&1 &
pid=$!
peak=0
while seen=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$seen" ]; do peak=$seen; done
wait "$pid" || true
pid=
row "Memory, highest during the journey (RSS)" "$(mib "$peak") MiB"

# --- Tokens ----------------------------------------------------------------

scripts/measure-tokens.sh "$work" >"$work/token-rows"
while IFS='|' read -r what figure; do row "$what" "$figure"; done <"$work/token-rows"

# --- The directory ---------------------------------------------------------

if [ -r "$DIRECTORY" ]; then
  cargo build --release --locked --quiet -p consentry-connect --example directory_speed
  "$release/examples/directory_speed" "$DIRECTORY" | sed -E 's/([0-9]\.[0-9])[0-9]*(ms|µs|s)/\1 \2/g' >"$work/directory"
  # "imported N in TIME", "N institutions in BYTES bytes", then one search a line.
  row "Directory: institutions read and indexed" "$(awk '/^imported/ { print $2 " in " $4 " " $5 }' "$work/directory")"
  row "Directory: memory of the index" "$(awk '/institutions in/ { printf "%.1f MiB", $4 / 1048576 }' "$work/directory")"
  row "Directory: search by name, five texts, each" "$(sed -n 's/.* hits in //p' "$work/directory" | paste -s -d, | sed 's/,/, /g')"
fi

# --- Banks -----------------------------------------------------------------

"$release/examples/mapping_speed" >"$work/mapping"
for dialect in berlin-group uk-open-banking; do
  figure() { sed -E "s/.*\"$dialect\":\{([^}]*)\}.*/\1/; s/.*\"$1\":([0-9]+).*/\1/" "$work/mapping"; }
  row "10,000 transactions to our API, one core, $dialect" \
    "$(figure mb_per_second) MB/s of bank JSON; serde_json, parsed into values and written again: $(figure value_mb_per_second) MB/s"
done
"$release/examples/fan_out" "$work/fan-out" >"$work/fan"
fan() { sed -E "s/.*\"$1\":\"?([0-9.]+)\"?.*/\1/" "$work/fan"; }
row "Read of ten banks of 50 ms each, p50 and p99" \
  "$(fan ten_p50_ms) ms, $(fan ten_p99_ms) ms; of one of them: $(fan one_p50_ms) ms, $(fan one_p99_ms) ms"
row "The same with one bank that never answers, deadline 500 ms" \
  "$(fan answered_ms) ms; the slowest of the other nine: $(fan slowest_of_the_others_ms) ms"

# --- Orders ------------------------------------------------------------------

"$release/examples/order_speed" "$work/orders" >"$work/order"
order() { sed -E "s/.*\"$1\":\"([0-9.]+)\".*/\1/" "$work/order"; }
row "POST /v1/payments, on the disk (SQLite, synchronous=full), p50 and p99" \
  "$(order order_p50_ms) ms, $(order order_p99_ms) ms; of it the connection (a request that stores nothing): $(order wire_p50_ms) ms, $(order wire_p99_ms) ms"
row "Beside it: one row committed to the same database, p50 and p99" "$(order commit_p50_ms) ms, $(order commit_p99_ms) ms"

# --- Webhooks ----------------------------------------------------------------

"$release/examples/webhook_speed" "$work/webhooks" >"$work/webhook"
webhook() { sed -E "s/.*\"$1\":([0-9]+).*/\1/" "$work/webhook"; }
row "Webhooks a second, from the commit of 2,000 events to their delivery, signed and noted (SQLite)" "$(webhook delivered)"
row "Beside it: a client that posts the same over connections that it keeps, too, and notes nothing" \
  "$(webhook bare); ours is $(awk -v a="$(webhook delivered)" -v b="$(webhook bare)" 'BEGIN { printf "%.2f×", a / b }')"

# --- Keys, columns, entries and rows -----------------------------------------

cargo build --release --locked --quiet -p consentry-crypto --example sign_speed
cargo build --release --locked --quiet -p consentry-store --example consents_speed --example sealing_speed
# A figure of a program that reports in JSON, a member a line, at a path such as es256.ours_us.
told() { node -e 'const [file, path] = process.argv.slice(1);
  console.log(path.split(".").reduce((at, name) => at[name], JSON.parse(fs.readFileSync(file))))' "$work/$1" "$2"; }
us() { awk -v ns="$(told "$1" "$2")" 'BEGIN { printf "%.1f µs", ns / 1000 }'; }
"$release/examples/sign_speed" >"$work/sign"
for algorithm in es256 ps256; do
  row "A request of 1 KB signed for a bank, ${algorithm^^}, CPU" "$(told sign "$algorithm.ours_us") µs; jsonwebtoken: $(told sign "$algorithm.jsonwebtoken_us") µs"
done
"$release/examples/sealing_speed" >"$work/sealing"
row "A column sealed and opened, CPU" "$(us sealing seal_ns), $(us sealing open_ns)"
row "An entry of the audit log among 32, with its commit, CPU" "$(us sealing audit_entry_among_32_ns); another row that is committed the same way: $(us sealing claim_among_32_ns)"
row "The same alone" "$(us sealing audit_entry_alone_ns); $(us sealing claim_alone_ns)"
"$release/examples/remembered_size" "$work/remembered" >"$work/size"
row "What is remembered of a token, and of a consent" "$(told size token_bytes) bytes, $(told size consent_bytes) bytes"
start_postgres "$work" >/dev/null
PATH="$PATH:$(postgres_bin)" CONSENTRY_TEST_POSTGRES="postgres://consentry@127.0.0.1:$postgres_port/postgres" \
  "$release/examples/consents_speed" >"$work/consents"
for at_once in 16 64; do
  consents() { told consents "at_once_$at_once.$1"; }
  row "Consents a second on the disk of PostgreSQL, $at_once at once" \
    "$(consents lodged_a_second); pgbench, the same row: $(consents pgbench_a_second), ours is $(awk -v of="$(consents ours_to_it)" 'BEGIN { printf "%.2f×", of }')"
done

# --- The report ------------------------------------------------------------

{
  echo "## Parts"
  echo
  echo "Times are the median of $ROUNDS runs, with the fastest and the slowest."
  echo
  echo "| What | Measured |"
  echo "|---|---|"
  printf '%s\n' "${rows[@]}"
  echo
  echo "The ready time runs from starting the process to the first 200 of the discovery document, asked for"
  echo "again and again by curl: it counts up to one start of curl too much. The journey registers a client,"
  echo "obtains consents at two banks in two regions, reads accounts, balances and transactions, and pays."
  echo
  echo "Tokens: \`client_credentials\` with a fresh ES256 assertion each (\`private_key_jwt\`), bound to the client"
  echo "certificate, over 64 TLS connections that stay open; the servers take turns, and the program that asks runs"
  echo "on the same cores. On the disk means SQLite with synchronous=full before the answer, at both. Lowest and"
  echo "highest of three rounds in brackets. The makers of oidc-provider call its store in memory development-only."
} >"$report"
