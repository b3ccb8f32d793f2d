{{/* What the schema cannot say: values that do not go together. Each says what to do. */}}
{{- define "consentry.checks" -}}
{{- $v := .Values -}}
{{- $embedded := eq $v.profile "embedded" -}}
{{- $trusts := 0 -}}
{{- range list $v.trust.configMap $v.trust.secret $v.trust.claim -}}
{{- if . }}{{ $trusts = add $trusts 1 }}{{ end -}}
{{- end -}}
{{- if ne (int $trusts) 1 -}}
{{- fail "trust: name one of configMap, secret and claim; set the others to \"\"" -}}
{{- end -}}
{{- if and (not $embedded) (not $v.database.secret) -}}
{{- fail "database.secret: several gateways need PostgreSQL; name the Secret with its address, or take profile embedded" -}}
{{- end -}}
{{- if not $embedded -}}
{{- if eq (empty $v.keys.secret) (empty $v.keys.claim) -}}
{{- fail "keys: name either secret or claim; set the other to \"\"" -}}
{{- end -}}
{{- end -}}
{{- if and $embedded $v.cells.enabled -}}
{{- fail "cells.enabled: cells share a global database, which an embedded one has not; take profile cluster" -}}
{{- end -}}
{{- if and $embedded $v.externalSecrets.enabled (or $v.externalSecrets.database $v.externalSecrets.redis $v.externalSecrets.keys) -}}
{{- fail "externalSecrets: an embedded one has its database and keys on its volume; only bank can be named" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled (not $embedded) (eq $v.migrate.mode "hook") -}}
{{- fail "migrate.mode: a hook runs before External Secrets make what it needs; take job" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled (not $v.externalSecrets.store.name) -}}
{{- fail "externalSecrets.store.name: name the store" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled $v.externalSecrets.redis (not $v.redis.secret) -}}
{{- fail "redis.secret: name the Secret that externalSecrets.redis is to become" -}}
{{- end -}}
{{- if gt (int $v.gateway.autoscaling.minReplicas) (int $v.gateway.autoscaling.maxReplicas) -}}
{{- fail "gateway.autoscaling: minReplicas is larger than maxReplicas" -}}
{{- end -}}
{{- if and $v.cells.enabled (not $v.cells.name) -}}
{{- fail "cells.name: name the cell" -}}
{{- end -}}
{{- if and $v.cells.enabled $v.certManager.enabled $v.certManager.cells.issuer.name (not $v.certManager.cells.dnsNames) -}}
{{- fail "certManager.cells.dnsNames: name what neighbours dial" -}}
{{- end -}}
{{- if and $v.monitoring.rules.enabled (not $v.monitoring.rules.runbooks) -}}
{{- fail "monitoring.rules.runbooks: say where the runbooks are" -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled -}}
{{- fail "monitoring: serviceMonitor and podMonitor together count everything twice; enable one" -}}
{{- end -}}
{{- range $name, $_ := $v.env -}}
{{- if has $name (list "CONSENTRY_DATABASE_URL" "CONSENTRY_DATABASE_GLOBAL_URL" "CONSENTRY_REDIS_URL") -}}
{{- fail (printf "env: %s would put a secret into the pod; it is read from database.secret or redis.secret" $name) -}}
{{- end -}}
{{- end -}}
{{- if le (float64 ($v.certManager.duration | trimSuffix "h")) (float64 ($v.certManager.renewBefore | trimSuffix "h")) -}}
{{- fail "certManager.renewBefore: is not shorter than duration" -}}
{{- end -}}
{{- if and $v.cells.enabled (eq $v.cells.standsIn (join "," $v.regions)) -}}
{{- fail "cells.standsIn: is the region that it holds; leave it empty" -}}
{{- end -}}
{{- end -}}
