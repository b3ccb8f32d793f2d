#!/usr/bin/env bash
# Measures the edge of the release build beside nginx, and beside nginx with ModSecurity, in turns on
# the same machine; writes docs/edge-measurements.md.
#
#   scripts/bench-edge.sh
#   CRS=FOLDER scripts/bench-edge.sh    # with a release of the Core Rule Set, in both filters
#
# Needs nginx (Debian's nginx-light, and libnginx-mod-http-modsecurity for the filter). Each server
# has TLS with client certificates and the same keys. CPU is user and system time of the server's
# process by requests answered; the program that asks runs on the same cores. What ours does in a
# request: certificate, limits, filter, token bound to the certificate, JSON. What nginx does: it
# passes the request to another nginx that has the answer ready.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'make bench-edge: %s\n' "$*" >&2; exit 1; }
command -v nginx >/dev/null || die "missing: nginx (apt-get install nginx-light libnginx-mod-http-modsecurity)"
modules=${NGINX_MODULES:-/usr/lib/nginx/modules}
ulimit -n 20000 2>/dev/null || true
# In one go: apart they would be built with other features each.
cargo build --release --locked --quiet -p consentry --bins --example edge_load
release="${CARGO_TARGET_DIR:-target}/release"
load="$release/examples/edge_load"

ROUNDS=${ROUNDS:-5}
EACH=${EACH:-3}
IDLE=${IDLE:-4000}
work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
base=20040
all_free() { for offset in $(seq 0 39); do is_free $((base + offset)) || return 1; done; }
until all_free; do base=$((base + 40)); done

# --- The servers -----------------------------------------------------------

# Limits are counted, and none is reached.
sed -E 's/^quota = .*/quota = 100000000/; s/^window = .*/window = 1/; s/^lag_ms = .*/lag_ms = 60000/' policies/limits/limits.toml >"$work/limits.toml"
ours() { # name, port base, further arguments
  local name=$1 port=$2
  shift 2
  "$release/consentry" sandbox --data-dir "$work/$name" --port-base "$port" --limits "$work/limits.toml" "$@" \
    >"$work/$name.log" 2>&1 &
  pids+=($!)
  printf -v "pid_$name" %s $!
  until curl --silent --insecure --fail --output /dev/null "https://localhost:$port/.well-known/openid-configuration"; do
    kill -0 "$!" 2>/dev/null || { tail -n 20 "$work/$name.log" >&2; die "the gateway did not start"; }
  done
}
ours plain "$base" --filter off
pki="$work/plain/pki"
# The same certificates for both gateways and for nginx.
mkdir -p "$work/filtered" && cp -r "$work/plain"/{pki,keys,state.json} "$work/filtered/"
ours filtered $((base + 16)) --filter block ${CRS:+--crs "$CRS"}

body='{"accounts":['
for number in 1 2 3 4 5 6 7 8; do
  body+="{\"id\":\"acc_$number\",\"currency\":\"EUR\",\"display_name\":\"An account of some length for the sake of bytes, number $number\",\"product\":\"current\",\"usage\":\"PRIV\",\"status\":\"enabled\",\"balances\":[{\"type\":\"CLBD\",\"amount\":\"1234.56\",\"currency\":\"EUR\"}]},"
