{{- define "skillgate.name" -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "skillgate.selector" -}}
app.kubernetes.io/name: skillgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "skillgate.labels" -}}
{{ include "skillgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The name of the port that messages come to. */ -}}
{{- define "skillgate.port" -}}
{{ if .Values.tlsSecretName }}https{{ else }}http{{ end }}
{{- end }}

{{- /* The configuration with the chart's own listeners. */ -}}
{{- define "skillgate.configuration" -}}
{{- $listener := dict "address" "0.0.0.0:8080" }}
{{- if .Values.tlsSecretName }}
{{- $listener = dict "address" "0.0.0.0:8443" "tls" (dict "certificateChainFile" "/etc/skillgate/tls/tls.crt" "privateKeyFile" "/etc/skillgate/tls/tls.key") }}
{{- end }}
{{- $admin := merge (dict "address" "0.0.0.0:9090") (default dict .Values.configuration.admin) (dict "openTo" "metrics") }}
{{- if $admin.tls }}{{ fail "configuration.admin.tls: the chart's probes and ServiceMonitor speak plain HTTP to the admin listener" }}{{ end }}
{{- $own := dict "listeners" (list $listener) "admin" $admin }}
{{- toYaml (merge $own .Values.configuration) }}
{{- end }}


{{- /* A duration of the configuration, such as 500ms, 30s or 5m, in whole seconds, rounded up. */ -}}
{{- define "skillgate.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int }}
{{- if hasSuffix "ms" . }}{{ div (add $number 999) 1000 }}
{{- else if hasSuffix "s" . }}{{ $number }}
{{- else if hasSuffix "m" . }}{{ mul $number 60 }}
{{- else }}{{ mul $number 3600 }}
{{- end }}
{{- end }}

{{- /* Longer than the gateway drains: its own defaults are 5 s and 30 s. */ -}}
{{- define "skillgate.grace" -}}
{{- $drain := default dict .Values.configuration.drain }}
{{- $notice := include "skillgate.seconds" (default "5s" $drain.notice) | int }}
{{- $timeout := include "skillgate.seconds" (default "30s" $drain.timeout) | int }}
{{- add $notice $timeout 10 }}
{{- end }}

{{- define "skillgate.check" -}}
{{- $idempotency := default dict .Values.configuration.idempotency }}
{{- if and (gt (int .Values.replicas.maximum) 1) (ne (default "memory" $idempotency.store) "redis") }}
{{- fail "replicas.maximum is more than 1 and configuration.idempotency.store is not redis: replicas that do not share their records send a retry a second time" }}
{{- end }}
{{- if gt (int .Values.replicas.minimum) (int .Values.replicas.maximum) }}
{{- fail (printf "replicas.minimum is %d and replicas.maximum %d; expected a minimum that is not more" (int .Values.replicas.minimum) (int .Values.replicas.maximum)) }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if or (hasPrefix "SKILLGATE_DRAIN_" .name) (eq .name "SKILLGATE_EVENT_LOOPS") }}
{{- fail (printf "extraEnv sets %s; expected configuration.drain and cpu, which the time to end and the requests follow" .name) }}
{{- end }}
{{- end }}
{{- if and (ne .Values.service.type "ClusterIP") .Values.networkPolicy.enabled (empty .Values.networkPolicy.extraIngress) }}
{{- fail "service.type lets clients in from outside the cluster, and networkPolicy.extraIngress names none of them: their messages would be dropped" }}
{{- end }}
{{- end }}
