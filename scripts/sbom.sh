#!/usr/bin/env bash
# Writes what the binary is made of (CycloneDX 1.6, JSON): every package that the release with plugins is built from, with version,
# licence, checksum and what it depends on. Builds nothing.
#
#   scripts/sbom.sh [FILE]    # target/sbom/consentry.cdx.json if none is named
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-${CARGO_TARGET_DIR:-$PWD/target}/sbom/consentry.cdx.json}
mkdir -p "$(dirname "$file")"
# The time of the commit, so that the same commit gives the same file.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || true)}
export SOURCE_DATE_EPOCH
cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu --features consentry/plugins |
  node scripts/sbom.mjs Cargo.lock >"$file.new"
mv "$file.new" "$file"
echo "$file: $(node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1])).components.length' "$file") components"
