{{/*
consentry.toml and cell.toml. Values are written as JSON, whose strings, numbers, booleans and lists are TOML's, too.
Secrets are named by their files and never stand here.
*/}}

{{/* Files of a mounted folder as a list: dict "folder" "files". */}}
{{- define "consentry.files" -}}
{{- $paths := list -}}
{{- range .files }}{{ $paths = append $paths (printf "%s/%s" $.folder .) }}{{ end -}}
{{ toRawJson $paths }}
{{- end -}}

{{- define "consentry.toml" -}}
{{- $v := .Values -}}
{{- $trust := "/run/consentry/trust" -}}
{{- $embedded := eq $v.profile "embedded" -}}
# Made by the chart from its values. CONSENTRY_<SECTION>_<KEY> goes before what stands here.

[public]
issuer = {{ toRawJson $v.public.issuer }}
api = {{ toRawJson $v.public.api }}

[listen]
pages = "0.0.0.0:8443"
api = "0.0.0.0:8444"
{{- if $v.admin.enabled }}
admin = "0.0.0.0:8445"
{{- end }}
operations = "0.0.0.0:9090"

[node]
data_dir = "/var/lib/consentry"
{{- if not $embedded }}
key_dir = "/run/consentry/keys"
{{- end }}

[drain]
before = "{{ $v.drain.beforeSeconds }}s"
longest = "{{ $v.drain.longestSeconds }}s"

[regions]
held = {{ toRawJson $v.regions }}
{{- if $v.cells.enabled }}
cell_file = "/run/consentry/cell/cell.toml"
{{- end }}

[tls]
certificate = "/run/consentry/server/tls.crt"
key = "/run/consentry/server/tls.key"
{{- with $v.tls.ocspResponseKey }}
ocsp_response = "/run/consentry/server/{{ . }}"
{{- end }}
client_authorities = {{ include "consentry.files" (dict "folder" $trust "files" $v.tls.clientAuthorities) }}
{{- with $v.tls.qwacIssuers }}
qwac_issuers = {{ include "consentry.files" (dict "folder" $trust "files" .) }}
{{- end }}
{{- with $v.tls.openBankingIssuers }}
open_banking_issuers = {{ include "consentry.files" (dict "folder" $trust "files" .) }}
{{- end }}
revocation = {{ toRawJson $v.tls.revocation }}
{{- with $v.tls.revocationLists }}
revocation_lists = {{ include "consentry.files" (dict "folder" $trust "files" .) }}
{{- end }}
{{- with $v.tls.ocspHosts }}
ocsp_hosts = {{ toRawJson . }}
{{- end }}
{{- if $v.admin.enabled }}

[admin]
{{- if include "consentry.adminSecret" . }}
certificate = "/run/consentry/admin/tls.crt"
key = "/run/consentry/admin/tls.key"
{{- end }}
authorities = {{ include "consentry.files" (dict "folder" $trust "files" $v.admin.authorities) }}
viewers = {{ toRawJson $v.admin.viewers }}
operators = {{ toRawJson $v.admin.operators }}
{{- end }}
{{- if $v.bank.secret }}

[bank]
certificate = "/run/consentry/bank/{{ $v.bank.certificateKey }}"
key = "/run/consentry/bank/{{ $v.bank.privateKey }}"
seal_certificate = "/run/consentry/bank/{{ $v.bank.sealCertificateKey }}"
seal_key = "/run/consentry/bank/{{ $v.bank.sealPrivateKey }}"
authorities = {{ include "consentry.files" (dict "folder" $trust "files" $v.bank.authorities) }}
{{- end }}

{{- if not $embedded }}

[database]
# The schema may be brought up to date while pods start.
patience = "15m"
url_file = "/run/consentry/database/{{ $v.database.urlKey }}"
{{- with $v.database.globalUrlKey }}
global_url_file = "/run/consentry/database/{{ . }}"
{{- end }}
{{- end }}
{{- if $v.redis.secret }}

[redis]
url_file = "/run/consentry/redis/{{ $v.redis.urlKey }}"
{{- end }}

[banks]
{{- if or $v.banks.profiles $v.banks.deployments }}
folders = ["/run/consentry/banks"]
{{- end }}
embedded = {{ $v.banks.embedded }}
{{- if $v.banks.pluginsClaim }}
plugins = "/run/consentry/plugins"
{{- end }}
{{- with include "consentry.policyLines" . }}

