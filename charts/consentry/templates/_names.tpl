{{/* Names, labels, the image. */}}

{{- define "consentry.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes of a workload: its selector. */}}
{{- define "consentry.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "consentry.labels" -}}
{{ include "consentry.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
consentry/regions: {{ join "_" .root.Values.regions }}
{{- end -}}

{{- define "consentry.image" -}}
{{- with .Values.image -}}
{{- $place := list .registry .repository | compact | join "/" -}}
{{- if .digest -}}
{{ $place }}@{{ .digest }}
{{- else -}}
{{ $place }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Hook and sync wave of what a migration needs. Helm goes by weight, Argo CD by wave; a plain Job has the wave alone. */}}
{{- define "consentry.migrateAnnotations" -}}
{{- if eq .root.Values.migrate.mode "hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .order | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{ end -}}
argocd.argoproj.io/sync-wave: {{ .order | quote }}
{{- end -}}
