#!/usr/bin/env bash
# Lays out what an image has beside the binary: the libraries that it is linked to, a place to write to, one user, the authorities
# of the web, and nothing else: no shell, no package manager. The Dockerfile copies the folder into an empty image; scripts/charts.sh
# runs a binary in one.
#
#   scripts/image-root.sh BINARY FOLDER
#
# Dynamically linked on purpose: a PKCS#11 module is a shared library of the operator's, which a static binary cannot load.
set -euo pipefail
binary=$1 folder=$2
mkdir -p "$folder/usr/bin" "$folder/etc/ssl/certs" "$folder/etc/consentry" "$folder/run"
install -m 755 "$binary" "$folder/usr/bin/consentry"
# The loader and every library, at the paths where the loader looks for them.
ldd "$binary" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | sort -u | while read -r library; do
  install -D -m 755 "$library" "$folder$library"
done
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
fi
printf 'consentry:x:65532:65532::/var/lib/consentry:/nologin\n' >"$folder/etc/passwd"
printf 'consentry:x:65532:\n' >"$folder/etc/group"
install -d -m 1777 "$folder/tmp"
install -d -m 700 -o 65532 -g 65532 "$folder/var/lib/consentry"
