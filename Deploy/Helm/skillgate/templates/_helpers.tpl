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
