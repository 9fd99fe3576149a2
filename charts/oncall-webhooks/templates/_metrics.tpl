{{/* The names of the Services that metrics are read from. */}}
{{- define "oncall-webhooks.metricsName" -}}
{{- printf "%s-metrics" (include "oncall-webhooks.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{- define "oncall-webhooks.apiMetricsName" -}}
{{- printf "%s-api-metrics" (include "oncall-webhooks.fullname" . | trunc 51 | trimSuffix "-") }}
{{- end }}

{{/* Whether the API runs in the operator's pod: "true", or nothing. */}}
{{- define "oncall-webhooks.apiBeside" -}}
{{- if and .Values.api.enabled (not (include "oncall-webhooks.apiApart" .)) }}true{{ end }}
{{- end }}

{{/* What finds the pods of the operator and of the API, or the Services in front of them. */}}
{{- define "oncall-webhooks.metricsSelector" -}}
matchLabels:
  app.kubernetes.io/instance: {{ .Release.Name | quote }}
matchExpressions:
- key: app.kubernetes.io/name
  operator: In
  values:
  - {{ include "oncall-webhooks.name" . | quote }}
  {{- if include "oncall-webhooks.apiApart" . }}
  - {{ index (include "oncall-webhooks.apiSelectorLabels" . | fromYaml) "app.kubernetes.io/name" | quote }}
  {{- end }}
{{- end }}

{{/* The metadata of an object of the Prometheus operator: a dict of root, values (its own), and name. */}}
{{- define "oncall-webhooks.monitorMetadata" -}}
name: {{ .name | quote }}
namespace: {{ default .root.Release.Namespace .values.namespace | quote }}
labels:
  {{- include "oncall-webhooks.merged" (list (fromYaml (include "oncall-webhooks.labels" .root)) .values.labels) | nindent 2 }}
{{- with include "oncall-webhooks.annotations" (list .root .values.annotations) }}
{{ . }}
{{- end }}
{{- end }}

{{/* How a port is scraped: a dict of port, values (those of the ServiceMonitor or PodMonitor), and ownToken, whether Prometheus' own
token is sent. */}}
{{- define "oncall-webhooks.scrape" -}}
- port: {{ .port }}
  path: /metrics
  # `namespace` is that of the webhook, not that of the pod.
  honorLabels: {{ .values.honorLabels }}
  {{- with .values.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .values.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .values.authorization }}
  authorization:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .ownToken (not .values.authorization) }}
  bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
  {{- end }}
  {{- with .values.relabelings }}
  relabelings:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.metricRelabelings }}
  metricRelabelings:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
