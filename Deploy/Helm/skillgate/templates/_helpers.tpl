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
{{- $own := dict "listeners" (list $listener) "admin" (dict "address" "0.0.0.0:9090") }}
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
{{- fail "replicas.minimum is more than replicas.maximum" }}
{{- end }}
{{- end }}
