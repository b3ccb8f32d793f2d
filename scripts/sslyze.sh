#!/usr/bin/env bash
# sslyze looks at the TLS of a sandbox of its own: protocols, suites, curves, known weaknesses, and
# Mozilla's "intermediate" configuration, with the sandbox's authority as one that is trusted.
#
#   scripts/sslyze.sh BINARY FOLDER    # the gateway, and where it and sslyze may put their files
#
# Ends with 1 where sslyze finds anything, and with 0 and a word about it where sslyze cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
SSLYZE=6.3.1
binary=$1 work=$2/sslyze tools=${CARGO_TARGET_DIR:-$PWD/target}/tools/sslyze-$SSLYZE
say() { printf '==> %s\n' "$*" >&2; }
mkdir -p "$work"
if [ ! -x "$tools/bin/sslyze" ]; then
  if ! { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet "sslyze==$SSLYZE"; } >"$work/install.log" 2>&1; then
    rm -rf "$tools"
    say "SKIPPED: sslyze, as it could not be installed (python3 with venv, PyPI): $(tail -n 1 "$work/install.log")"
    exit 0
  fi
fi

base=20240
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
all_free() { for offset in $(seq 0 15); do is_free $((base + offset)) || return 1; done; }
until all_free; do base=$((base + 16)); done
# A scan is what limits are against, and strangers are sent away first where there is much to do.
printf '[load]\nin_flight = 8192\nlag_ms = 60000\n' >"$work/limits.toml"
"$binary" sandbox --data-dir "$work/data" --port-base "$base" --limits "$work/limits.toml" >"$work/gateway.log" 2>&1 &
gateway=$!
trap 'kill "$gateway" 2>/dev/null && wait "$gateway" 2>/dev/null || true' EXIT
until curl --silent --insecure --fail --output /dev/null "https://localhost:$base/.well-known/openid-configuration"; do
  kill -0 "$gateway" 2>/dev/null || { tail -n 20 "$work/gateway.log" >&2; exit 1; }
done

# Clients with certificates have a port of their own; the other is for everybody.
if ! "$tools/bin/sslyze" --mozilla_config=intermediate --certinfo_ca_file "$work/data/pki/root.pem" \
  "localhost:$base" "localhost:$((base + 1))" >"$work/report" 2>&1; then
  cat "$work/report" >&2
  exit 1
fi
weak=$(grep -E 'VULNERABLE -|NOT SUPPORTED - (Extended|Secure)|Legacy RC4 Algorithm +(INSECURE|FAILED)' "$work/report" || true)
if [ -n "$weak" ] || [ "$(grep -c 'OK - Compliant' "$work/report")" != 2 ]; then
  cat "$work/report" >&2
  exit 1
fi
say "sslyze $SSLYZE: both ports are as Mozilla's intermediate configuration asks, and nothing is vulnerable"
