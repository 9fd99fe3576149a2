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

{{/* Whether the API has a Deployment and a ServiceAccount of its own: "true", or nothing. */}}
{{- define "oncall-webhooks.apiApart" -}}
{{- if and .Values.api.enabled (eq .Values.api.placement "deployment") }}true{{ end }}
{{- end }}

{{/* The names of what is the API's alone. */}}
{{- define "oncall-webhooks.apiName" -}}
{{- printf "%s-api" (include "oncall-webhooks.fullname" . | trunc 59 | trimSuffix "-") }}
{{- end }}

{{/* The ServiceAccount of the process that is the API: in the operator's pod it is the operator's. */}}
{{- define "oncall-webhooks.apiServiceAccountName" -}}
{{- if not (include "oncall-webhooks.apiApart" .) }}
{{- include "oncall-webhooks.serviceAccountName" . }}
{{- else if .Values.api.serviceAccount.create }}
{{- default (include "oncall-webhooks.apiName" .) .Values.api.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.api.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "oncall-webhooks.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oncall-webhooks.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of the pods that answer the API. Not the operator's and one more: its selector would find them too. */}}
{{- define "oncall-webhooks.apiSelectorLabels" -}}
{{- if include "oncall-webhooks.apiApart" . -}}
app.kubernetes.io/name: {{ printf "%s-api" (include "oncall-webhooks.name" . | trunc 59 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- else }}
{{- include "oncall-webhooks.selectorLabels" . }}
{{- end }}
{{- end }}

{{- define "oncall-webhooks.labels" -}}
{{ include "oncall-webhooks.selectorLabels" . }}
{{ include "oncall-webhooks.commonLabels" . }}
{{- end }}

{{- define "oncall-webhooks.apiLabels" -}}
{{ include "oncall-webhooks.apiSelectorLabels" . }}
{{ include "oncall-webhooks.commonLabels" . }}
{{- end }}

{{- define "oncall-webhooks.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What every pod has around its containers. */}}
{{- define "oncall-webhooks.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container has: the image, and no more rights than it needs. */}}
{{- define "oncall-webhooks.container" -}}
{{- $tag := printf ":%s" (default .Chart.AppVersion .Values.image.tag) -}}
image: {{ printf "%s%s" .Values.image.repository (ternary (printf "@%s" .Values.image.digest) $tag (ne .Values.image.digest "")) | quote }}
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

{{/* The container of the API, wherever it runs. */}}
{{- define "oncall-webhooks.apiContainer" -}}
{{- with .Values.api -}}
name: api
{{ include "oncall-webhooks.container" $ }}
args:
- api
- --address=0.0.0.0:8081
- --health-address=0.0.0.0:8082
- --calls-per-minute={{ int .callsPerMinute }}
- --intake-rate={{ int .intake.rate }}
- --intake-max-open={{ int .intake.maxOpen }}
{{- with .memoryLimit }}
- --memory-limit={{ . }}
{{- end }}
- --log-format={{ .logFormat }}
{{- with $.Values.watchNamespace }}
- --namespace={{ . }}
{{- end }}
{{- with .trustedProxies }}
- --trusted-proxies={{ join "," . }}
{{- end }}
{{- with .tokenIssuers }}
- --token-issuers={{ join "," . }}
{{- end }}
{{- if .allowManaged }}
- --allow-managed
{{- end }}
{{- if .keepCredentialsOnUrlChange }}
- --keep-credentials-on-url-change
{{- end }}
{{- if .tls.secretName }}
- --tls-certificate=/etc/oncall-webhooks/tls/tls.crt
- --tls-key=/etc/oncall-webhooks/tls/tls.key
{{- end }}
env:
- name: RUST_LOG
  value: {{ .logLevel | quote }}
ports:
- name: api
  containerPort: 8081
- name: api-health
  containerPort: 8082
livenessProbe:
  httpGet:
    path: /livez
    port: api-health
readinessProbe:
  httpGet:
    path: /readyz
    port: api-health
resources:
  {{- toYaml .resources | nindent 2 }}
{{- if .tls.secretName }}
volumeMounts:
# The folder, not the files in it: those would stay as they were when the Secret changes.
- name: tls
  mountPath: /etc/oncall-webhooks/tls
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes of the pod that this container is in. */}}
{{- define "oncall-webhooks.apiVolumes" -}}
{{- with .Values.api.tls.secretName -}}
volumes:
- name: tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{/* Who reaches the API. The kubelet of a pod's node always comes through, so nobody else needs the port of its probes. */}}
{{- define "oncall-webhooks.apiIngress" -}}
- ports:
  - port: api
  {{- with .Values.networkPolicy.apiFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The Role of the Lease. */}}
{{- define "oncall-webhooks.lease" -}}
{{- printf "%s-lease" (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* With the namespace: releases of the same name may stand in several, each for its own watchNamespace. */}}
{{- define "oncall-webhooks.reviewer" -}}
{{- printf "%s:%s:reviewer" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* FlowSchemas belong to no namespace, and their names have no colons. */}}
{{- define "oncall-webhooks.flowSchema" -}}
{{- printf "%s.%s" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* The name of the policy on who asks for changes: it belongs to no namespace. */}}
{{- define "oncall-webhooks.changePolicy" -}}
{{- printf "%s.%s" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}
