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
app.kubernetes.io/name: {{ include "oncall-webhooks.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of the pods that answer the API. Not the operator's and one more: its selector would find them too. */}}
{{- define "oncall-webhooks.apiSelectorLabels" -}}
{{- if include "oncall-webhooks.apiApart" . -}}
app.kubernetes.io/name: {{ printf "%s-api" (include "oncall-webhooks.name" . | trunc 59 | trimSuffix "-") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{/* What objects have beside what selectors find them by. */}}
{{- define "oncall-webhooks.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The labels or annotations of several maps, of which a later one wins: none for an empty map.
In goes a list; out comes YAML.
*/}}
{{- define "oncall-webhooks.merged" -}}
{{- $all := dict }}
{{- range . }}
{{- $all = mergeOverwrite $all (deepCopy (default dict .)) }}
{{- end }}
{{- if $all }}
{{- toYaml $all }}
{{- end }}
{{- end }}

{{/*
The annotations of an object: commonAnnotations, and its own. Nothing if there are none.
In goes (list $) or (list $ MAP …); write it as
  {{- with include "oncall-webhooks.annotations" (list $ .annotations) }}
  {{- . | nindent 2 }}
  {{- end }}
*/}}
{{- define "oncall-webhooks.annotations" -}}
{{- $own := rest . }}
{{- with include "oncall-webhooks.merged" (prepend $own (first .).Values.commonAnnotations) -}}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* How a Deployment brings a new revision out: a new pod is ready before an old one stops. In goes (list $ SURGE). */}}
{{- define "oncall-webhooks.rollout" -}}
revisionHistoryLimit: {{ int (first .).Values.revisionHistoryLimit }}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: {{ last . }}
    maxUnavailable: 0
{{- end }}

{{/*
The metadata of pods. In goes a dict: root, selector (the labels that the Deployment finds them by, as YAML), own (the values of
the component).
*/}}
{{- define "oncall-webhooks.podMetadata" -}}
{{- $values := .root.Values -}}
labels:
  {{- include "oncall-webhooks.merged" (list $values.commonLabels $values.podLabels .own.podLabels (fromYaml .selector)) | nindent 2 }}
{{- with include "oncall-webhooks.merged" (list $values.commonAnnotations $values.podAnnotations .own.podAnnotations) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every pod has around its containers. In goes the same dict. */}}
{{- define "oncall-webhooks.pod" -}}
{{- $values := .root.Values -}}
{{- $own := .own -}}
{{- with $values.podSecurityContext -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $values.priorityClassName $own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with default $values.nodeSelector $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $values.affinity $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $values.tolerations $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $selector := dict "labelSelector" (dict "matchLabels" (fromYaml .selector)) "matchLabelKeys" (list "pod-template-hash") }}
{{- with default $values.topologySpreadConstraints $own.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
- {{ toYaml (ternary . (merge (deepCopy .) $selector) (hasKey . "labelSelector")) | indent 2 | trim }}
{{- end }}
{{- end }}
{{- with $values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container has: the image, and no more rights than it needs. */}}
{{- define "oncall-webhooks.container" -}}
{{- $tag := printf ":%s" (default .Chart.AppVersion .Values.image.tag) -}}
image: {{ printf "%s%s" .Values.image.repository (ternary (printf "@%s" .Values.image.digest) $tag (ne .Values.image.digest "")) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The variables of traces, as OpenTelemetry has them; nothing where nothing is traced. */}}
{{- define "oncall-webhooks.tracingEnv" -}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- with .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .name | quote }}
      key: {{ .key | quote }}
{{- end }}
{{- if .caSecret }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: /etc/oncall-webhooks/collector/ca.crt
{{- end }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplingRatio | quote }}
- name: OTEL_RESOURCE_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- $attributes := list (printf "k8s.namespace.name=%s" $.Release.Namespace) "k8s.pod.name=$(OTEL_RESOURCE_POD_NAME)" }}
{{- range $name, $value := .resourceAttributes }}
{{- /* The kubelet takes $(NAME) for a variable, and $$ for a dollar. */}}
{{- $attributes = append $attributes (printf "%s=%s" $name $value | replace "$" "$$") }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret of the API's certificate; nothing where it speaks http. */}}
{{- define "oncall-webhooks.apiTlsSecret" -}}
{{- with .Values.api.tls }}
{{- if .secretName }}
{{- .secretName }}
{{- else if .certificate.enabled }}
{{- printf "%s-tls" (include "oncall-webhooks.apiName" $) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "oncall-webhooks.apiScheme" -}}
{{- ternary "https" "http" (ne (include "oncall-webhooks.apiTlsSecret" .) "") }}
{{- end }}

{{/* Where the API is reached in the cluster. */}}
{{- define "oncall-webhooks.apiUrl" -}}
{{- $scheme := include "oncall-webhooks.apiScheme" . }}
{{- $port := int .Values.api.service.port }}
{{- printf "%s://%s.%s.svc" $scheme (include "oncall-webhooks.fullname" .) .Release.Namespace }}
{{- if ne $port (ternary 443 80 (eq $scheme "https")) }}{{ printf ":%d" $port }}{{ end }}
{{- end }}

{{/* The container of the API, wherever it runs. */}}
{{- define "oncall-webhooks.apiContainer" -}}
{{- $tls := include "oncall-webhooks.apiTlsSecret" . }}
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
{{- if $.Values.metrics.protected }}
- --metrics-protected
{{- end }}
- --log-format={{ .logFormat }}
- --log-filter-file=/etc/oncall-webhooks/log/filter
{{- range $.Values.watchNamespaces }}
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
{{- if $tls }}
- --tls-certificate=/etc/oncall-webhooks/tls/tls.crt
- --tls-key=/etc/oncall-webhooks/tls/tls.key
{{- end }}
{{- if ($.Values.admission).enabled }}
- --admission-address=0.0.0.0:{{ int $.Values.admission.port }}
- --admission-certificate=/etc/oncall-webhooks/admission/tls.crt
- --admission-key=/etc/oncall-webhooks/admission/tls.key
{{- end }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
env:
- name: RUST_LOG
  value: {{ .logLevel | quote }}
{{- with include "oncall-webhooks.tracingEnv" $ | trim }}
{{ . }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
ports:
- name: api
  containerPort: 8081
- name: api-health
  containerPort: 8082
{{- if ($.Values.admission).enabled }}
- name: admission
  containerPort: {{ int $.Values.admission.port }}
{{- end }}
livenessProbe:
  httpGet:
    path: /livez
    port: api-health
readinessProbe:
  httpGet:
    path: /readyz
    port: api-health
{{- if .preStopSeconds }}
# Meanwhile proxies and load balancers learn that calls go to others.
lifecycle:
  preStop:
    sleep:
      seconds: {{ int .preStopSeconds }}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
# The folders, not the files in them: those would stay as they were when a Secret or ConfigMap changes.
{{ include "oncall-webhooks.commonMounts" $ }}
{{- if $tls }}
- name: tls
  mountPath: /etc/oncall-webhooks/tls
  readOnly: true
{{- end }}
{{- if ($.Values.admission).enabled }}
- name: admission
  mountPath: /etc/oncall-webhooks/admission
  readOnly: true
{{- end }}
{{- with .extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A ConfigMap whose key `filter` says which log lines there are. People make it when they need it. */}}
{{- define "oncall-webhooks.logFilter" -}}
{{- printf "%s-log" (include "oncall-webhooks.fullname" . | trunc 59 | trimSuffix "-") }}
{{- end }}

{{/* What the authorities of the collector are in, where traces are sent and it has some of its own. */}}
{{- define "oncall-webhooks.collectorSecret" -}}
{{- with .Values.tracing }}
{{- if and .endpoint .caSecret }}
{{- .caSecret.name }}
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes of both pods, and where their containers have them. */}}
{{- define "oncall-webhooks.commonVolumes" -}}
- name: log
  configMap:
    name: {{ include "oncall-webhooks.logFilter" . | quote }}
    optional: true
{{- with include "oncall-webhooks.collectorSecret" . }}
- name: collector
  secret:
    secretName: {{ . | quote }}
    items:
    - key: {{ $.Values.tracing.caSecret.key | quote }}
      path: ca.crt
    # Nothing depends on traces, a start of the pod neither.
    optional: true
{{- end }}
{{- end }}

{{- define "oncall-webhooks.commonMounts" -}}
- name: log
  mountPath: /etc/oncall-webhooks/log
  readOnly: true
{{- if include "oncall-webhooks.collectorSecret" . }}
- name: collector
  mountPath: /etc/oncall-webhooks/collector
  readOnly: true
{{- end }}
{{- end }}

{{/* The volumes of the pod that this container is in, as a list. */}}
{{- define "oncall-webhooks.apiVolumes" -}}
{{- with include "oncall-webhooks.apiTlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- if (.Values.admission).enabled }}
- name: admission
  secret:
    secretName: {{ include "oncall-webhooks.admissionSecret" . | quote }}
    # Nothing depends on the admission webhook, a start of the pod neither.
    optional: true
{{- end }}
{{- with .Values.api.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Who reaches the API, and its health port: for metrics, since the kubelet of a pod's node always comes through. */}}
{{- define "oncall-webhooks.apiIngress" -}}
- ports:
  - port: api
  {{- with .Values.networkPolicy.apiFrom }}
  from:
    {{- toYaml . | nindent 4 }}
    {{- if $.Values.tests.enabled }}
    # `helm test`.
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ include "oncall-webhooks.testName" $ | quote }}
          app.kubernetes.io/instance: {{ $.Release.Name | quote }}
    {{- end }}
  {{- end }}
- ports:
  - port: api-health
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if (.Values.admission).enabled }}
- ports:
  - port: admission
  {{- with .Values.networkPolicy.admissionFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The Role of the Lease. */}}
{{- define "oncall-webhooks.lease" -}}
{{- printf "%s-lease" (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* With the namespace: releases of the same name may stand in several, each for its own watchNamespaces. */}}
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

{{/* What `helm test` makes. */}}
{{- define "oncall-webhooks.testName" -}}
{{- printf "%s-test" (include "oncall-webhooks.fullname" . | trunc 58 | trimSuffix "-") }}
{{- end }}

{{/* Where it puts its event: where the operator works. */}}
{{- define "oncall-webhooks.testNamespace" -}}
{{- first (append (default list .Values.watchNamespaces) .Release.Namespace) }}
{{- end }}

{{/* The metadata of an object that `helm test` makes: a dict of root, weight (what comes first), and keep (whether it stays until the next test). */}}
{{- define "oncall-webhooks.testMetadata" -}}
labels:
  {{- include "oncall-webhooks.merged" (list (fromYaml (include "oncall-webhooks.commonLabels" .root)) (dict "app.kubernetes.io/name" (include "oncall-webhooks.testName" .root) "app.kubernetes.io/instance" .root.Release.Name)) | nindent 2 }}
{{ include "oncall-webhooks.annotations" (list .root (dict "helm.sh/hook" "test" "helm.sh/hook-weight" (toString .weight) "helm.sh/hook-delete-policy" (ternary "before-hook-creation" "before-hook-creation,hook-succeeded" .keep))) }}
{{- end }}

{{/* That of the policy on who records what was sent. */}}
{{- define "oncall-webhooks.responsePolicy" -}}
{{- printf "%s.responses" (include "oncall-webhooks.changePolicy" .) }}
{{- end }}

{{/* What the names of the roles begin with that become part of view, edit and admin. */}}
{{- define "oncall-webhooks.aggregated" -}}
{{- printf "%s:%s" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}

{{/* The Service of the admission webhook, and what cert-manager makes for it. */}}
{{- define "oncall-webhooks.admission" -}}
{{- printf "%s-admission" (include "oncall-webhooks.fullname" . | trunc 53 | trimSuffix "-") }}
{{- end }}

{{/* The Secret with its certificate. */}}
{{- define "oncall-webhooks.admissionSecret" -}}
{{- default (include "oncall-webhooks.admission" .) .Values.admission.tlsSecretName }}
{{- end }}

{{/* The name of its configuration, which belongs to no namespace. */}}
{{- define "oncall-webhooks.admissionConfiguration" -}}
{{- printf "%s.%s" .Release.Namespace (include "oncall-webhooks.fullname" .) }}
{{- end }}