done
printf '%s{}]}' "$body" >"$work/answer.json"
nginx_conf() { # name, port, further lines of http
  cat >"$work/$1.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $work/$1.pid; error_log $work/$1.err;
${4:-}
events { worker_connections 16000; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path $work/$1.body; proxy_temp_path $work/$1.proxy;
  fastcgi_temp_path $work/$1.f; uwsgi_temp_path $work/$1.u; scgi_temp_path $work/$1.s;
  upstream answers { server 127.0.0.1:$((base + 34)); keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:$2 ssl http2; http2_max_requests 100000000;
    ssl_certificate $pki/server.pem; ssl_certificate_key $pki/server.key;
    ssl_client_certificate $pki/root.pem; ssl_verify_client on; ssl_session_cache shared:s:10m;
    $3
    location / { proxy_pass http://answers; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
CONF
}
start_nginx() {
  nginx -e "$work/$1.err" -p "$work" -c "$work/$1.conf" 2>>"$work/$1.err" &
  pids+=($!)
  printf -v "pid_$1" %s $!
}
cat >"$work/answers.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $work/answers.pid; error_log $work/answers.err;
events { worker_connections 16000; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path $work/a.b; proxy_temp_path $work/a.p;
  fastcgi_temp_path $work/a.f; uwsgi_temp_path $work/a.u; scgi_temp_path $work/a.s;
  server { listen 127.0.0.1:$((base + 34)); default_type application/json; root $work; error_page 405 =200 /answer.json;
    location / { rewrite ^ /answer.json break; } }
}
CONF
start_nginx answers
nginx_conf nginx $((base + 32)) ""
start_nginx nginx
modsecurity=
if [ -z "${CRS:-}" ]; then
  say "SKIPPED: the filter beside ModSecurity, as CRS names no release of the Core Rule Set"
else
  [ -e "$modules/ngx_http_modsecurity_module.so" ] || die "missing: libnginx-mod-http-modsecurity"
  modsecurity=1
  {
    printf 'SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 1000000\nSecRequestBodyNoFilesLimit 1000000\n'
    printf 'SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"\n'
    printf 'Include %s\nInclude %s/rules/*.conf\n' "$CRS/crs-setup.conf.example" "$CRS"
  } >"$work/modsecurity.conf"
  nginx_conf guarded $((base + 33)) "modsecurity on; modsecurity_rules_file $work/modsecurity.conf;" \
    "load_module $modules/ngx_http_modsecurity_module.so;"
  start_nginx guarded
fi
until ! is_free $((base + 32)); do kill -0 "$pid_nginx" 2>/dev/null || { cat "$work/nginx.err" >&2; die "nginx did not start"; }; done
if [ -n "$modsecurity" ]; then
  until ! is_free $((base + 33)); do
    kill -0 "$pid_guarded" 2>/dev/null || { cat "$work/guarded.err" >&2; die "nginx with ModSecurity did not start"; }
  done
fi

# --- Measuring -------------------------------------------------------------

cpu() { awk '{ print ($14 + $15) * 10000 }' "/proc/$1/stat"; } # microseconds, at 100 ticks a second
pss() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
field() { sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p"; }
who=(--root "$pki/root.pem" --certificate "$pki/fintech.pem" --key "$pki/fintech.key")
measure() { # series, process, arguments of edge_load
  local series=$1 pid=$2 before after told
  shift 2
  before=$(cpu "$pid")
  told=$("$load" "$@" "${who[@]}" --seconds "$EACH")
  after=$(cpu "$pid")
  [ "$(field failed <<<"$told")" = 0 ] || die "$series: $told"
  local requests
  requests=$(field requests <<<"$told")
  echo "$(field per_second <<<"$told") $(((after - before) / requests)) $(field p50_us <<<"$told") $(field p99_us <<<"$told")" >>"$work/$series.figures"
}
middle() { awk -v at="$2" '{ print $at }' "$work/$1.figures" | sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }

# An order, nearly as long as orders may be, the same again and again: what comes after the first is answered from what was kept for its key.
cat >"$work/order.json" <<JSON
{"institution_id":"de-rheinbank","amount":{"amount":"1234.56","currency":"EUR"},"creditor":{"name":"Bergmann & Söhne GmbH"},
"creditor_account":{"iban":"DE42999100002000000018"},"end_to_end_id":"RE-2026-0815","client_reference":"cart 7f0f3c1e of Tuesday",
"remittance":{"unstructured":["Invoice 4711 of 2026-03-04, thank you; order by phone, customer 0815/22"]},"scheme":"SEPA_CT",
"debtor_account":{"iban":"DE42999100002000000018"},"risk":{"delivery_address":{"country":"DE","post_code":"50667",
"town_name":"Köln","address_lines":["Hohe Straße 12","Hinterhaus, 3. Stock"]}},
"state":"$(for _ in $(seq 19); do printf eyJzZXNzaW9uIjoiN2YwZjNjMWUtMmIyZC00YzU1LTllM2EifQ; done)",
"redirect_uri":"https://localhost:8455/return"}
JSON
# An address of this machine is what the sandbox's client has, and the Core Rule Set takes for an attack.
sed 's|localhost:8455|fintech.example|' "$work/order.json" >"$work/order-of-peer.json"
order=(--path /v1/payments --connections 1 --header "content-type: application/json"
  --header "idempotency-key: 0b5e3f6e-1a52-4a3b-9f4e-0f6f2a1c7a11")
# As clients send them: rules look for both, and tell of requests without.
usual=(--header "user-agent: tpp/1.4" --header "accept: application/json")
for round in $(seq "$ROUNDS"); do
  say "Round $round of $ROUNDS"
  for http in "" --http2; do
    measure "ours$http" "$pid_filtered" run --port $((base + 17)) --path /v1/limits --token "${usual[@]}" $http
    measure "nginx$http" "$pid_nginx" run --port $((base + 32)) --path /v1/limits "${usual[@]}" $http
  done
  measure plain "$pid_plain" run --port $((base + 1)) --path /v1/limits --token "${usual[@]}"
  measure handshakes-ours "$pid_filtered" handshakes --port $((base + 17)) --path /healthz --connections 16
  measure handshakes-nginx "$pid_nginx" handshakes --port $((base + 32)) --path / --connections 16
  measure resumed-ours "$pid_filtered" handshakes --port $((base + 17)) --path /healthz --connections 16 --resume
  measure resumed-nginx "$pid_nginx" handshakes --port $((base + 32)) --path / --connections 16 --resume
  # One request at a time: what the filter adds to it.
  measure alone-ours "$pid_filtered" run --port $((base + 17)) --path /v1/limits --token "${usual[@]}" --connections 1
  measure alone-plain "$pid_plain" run --port $((base + 1)) --path /v1/limits --token "${usual[@]}" --connections 1
  if [ -n "$modsecurity" ]; then
    measure alone-guarded "$pid_guarded" run --port $((base + 33)) --path /v1/limits "${usual[@]}" --connections 1
    measure alone-nginx "$pid_nginx" run --port $((base + 32)) --path /v1/limits "${usual[@]}" --connections 1
    measure guarded "$pid_guarded" run --port $((base + 33)) --path /v1/limits "${usual[@]}"
    measure order-ours "$pid_filtered" run --port $((base + 17)) --token --body "$work/order.json" "${order[@]}" "${usual[@]}"
    measure order-plain "$pid_plain" run --port $((base + 1)) --token --body "$work/order.json" "${order[@]}" "${usual[@]}"
    measure order-guarded "$pid_guarded" run --port $((base + 33)) --body "$work/order-of-peer.json" "${order[@]}" "${usual[@]}"
    measure order-nginx "$pid_nginx" run --port $((base + 32)) --body "$work/order-of-peer.json" "${order[@]}" "${usual[@]}"
  fi
done
idle() { # process, port, path
  local before after
  before=$(pss "$1")
  mkfifo "$work/hold-$2"
  "$load" idle --port "$2" --path "$3" --connections "$IDLE" "${who[@]}" <"$work/hold-$2" >"$work/idle-$2" &
  local held=$!
  exec 7>"$work/hold-$2"
  until [ -s "$work/idle-$2" ]; do kill -0 "$held" 2>/dev/null || die "idle connections were not kept"; done
  after=$(pss "$1")
  exec 7>&-
  wait "$held"
  awk -v a="$after" -v b="$before" -v n="$IDLE" 'BEGIN { printf "%.1f", (a - b) / n }'
}
idle_ours=$(idle "$pid_filtered" $((base + 17)) /healthz)
idle_nginx=$(idle "$pid_nginx" $((base + 32)) /)

# --- Telling ---------------------------------------------------------------

times() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f×", a / b; else printf "-" }'; }
line() { # what, series of ours, series of the peer
  printf '| %s | %s | %s | %s | %s | %s |\n' "$1" "$(middle "$2" 1)" "$(middle "$3" 1)" \
    "$(times "$(middle "$2" 1)" "$(middle "$3" 1)")" "$(middle "$2" 2) µs, $(middle "$3" 2) µs" \
    "$(middle "$2" 3) / $(middle "$2" 4) µs, $(middle "$3" 3) / $(middle "$3" 4) µs"
}
{
  printf '# Measurements of the edge\n\nWritten by `make bench-edge` (%s, version %s, %s cores). Medians of %s rounds in turns, over 32\n' \
    "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$(nproc)" "$ROUNDS"
  printf 'connections that are always busy (handshakes: 16 at a time); CPU of the server by request.\n\n'
  printf '| What | ours per second | nginx per second | ours to nginx | CPU: ours, nginx | p50 / p99: ours, nginx |\n|---|---|---|---|---|---|\n'
  line "Requests, HTTP/1.1" ours nginx
  line "Requests, HTTP/2" ours--http2 nginx--http2
  line "The same without the filter, HTTP/1.1" plain nginx
  line "Handshakes with a request each" handshakes-ours handshakes-nginx
  line "Resumed handshakes with a request each" resumed-ours resumed-nginx
  printf '\nAn idle connection takes %s KiB at ours, %s KiB at nginx (growth of PSS by %s of them).\n' "$idle_ours" "$idle_nginx" "$IDLE"
  if [ -n "$modsecurity" ]; then
    filter=$(($(middle ours 2) - $(middle plain 2)))
    get=$(($(middle guarded 2) - $(middle nginx 2)))
    added() { echo $(($(middle "$1" "$3") - $(middle "$2" "$3"))); }
    adds() { # what, series of ours with and without, series of the peer with and without
      printf '| %s | %s / %s µs | %s / %s µs | %s | %s µs, %s µs |\n' "$1" "$(added "$2" "$3" 3)" "$(added "$2" "$3" 4)" \
        "$(added "$4" "$5" 3)" "$(added "$4" "$5" 4)" "$(times "$(added "$4" "$5" 3)" "$(added "$2" "$3" 3)")" \
        "$(added "$2" "$3" 2)" "$(added "$4" "$5" 2)"
    }
    printf '\nWhat the filter with the Core Rule Set at level 1 adds, one request at a time:\n\n'
    printf '| To | ours, p50 / p99 | ModSecurity in nginx | as quick (p50) | CPU: ours, ModSecurity |\n|---|---|---|---|---|\n'
    adds "a small GET" alone-ours alone-plain alone-guarded alone-nginx
    adds "an order of $(wc -c <"$work/order.json") bytes" order-ours order-plain order-guarded order-nginx
    printf '\nWhere every core is busy, CPU of a small GET: ours %s µs, ModSecurity in nginx %s µs (%s).\n' "$filter" "$get" \
      "$(times "$get" "$filter")"
  fi
} >docs/edge-measurements.md
cat docs/edge-measurements.md
