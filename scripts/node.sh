# Sourced: puts a Node of at least the version in $1 (major) and $2 (minor) first
# on the PATH, from target/tools where the machine's own is too old.

NODE=22.23.3

recent_node() {
  node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > process.argv[1] || (major == process.argv[1] && minor >= process.argv[2]) ? 0 : 1)' "$1" "$2"
}

need_node() {
  local platform
  platform=$(node -p 'process.platform + "-" + process.arch')
  if recent_node "$1" "$2"; then return; fi
  export PATH="$PWD/target/tools/node_modules/node-$platform/bin:$PATH"
  if recent_node "$1" "$2"; then return; fi
  say "Installing Node $NODE into target/tools, as $(node --version) is too old"
  npm install --prefix target/tools --no-save --no-package-lock --no-audit --no-fund --loglevel=error \
    "node-$platform@$NODE" >/dev/null || die "Node $1.$2 or newer is needed, $(node --version) is here"
  # The shell remembers where it found the old one.
  hash -r
  recent_node "$1" "$2" || die "Node $1.$2 or newer is needed, $(node --version) is here"
}
