# Sourced: a PostgreSQL of one's own, on a free port. The sourcing script has `say` and `die`.

# What runs its programs (PostgreSQL refuses to be root), its data, and its port.
postgres_user=()
postgres_data=
postgres_port=

postgres_bin() {
  local place
  for place in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@15/bin \
    /usr/local/opt/postgresql@15/bin; do
    if [ -x "$place/initdb" ]; then echo "$place"; return; fi
  done
  if has initdb; then dirname "$(command -v initdb)"; fi
}

free_port() {
  node -e 'const s = require("node:net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

start_postgres() { # folder, options of the server
  local run=$1 home bin
  shift
  bin=$(postgres_bin)
  say "Starting PostgreSQL of its own ($("$bin/postgres" --version | awk '{print $3}'))"
  home="$run/postgres"
  mkdir "$home"
  if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || die "there is no user postgres to run PostgreSQL as"
    postgres_user=(runuser -u postgres --)
    chmod 711 "$run"
    chown postgres "$home"
    if ! "${postgres_user[@]}" test -w "$home"; then
      rm -rf "$home"
      home=$(mktemp -d)
      chown postgres "$home"
    fi
  else
    postgres_user=(env)
  fi
  postgres_port=$(free_port)
  (cd / && "${postgres_user[@]}" "$bin/initdb" -D "$home/data" -U consentry --auth=trust -E UTF8 --locale=C --no-sync) >"$run/initdb.log" 2>&1 ||
    { tail -n 5 "$run/initdb.log" >&2; die "initdb failed"; }
  postgres_data="$home/data"
  postgres_options="-c port=$postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 $*"
  (cd / && "${postgres_user[@]}" "$bin/pg_ctl" start -D "$postgres_data" -w -s -l "$home/log" -o "$postgres_options") ||
    { tail -n 5 "$home/log" >&2; die "PostgreSQL did not start"; }
}

stop_postgres() {
  "${postgres_user[@]}" "$(postgres_bin)/pg_ctl" stop -D "$postgres_data" -m immediate -s >/dev/null 2>&1 || true
  rm -rf "$(dirname "$postgres_data")"
}
