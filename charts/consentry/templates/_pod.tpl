{{/*
One pod for all that run the binary: dict "root", "component", "args", "of" (placing and resources), "listens" (gateway ports),
"serves" (has an operations port), "annotations".

What needs a new pod and what does not: consentry.toml is read at the start, so its digest is an annotation. Certificates, keys,
authorities, revocation lists, the cell file, policies and profiles are read anew by the running process, so theirs is none: a
rollout for each renewed certificate would be for nothing.
*/}}
{{- define "consentry.pod" -}}
{{- $v := .root.Values -}}
{{- $embedded := eq $v.profile "embedded" -}}
metadata:
  labels:
    {{- include "consentry.labels" (dict "root" .root "component" .component) | nindent 4 }}
    {{- if .serves }}
    consentry/metrics: "yes"
    {{- end }}
  annotations:
    consentry/config: {{ include "consentry.toml" .root | sha256sum }}
    {{- if $v.mesh.enabled }}
    {{- include "consentry.meshAnnotations" . | nindent 4 }}
    {{- end }}
    {{- with .of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .account | default (include "consentry.fullname" .root) }}
  automountServiceAccountToken: false
  # Variables of Services would read as configuration: `CONSENTRY_API_PORT`.
  enableServiceLinks: false
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if .restart }}
  restartPolicy: {{ .restart }}
  {{- end }}
  # Longer than a drain takes. No preStop: the process goes on accepting for `drain.beforeSeconds` by itself, and the image has
  # no shell to sleep in.
  terminationGracePeriodSeconds: {{ add $v.drain.beforeSeconds $v.drain.longestSeconds 15 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  {{- with .of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .of.spread (not $embedded) }}
  topologySpreadConstraints:
    {{- range $key, $unsatisfiable := dict "topology.kubernetes.io/zone" .of.spread.zones "kubernetes.io/hostname" .of.spread.nodes }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: {{ $unsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "consentry.selector" (dict "root" $.root "component" $.component) | nindent 10 }}
      # Pods of the version before do not count.
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- if and $embedded (eq .component "gateway") }}
  initContainers:
    # Makes keys where there are none, and leaves those that are there.
    {{- include "consentry.container" (merge (dict "name" "keys" "args" (list "keys" "init")) (omit . "args" "listens" "serves")) | nindent 4 }}
    # Nobody else is at this database: what a Job does elsewhere can be done here.
    {{- include "consentry.container" (merge (dict "name" "migrate" "args" (list "migrate")) (omit . "args" "listens" "serves")) | nindent 4 }}
  {{- end }}
  containers:
    {{- include "consentry.container" . | nindent 4 }}
  volumes:
    {{- include "consentry.volumes" . | nindent 4 }}
{{- end -}}

{{- define "consentry.container" -}}
{{- $v := .root.Values -}}
- name: {{ .name | default .component }}
  image: {{ include "consentry.image" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args: {{ eq .component "model-banks" | ternary .args (concat .args (list "--config" "/etc/consentry/consentry.toml")) | toJson }}
  {{- with $v.env }}
  env:
    {{- range $name, $value := . }}
    - { name: {{ $name }}, value: {{ $value | quote }} }
    {{- end }}
  {{- end }}
  {{- if .ports }}
  ports:
    {{- range .ports }}
    - { name: {{ .name }}, containerPort: {{ .port }} }
    {{- end }}
  {{- else if or .listens .serves }}
  ports:
    {{- if .listens }}
    - { name: pages, containerPort: 8443 }
    - { name: api, containerPort: 8444 }
    {{- if $v.admin.enabled }}
    - { name: admin, containerPort: 8445 }
    {{- end }}
    {{- if $v.cells.enabled }}
    - { name: cells, containerPort: 8446 }
    {{- end }}
    {{- end }}
    - { name: operations, containerPort: 9090 }
  {{- end }}
  {{- if .serves }}
  startupProbe:
    httpGet: { path: /startupz, port: operations }
    periodSeconds: 2
    failureThreshold: 60
  readinessProbe:
    httpGet: { path: /readyz, port: operations }
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
  # Late on purpose: a busy gateway sheds, and a restart would only add to its work.
  livenessProbe:
    httpGet: { path: /livez, port: operations }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  {{- else if .ports }}
  readinessProbe:
    tcpSocket: { port: {{ (first .ports).name }} }
    periodSeconds: 5
  livenessProbe:
    tcpSocket: { port: {{ (first .ports).name }} }
    periodSeconds: 20
  {{- end }}
  resources:
    {{- toYaml .of.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
  volumeMounts:
    {{- range (include "consentry.volumes" . | fromYamlArray) }}
    - { name: {{ .name }}, mountPath: {{ include "consentry.place" .name }}{{ if not (has .name (list "data" "tmp")) }}, readOnly: true{{ end }} }
    {{- end }}
    {{- if and (eq $v.profile "embedded") (eq .component "gateway") }}
    - { name: data, mountPath: /var/lib/consentry }
    {{- end }}
{{- end -}}

{{/* Where a volume is mounted, by its name. None lies within a read-only one, which takes no mount. */}}
{{- define "consentry.place" -}}
{{- if eq . "config" -}}/etc/consentry
{{- else if eq . "data" -}}/var/lib/consentry
{{- else if eq . "pki" -}}/var/lib/consentry/pki
{{- else if eq . "tmp" -}}/tmp
{{- else -}}/run/consentry/{{ . }}
{{- end -}}
{{- end -}}

{{- define "consentry.volumes" -}}
{{- $v := .root.Values -}}
{{- $name := include "consentry.fullname" .root -}}
{{- $embedded := eq $v.profile "embedded" -}}
- name: config
  configMap: { name: {{ .config | default (printf "%s-config" $name) }} }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- $runs := has .component (list "gateway" "worker") -}}
{{- if or (not $embedded) (not $runs) }}
- name: data
  emptyDir: { sizeLimit: 256Mi }
{{- end }}
{{- if eq .component "model-banks" }}
- name: pki
  {{- include "consentry.secretVolume" $v.modelBanks.secret | nindent 2 }}
{{- else }}
{{- if not $embedded }}
- name: database
  {{- include "consentry.secretVolume" $v.database.secret | nindent 2 }}
{{- end }}
{{- end }}
{{- if $runs }}
- name: server
  {{- include "consentry.secretVolume" $v.tls.secret | nindent 2 }}
- name: trust
  {{- if $v.trust.configMap }}
  configMap: { name: {{ $v.trust.configMap }} }
  {{- else if $v.trust.secret }}
  {{- include "consentry.secretVolume" $v.trust.secret | nindent 2 }}
  {{- else }}
  persistentVolumeClaim: { claimName: {{ $v.trust.claim }}, readOnly: true }
  {{- end }}
{{- end }}
{{- if $runs }}
{{- with include "consentry.adminSecret" .root }}
- name: admin
  {{- include "consentry.secretVolume" . | nindent 2 }}
{{- end }}
{{- with $v.bank.secret }}
- name: bank
  {{- include "consentry.secretVolume" . | nindent 2 }}
{{- end }}
{{- if not $embedded }}
- name: keys
  {{- if $v.keys.secret }}
  secret:
    secretName: {{ $v.keys.secret }}
    defaultMode: 0440
    {{- with $v.keys.items }}
    items:
      {{- range $key, $path := . }}
      - { key: {{ $key }}, path: {{ $path }} }
      {{- end }}
    {{- end }}
  {{- else }}
  persistentVolumeClaim: { claimName: {{ $v.keys.claim }}, readOnly: true }
  {{- end }}
{{- end }}
{{- with $v.redis.secret }}
- name: redis
  {{- include "consentry.secretVolume" . | nindent 2 }}
{{- end }}
{{- if $v.cells.enabled }}
- name: cell
  configMap: { name: {{ $name }}-cell }
- name: cell-identity
  {{- include "consentry.secretVolume" $v.cells.secret | nindent 2 }}
{{- end }}
{{- if or $v.banks.profiles $v.banks.deployments }}
- name: banks
  projected:
    defaultMode: 0440
    sources:
      {{- range $v.banks.profiles }}
      - configMap: { name: {{ . }} }
      {{- end }}
      {{- range $v.banks.deployments }}
      - secret: { name: {{ . }} }
      {{- end }}
{{- end }}
{{- with $v.banks.pluginsClaim }}
- name: plugins
  persistentVolumeClaim: { claimName: {{ . }}, readOnly: true }
{{- end }}
{{- range $what, $map := dict "access" $v.policies.access "limits" $v.policies.limits "retention" $v.policies.retention "filter" $v.policies.filter "waf-rules" $v.policies.wafRules }}
{{- if $map }}
- name: policies-{{ $what }}
  configMap: { name: {{ $map }} }
{{- end }}
{{- end }}
{{- with $v.policies.crsClaim }}
- name: policies-crs
  persistentVolumeClaim: { claimName: {{ . }}, readOnly: true }
{{- end }}
{{- end }}
{{- end -}}

{{/* Only the group of the process reads it. */}}
{{- define "consentry.secretVolume" -}}
secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end -}}

{{/*
Linkerd: what is mutual TLS of our own passes by the mesh, coming and going. A mesh that ended it would see TPPs' certificates and
we would not.
*/}}
{{- define "consentry.meshAnnotations" -}}
{{- $v := .root.Values -}}
{{- $out := list -}}
{{- with $v.networkPolicy.egress -}}
{{- $out = concat .database.ports .cells.ports -}}
{{- range .banks }}{{ $out = concat $out .ports }}{{ end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $out }}{{ $ports = append $ports (printf "%d" (int .)) }}{{ end -}}
linkerd.io/inject: {{ .inject | default "enabled" }}
{{- if ne .inject "disabled" }}
config.linkerd.io/skip-inbound-ports: "8443,8444,8445,8446"
config.linkerd.io/skip-outbound-ports: {{ $ports | uniq | sortAlpha | join "," | quote }}
{{- end }}
{{- end -}}
