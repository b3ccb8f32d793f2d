# Sourced: installs Debian packages without starting their services. The sourcing script has `say`, `die`
# and `has`.

install_packages() { # packages
  local as_root hold held log installed
  [ $# -gt 0 ] || return 0
  has apt-get || die "missing: $* — install them (or what they are called here) and start again"
  if [ "$(id -u)" = 0 ]; then as_root=(env); elif has sudo; then as_root=(sudo); else
    die "missing: $* — installing them needs root or sudo"
  fi
  say "Installing $*"
  # Their services are not to start by themselves: the tests run their own.
  hold=/usr/sbin/policy-rc.d
  held=no
  if [ ! -e "$hold" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$hold" >/dev/null
    "${as_root[@]}" chmod 755 "$hold"
    held=yes
  fi
  log=$(mktemp)
  installed=no
  if "${as_root[@]}" apt-get update >"$log" 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
    installed=yes
  fi
  if [ "$held" = yes ]; then "${as_root[@]}" rm -f "$hold"; fi
  if [ "$installed" = no ]; then tail -n 5 "$log" >&2; rm -f "$log"; die "apt-get could not install $*"; fi
  rm -f "$log"
}
