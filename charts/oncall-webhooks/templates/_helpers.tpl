{{- define "oncall-webhooks.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "oncall-webhooks.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "oncall-webhooks.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "oncall-webhooks.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "oncall-webhooks.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "oncall-webhooks.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "oncall-webhooks.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oncall-webhooks.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oncall-webhooks.labels" -}}
{{ include "oncall-webhooks.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What every container of the pod has: the image, and no more rights than it needs. */}}
{{- define "oncall-webhooks.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "oncall-webhooks.apiScheme" -}}
{{- ternary "https" "http" (ne .Values.api.tls.secretName "") }}
{{- end }}

{{/* The Role of the Lease. */}}
{{- define "oncall-webhooks.lease" -}}
{{- printf "%s-lease" (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* With the namespace: releases of the same name may stand in several, each for its own watchNamespace. */}}
{{- define "oncall-webhooks.reviewer" -}}
{{- printf "%s:%s:reviewer" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}
