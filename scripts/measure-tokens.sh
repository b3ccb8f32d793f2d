#!/usr/bin/env bash
# Measures tokens: our token endpoint beside oidc-provider, in turns, on the
# same machine; and the check of a token in front of a request. Called by
# scripts/measure.sh, whose release build it uses; prints "what|figure" lines.
#
#   scripts/measure-tokens.sh FOLDER_FOR_WORK
#
# Both servers speak TLS with client certificates over connections that stay
# open, verify a fresh ES256 assertion per request (private_key_jwt), refuse one
# that was used before, bind the token to the certificate, and have all of it
# in SQLite with synchronous=full before they answer. The peer runs once more
# with its store in memory, which its makers call development-only.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'make bench: %s\n' "$*" >&2; exit 1; }
work=$1/tokens
mkdir -p "$work"
# shellcheck source=scripts/node.sh
. scripts/node.sh
# node:sqlite, for the peer.
need_node 22 13
npm ci --prefix tests --no-audit --no-fund --ignore-scripts --loglevel=error >"$work/npm.log" 2>&1 || die "npm ci failed"
release="${CARGO_TARGET_DIR:-target}/release"


ROUNDS=3
REQUESTS=20000
CONNECTIONS=64
pids=()
finish() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done; }
trap finish EXIT
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
base=19640
# Sixteen of the sandbox, two of the peers.
all_free() { for offset in $(seq 0 17); do is_free $((base + offset)) || return 1; done; }
until all_free; do base=$((base + 18)); done
answers() { # address, process, its log
  until curl --silent --insecure --output /dev/null "$1"; do
    kill -0 "$2" 2>/dev/null || { tail -n 20 "$3" >&2; die "the server for $1 did not start"; }
  done
}

pki="$work/data/pki"
"$release/consentry" sandbox --data-dir "$work/data" --port-base "$base" --no-limits >"$work/ours.log" 2>&1 &
pids+=($!)
answers "https://localhost:$base/.well-known/openid-configuration" "${pids[0]}" "$work/ours.log"
keys=$("$release/examples/token_speed" jwks "$pki/fintech.key")
cat >"$work/clients.json" <<JSON
[{"client_id": "bench", "redirect_uris": [], "grant_types": ["client_credentials"], "scope": "accounts",
  "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
  "tls_client_certificate_bound_access_tokens": true, "jwks": $keys}]
JSON
"$release/consentry" clients add "$work/clients.json" --data-dir "$work/data" >/dev/null

peer() { # port, SQLite file or nothing
  node tests/bench/peer.mjs "$1" "$pki/server.pem" "$pki/server.key" "$pki/root.pem" "$work/clients.json" ${2:+"$2"} \
    >"$work/peer-$1.log" 2>&1 &
  pids+=($!)
  answers "https://localhost:$1/.well-known/openid-configuration" $! "$work/peer-$1.log"
}
peer $((base + 16)) "$work/peer.sqlite"
peer $((base + 17)) ""

ask() { # issuer, token endpoint
  "$release/examples/token_speed" run --issuer "$1" --endpoint "$2" --client-id bench --key "$pki/fintech.key" \
    --certificate "$pki/fintech.pem" --root "$pki/root.pem" --requests "$REQUESTS" --connections "$CONNECTIONS"
}
field() { sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p"; }
for _ in $(seq "$ROUNDS"); do
  ask "https://localhost:$base" "https://localhost:$((base + 1))/oauth/token" >>"$work/ours"
  ask "https://localhost:$((base + 16))" "https://localhost:$((base + 16))/token" >>"$work/durable"
  ask "https://localhost:$((base + 17))" "https://localhost:$((base + 17))/token" >>"$work/memory"
done
"$release/examples/check_speed" "$work/check" >"$work/checked"

middle() { field per_second <"$work/$1" | sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }
spread() { field per_second <"$work/$1" | sort -n | tr '\n' ' ' | awk '{ printf "%s (%s to %s)", $2, $1, $3 }'; }
times() { awk -v a="$(middle ours)" -v b="$(middle "$1")" 'BEGIN { printf "%.1f×", a / b }'; }
echo "Tokens per second, everything on the disk|$(spread ours)"
echo "Beside it: oidc-provider, everything on the disk|$(spread durable); ours is $(times durable)"
echo "Beside it: oidc-provider, its development store in memory|$(spread memory); ours is $(times memory)"
echo "Check of a token in front of a request, p50 and p99|$(awk -v a="$(field p50_ns <"$work/checked")" -v b="$(field p99_ns <"$work/checked")" 'BEGIN { printf "%.2f µs, %.2f µs", a / 1000, b / 1000 }')"
echo "Count of a read against the quotas of peer, client and consent, p50 and p99|$(awk -v a="$(field limits_p50_ns <"$work/checked")" -v b="$(field limits_p99_ns <"$work/checked")" 'BEGIN { printf "%.2f µs, %.2f µs", a / 1000, b / 1000 }')"
