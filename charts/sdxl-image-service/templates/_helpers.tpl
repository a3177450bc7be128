{{- define "sdxl.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sdxl.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "sdxl.name" .) .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "sdxl.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sdxl.selector" -}}
app.kubernetes.io/name: {{ include "sdxl.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sdxl.labels" -}}
{{ include "sdxl.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of one object: (list $ "suffix"). */}}
{{- define "sdxl.metadata" -}}
{{- $root := first . -}}
name: {{ include "sdxl.fullname" $root }}{{ with last . }}-{{ . }}{{ end }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "sdxl.labels" $root | nindent 2 }}
{{- end }}

{{- define "sdxl.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "sdxl.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "sdxl.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The role of the pods that take requests. */}}
{{- define "sdxl.front" -}}
{{- eq .Values.mode "embedded" | ternary "all" "api" }}
{{- end }}

{{/* Where callers reach the service, as far as the chart knows. */}}
{{- define "sdxl.address" -}}
{{- if .Values.ingress.enabled }}{{ with .Values.ingress.host }}{{ ternary "https" "http" (ne $.Values.ingress.tlsSecret "") }}://{{ . }}{{ end }}
{{- else if .Values.httpRoute.enabled }}{{ with .Values.httpRoute.hostnames }}https://{{ first . }}{{ end }}
{{- end }}
{{- end }}

{{/* Refuses what a schema cannot see. */}}
{{- define "sdxl.check" -}}
{{- range $name, $where := dict "DRAIN_SECONDS" "drain.seconds" "SHUTDOWN_DELAY" "drain.shutdownDelay" "ROLE" "mode" "ENGINE_DEVICES" "worker.gpu.count" "REQUIRE_GPU" "worker.gpu.count" "API_KEYS" "auth.existingSecret" "API_KEYS_FILE" "auth.existingSecret" "ALLOW_ANONYMOUS" "auth.anonymous" "HF_HUB_OFFLINE" "models.pull" "HOST" "listen" "MODELS_FILE" "modelsFile" }}
{{- if hasKey $.Values.config $name }}{{ fail (printf "config.%s must not be set: the chart sets it by %s" $name $where) }}{{ end }}
{{- end }}
{{- range list "PORT" "METRICS_PORT" "DATA_DIR" "HF_HOME" }}
{{- if hasKey $.Values.config . }}{{ fail (printf "config.%s must not be set: the chart's probes, services and volumes count on it" .) }}{{ end }}
{{- end }}
{{- range list "REDIS_URL" "URL_SECRET" "WEBHOOK_SECRET" "HF_TOKEN" "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" }}
{{- if hasKey $.Values.config . }}{{ fail (printf "config.%s must not be set: it is secret, so it belongs in the secret that secrets.existingSecret names" .) }}{{ end }}
{{- end }}
{{- $open := or .Values.ingress.enabled .Values.httpRoute.enabled (ne .Values.service.type "ClusterIP") }}
{{- if not .Values.auth.existingSecret }}
{{- if eq .Values.auth.anonymous "never" }}{{ fail "auth.existingSecret must name a secret with the API keys, as auth.anonymous is never" }}{{ end }}
{{- if and $open (eq .Values.auth.anonymous "inCluster") }}
{{- fail "auth.existingSecret must name a secret with the API keys: ingress, httpRoute and a service.type other than ClusterIP open the service to others than the cluster. If everybody may call, set auth.anonymous=everywhere" }}
{{- end }}
{{- end }}
{{- $gpu := .Values.worker.gpu }}
{{- if and (gt (int $gpu.count) 1) (regexMatch "(^|/)mig[-.]" (default $gpu.resource $gpu.deviceClass)) }}
{{- fail "worker.gpu.count must be 1 with slices of a GPU: a process sees one MIG instance, whatever its pod has. Set worker.replicas" }}
{{- end }}
{{- $auto := .Values.worker.autoscaling }}
{{- if and (eq $auto.type "keda") (eq (int $auto.minReplicas) 0) (or .Values.config.MEMORY_LORAS .Values.config.SUBJECT_LORAS) }}
{{- fail "worker.autoscaling.minReplicas must be at least 1 with config.MEMORY_LORAS or config.SUBJECT_LORAS: while no worker is there, nobody knows which LoRAs there are, so each request of these routes is refused and brings none" }}
{{- end }}
{{- if .Values.models.pull.enabled }}
{{- if not .Values.worker.enabled }}{{ fail "models.pull must not be enabled without worker.enabled: the claim that it fills is the workers'" }}{{ end }}
{{- if not (has "ReadWriteMany" .Values.models.claim.accessModes) }}
{{- fail "models.claim.accessModes must hold ReadWriteMany for models.pull, whose job may be on another node than the workers. Without models.pull a worker downloads what it lacks itself" }}
{{- end }}
{{- end }}
{{- if and (eq .Values.models.volume "claim") (ne .Values.mode "embedded") .Values.worker.enabled (not .Values.models.claim.existingClaim) }}
{{- $most := eq $auto.type "none" | ternary (default 1 .Values.worker.replicas) $auto.maxReplicas }}
{{- if and (gt (int $most) 1) (not (has "ReadWriteMany" .Values.models.claim.accessModes)) }}
{{- fail "models.claim.accessModes must hold ReadWriteMany for several workers; or models.volume must be image or none" }}
{{- end }}
{{- end }}
{{- end }}