[policies]
{{ . }}
{{- end }}

[filter]
mode = {{ toRawJson $v.filter.mode }}
{{- with include "consentry.filterLines" . }}
{{ . }}
{{- end }}
{{- with $v.webhooks.proxy }}

[webhooks]
proxy = {{ toRawJson . }}
{{- end }}
{{- with $v.telemetry.otlpEndpoint }}

[telemetry]
otlp_endpoint = {{ toRawJson . }}
sample_per_mille = {{ int $v.telemetry.samplePerMille }}
{{- end }}

[work]
here = {{ not (include "consentry.workers" .) }}

[log]
format = {{ toRawJson $v.log.format }}
level = {{ toRawJson $v.log.level }}
{{ end -}}

{{/* Files stand by their names, folders as a whole. */}}
{{- define "consentry.policyLines" -}}
{{- $lines := list -}}
{{- with .Values.policies -}}
{{- if .access }}{{ $lines = append $lines "access = \"/run/consentry/policies-access\"" }}{{ end -}}
{{- if .limits }}{{ $lines = append $lines "limits = \"/run/consentry/policies-limits/limits.toml\"" }}{{ end -}}
{{- if .retention }}{{ $lines = append $lines "retention = \"/run/consentry/policies-retention/retention.toml\"" }}{{ end -}}
{{- end -}}
{{ join "\n" $lines }}
{{- end -}}

{{- define "consentry.filterLines" -}}
{{- $lines := list -}}
{{- with .Values.policies -}}
{{- if .filter }}{{ $lines = append $lines "policy = \"/run/consentry/policies-filter/filter.toml\"" }}{{ end -}}
{{- if .wafRules }}{{ $lines = append $lines "rules = \"/run/consentry/policies-waf-rules\"" }}{{ end -}}
{{- if .crsClaim }}{{ $lines = append $lines "core_rule_set = \"/run/consentry/policies-crs\"" }}{{ end -}}
{{- end -}}
{{ join "\n" $lines }}
{{- end -}}

{{- define "consentry.cellToml" -}}
{{- $v := .Values -}}
{{- $trust := "/run/consentry/trust" -}}
# Made by the chart from its values. What it is: docs/residency.md.
name = {{ toRawJson $v.cells.name }}
regions = {{ toRawJson $v.regions }}
{{- with $v.cells.standsIn }}
stands_in = {{ toRawJson . }}
{{- end }}
listen = "0.0.0.0:8446"
certificate = "/run/consentry/cell-identity/tls.crt"
key = "/run/consentry/cell-identity/tls.key"
trust = "{{ $trust }}/{{ $v.cells.trust }}"
{{- range $v.cells.neighbours }}

[[neighbour]]
name = {{ toRawJson .name }}
regions = {{ toRawJson .regions }}
address = {{ toRawJson .address }}
certificates = {{ include "consentry.files" (dict "folder" $trust "files" .certificates) }}
api = {{ toRawJson .api }}
pages = {{ toRawJson .pages }}
across = {{ .across | default "forward" | toRawJson }}
{{- end }}
{{- with $v.cells.shadow }}

[shadow]
name = {{ toRawJson .name }}
address = {{ toRawJson .address }}
certificates = {{ include "consentry.files" (dict "folder" $trust "files" .certificates) }}
per_mille = {{ .perMille }}
{{- end }}
{{- range $v.cells.originals }}

[[original]]
name = {{ toRawJson .name }}
certificates = {{ include "consentry.files" (dict "folder" $trust "files" .certificates) }}
{{- end }}
{{ end -}}

{{/* Whether background work has pods of its own. */}}
{{- define "consentry.workers" -}}
{{- if and .Values.worker.enabled (eq .Values.profile "cluster") -}}yes{{- end -}}
{{- end -}}

{{/* The Secret of the operators' interface, if it has one of its own. */}}
{{- define "consentry.adminSecret" -}}
{{- if .Values.admin.enabled -}}
{{- if .Values.admin.secret -}}
{{ .Values.admin.secret }}
{{- else if and .Values.certManager.enabled .Values.certManager.admin.issuer.name -}}
{{ include "consentry.fullname" . }}-admin-tls
{{- end -}}
{{- end -}}
{{- end -}}
