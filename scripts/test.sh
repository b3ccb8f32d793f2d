#!/usr/bin/env bash
# Runs every test: Rust, then sslyze, the chart, the outside judges in Node and a real browser, then
# hostile input for a minute each.
# With --tables it stops after the Rust tests and writes docs/security-profile.md and
# docs/banks.md anew.
#
# Installs what is missing where apt-get is at hand. Starts PostgreSQL and Redis
# of its own in .test/ on free ports, unless DATABASE_URL and REDIS_URL name some
# (the role of DATABASE_URL must be able to create databases). Stops what it
# started and removes its folder, also when it is interrupted; touches nothing
# else that runs on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

NEXTEST=0.9.143
say() { printf '==> %s\n' "$*"; }
die() { printf 'make test: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- Tools -----------------------------------------------------------------

export PATH="$PWD/target/tools/bin:$PATH"

# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

chromium_bin() {
  local name
  for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome-stable google-chrome; do
    if has "$name"; then command -v "$name"; return; fi
  done
}

# The module of SoftHSM, a PKCS#11 token in software.
softhsm_module() {
  local place
  for place in ${CONSENTRY_TEST_PKCS11:+"$CONSENTRY_TEST_PKCS11"} /usr/lib/softhsm/libsofthsm2.so \
    /usr/lib/*/softhsm/libsofthsm2.so /opt/homebrew/lib/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
    if [ -e "$place" ]; then echo "$place"; return; fi
  done
}

# Debian has it where only root looks for programs.
pgbouncer_bin() { PATH="$PATH:/usr/sbin" command -v pgbouncer || true; }

missing=()
if [ -z "${DATABASE_URL:-}" ] && [ -z "$(postgres_bin)" ]; then missing+=(postgresql-15); fi
if [ -z "${REDIS_URL:-}" ] && ! has redis-server; then missing+=(redis-server); fi
if [ -z "$(chromium_bin)" ]; then missing+=(chromium); fi
if [ -z "$(softhsm_module)" ] || ! has softhsm2-util; then missing+=(softhsm2); fi
if ! has cvc5; then missing+=(cvc5); fi
if [ -z "$(pgbouncer_bin)" ]; then missing+=(pgbouncer); fi
if ! has openssl; then missing+=(openssl); fi
if ! has cc || ! has c++; then missing+=(build-essential); fi
if ! has pkg-config; then missing+=(pkg-config libmodsecurity-dev); elif ! pkg-config --exists modsecurity; then
  missing+=(libmodsecurity-dev)
fi
if ! has node; then missing+=(nodejs); fi
if ! has npm; then missing+=(npm); fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi

# shellcheck source=scripts/packages.sh
. scripts/packages.sh
install_packages ${missing[@]+"${missing[@]}"}

has cargo || die "missing: Rust 1.95 — see https://rustup.rs"
# shellcheck source=scripts/node.sh
. scripts/node.sh
need_node 20 18

if ! cargo nextest --version >/dev/null 2>&1; then
  say "Installing cargo-nextest $NEXTEST into target/tools"
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root target/tools "cargo-nextest@$NEXTEST" ||
    say "cargo-nextest could not be installed; cargo test will do"
fi

# --- Services --------------------------------------------------------------

mkdir -p .test
run=$(mktemp -d "$PWD/.test/run.XXXXXX")
redis_pid=

# The tests make a database each beside the one that is named: NAME_t<hex>….
drop_databases() {
  local psql base name
  psql=$(postgres_bin)/psql
  has psql && psql=psql
  if ! has "$psql"; then say "No psql here: the databases that the tests made stay"; return; fi
  base=$("$psql" "$DATABASE_URL" -Atc 'select current_database()') || return
  "$psql" "$DATABASE_URL" -Atc "select datname from pg_database where datname ~ '^${base}_t[0-9a-f]{16}(_|\$)'" |
    while read -r name; do "$psql" "$DATABASE_URL" -qc "drop database if exists \"$name\"" || true; done
}

stop() {
  local code=$?
  trap - EXIT INT TERM
  if [ -z "$postgres_data" ] && [ -n "${CONSENTRY_TEST_POSTGRES:-}" ]; then drop_databases; fi
  if [ -n "$redis_pid" ]; then kill "$redis_pid" 2>/dev/null && wait "$redis_pid" 2>/dev/null || true; fi
  if [ -n "$postgres_data" ]; then
    stop_postgres
  fi
  rm -rf "$run"
  rmdir .test 2>/dev/null || true
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${DATABASE_URL:-}" ]; then
  start_postgres "$run" -c fsync=off
  export DATABASE_URL="postgres://consentry@127.0.0.1:$postgres_port/postgres"
else
  say "Using the PostgreSQL of DATABASE_URL"
fi
export CONSENTRY_TEST_POSTGRES="$DATABASE_URL"

# Through Redis several gateways tell each other what was revoked.
if [ -z "${REDIS_URL:-}" ]; then
  say "Starting Redis of its own"
  port=$(free_port)
  mkdir "$run/redis"
  redis-server --bind 127.0.0.1 --port "$port" --dir "$run/redis" --save '' --appendonly no >"$run/redis.log" 2>&1 &
  redis_pid=$!
  until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do
    kill -0 "$redis_pid" 2>/dev/null || { tail -n 5 "$run/redis.log" >&2; die "Redis did not start"; }
    sleep 0.05
  done
  export REDIS_URL="redis://127.0.0.1:$port"
else
  say "Using the Redis of REDIS_URL"
fi

# --- Tests -----------------------------------------------------------------

# Named, so that its tests fail without it instead of being skipped.
CONSENTRY_TEST_PKCS11=$(softhsm_module)
CONSENTRY_TEST_CVC5=$(command -v cvc5)
CONSENTRY_TEST_PGBOUNCER=$(pgbouncer_bin)
export CONSENTRY_TEST_PKCS11 CONSENTRY_TEST_CVC5 CONSENTRY_TEST_PGBOUNCER

# What failed is said once more at the end, where whoever looks at a long output looks first.
failures=()
fails() { failures+=("$1"); printf '==> FAILED: %s\n' "$1"; }
# The tests of a run of nextest that failed.
failed_tests() {
  python3 - "$1" <<'PY' || true
import sys, xml.etree.ElementTree as tree
for suite in tree.parse(sys.argv[1]).getroot():
    for case in suite:
        if case.find("failure") is not None or case.find("error") is not None:
            print(f"    {suite.get('name')} {case.get('name')}")
PY
}
if cargo nextest --version >/dev/null 2>&1; then runner=(nextest run); else runner=(test); fi
# The example plugin is built from source, where this Rust can build for WebAssembly.
guest=wasm32-unknown-unknown
if [ -d "$(rustc --print sysroot)/lib/rustlib/$guest" ] || { has rustup && rustup target add "$guest" >"$run/rustup.log" 2>&1; }; then
  export CONSENTRY_TEST_GUEST=1
else
  say "SKIPPED: the example plugin, as rustup could not add $guest"
fi
all=(--workspace --features consentry/plugins,consentry/crash-points)
# Workspaces of their own are built late and with --locked: a lock left behind is found here.
say "Holding the locks of dependencies to the crates"
for manifest in Cargo.toml src/plugins/example/Cargo.toml tests/fuzz/Cargo.toml; do
  cargo metadata --locked --format-version 1 --manifest-path "$manifest" >/dev/null ||
    die "$(dirname "$manifest")/Cargo.lock is behind: cargo metadata --manifest-path $manifest brings it up to date"
done
say "Building"
cargo "${runner[@]}" "${all[@]}" --no-run || die "the build failed"
say "Running the Rust tests, the gateway on SQLite"
# Where nextest keeps it, wherever cargo builds.
junit="$PWD/target/nextest/default/junit.xml"
cargo "${runner[@]}" "${all[@]}" --no-fail-fast || fails "Rust tests on SQLite"
if [ "${runner[0]}" = nextest ]; then cp "$junit" "$run/sqlite.xml"; fi
say "Running the gateway's tests again, on PostgreSQL"
# With nextest as part of the workspace: alone it would be built anew, with fewer features. And without
# those that are about what banks say, filters see and documents hold, whatever the store.
gateway=(-p consentry --features plugins,crash-points)
store_neutral='^(admin|plugins|quirks|scorecard|filter|filter_rules|core_rule_set|layers|openapi|pages_theme|pages_languages)::'
if [ "${runner[0]}" = nextest ]; then gateway=("${all[@]}" -E "package(consentry) - binary(conformance) - test(/$store_neutral/)"); fi
CONSENTRY_TEST_ON=postgres cargo "${runner[@]}" "${gateway[@]}" --no-fail-fast || fails "Rust tests on PostgreSQL"
if [ "${runner[0]}" = nextest ]; then
  cp "$junit" "$run/postgres.xml"
  say "Holding the tables of the documentation to the tests"
  mode=(--check)
  if [ "${1:-}" = --tables ]; then mode=(); fi
  for table in security-profile banks; do
    node "scripts/$table.mjs" ${mode[@]+"${mode[@]}"} "$run/sqlite.xml" "$run/postgres.xml" || fails "docs/$table.md"
  done
  if [ "${1:-}" = --tables ]; then exit "$((${#failures[@]} > 0))"; fi
else
  say "SKIPPED: the tables of the documentation are compared where cargo-nextest is"
fi

# Alone, so that nothing else is built with it.
say "libmodsecurity judges the same requests as the filter"
cargo test --quiet -p consentry-waf --features oracle --test oracle -- --nocapture || fails "libmodsecurity beside the filter"
if [ ! -d ../shared ]; then say "SKIPPED: what is tested with the reference data beside the checkout, as there is none"; fi

# The harness and its gateway are built together with the Rust tests, too.
say "Payments under torture, for a short while"
scripts/torture.sh --short || fails "scripts/torture.sh --short"

say "Clients that behave beside clients that do not, for a short while"
scripts/siege.sh --short >"$run/siege.json" 2>"$run/siege.log" || { cat "$run/siege.log" "$run/siege.json"; fails "scripts/siege.sh --short"; }

# The benchmark is built together with the Rust tests, too.
say "Counting the instructions of a read"
scripts/instructions.sh || fails "scripts/instructions.sh"

# Built together with the Rust tests: the judges drive the same binary.
export CONSENTRY_BIN="${CARGO_TARGET_DIR:-$PWD/target}/debug/consentry"
[ -x "$CONSENTRY_BIN" ] || die "the build left no binary to judge"

say "sslyze looks at the TLS of both ports"
scripts/sslyze.sh "$CONSENTRY_BIN" "$run" || fails "scripts/sslyze.sh"

say "The chart, its alerts, the image and the systemd unit"
scripts/charts.sh || fails "scripts/charts.sh"

say "Installing the judges (npm ci)"
npm ci --prefix tests --no-audit --no-fund --ignore-scripts --loglevel=error >"$run/npm.log" 2>&1 ||
  { tail -n 5 "$run/npm.log" >&2; die "npm ci failed"; }

CHROMIUM=$(chromium_bin)
export CHROMIUM
judge() {
  local name=$1
  shift
  (cd tests && node --test --test-concurrency=1 \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$run/$name.tap" "$@") || fails "the judges: $name"
}
say "Running the judges"
judge oauth fintech.test.mjs profile.test.mjs shared-judges.test.mjs bank.test.mjs standards.test.mjs openapi.test.mjs webhooks.test.mjs \
  conformance.test.mjs
say "Running the browser"
judge browser browser.test.mjs pages.test.mjs hybrid.test.mjs console.test.mjs
say "Alerts and their causes"
PSQL=$(postgres_bin)/psql
if has psql; then PSQL=psql; fi
export PSQL
judge alerts alerts.test.mjs

# About ten minutes on two cores: four to build the targets, six to run them, two at a time.
say "Hostile input, for a minute each"
scripts/fuzz.sh 60 || fails "scripts/fuzz.sh 60"

count() { cat "$run"/*.tap | awk -v of="$1" '$1 == "#" && $2 == of { sum += $3 } END { print sum + 0 }'; }
passed=$(count pass)
echo "$passed passed, $(($(count fail) + $(count cancelled))) failed by the judges and the browser"
if [ "$passed" = 0 ]; then fails "the judges: none ran"; fi
if [ "${#failures[@]}" = 0 ]; then exit 0; fi
say "What failed:"
printf '    %s\n' "${failures[@]}"
for store in sqlite postgres; do
  if [ -e "$run/$store.xml" ]; then failed_tests "$run/$store.xml"; fi
done
awk '$1 == "not" && $2 == "ok" { print "    " FILENAME ": " $0 }' "$run"/*.tap | sed "s|$run/||"
exit 1
