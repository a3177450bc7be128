{{/* The pod of one role: (dict "root" $ "role" "all|api|worker"). */}}
{{- define "sdxl.pod" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $generates := ne .role "api" }}
{{- $of := $generates | ternary $values.worker $values.api }}
{{- $gpu := $values.worker.gpu }}
{{- $claims := and $generates (gt (int $gpu.count) 0) (or $gpu.deviceClass $gpu.claimTemplate) }}
metadata:
  labels:
    {{- include "sdxl.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ toJson $values.config | sha256sum }}
    {{- with $of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sdxl.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- include "sdxl.pullSecrets" $root | nindent 2 }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  # The drain, and what the process needs to end after it.
  terminationGracePeriodSeconds: {{ add 10 (max (int $values.drain.seconds) (int $values.drain.shutdownDelay)) }}
  {{- if $generates }}
  {{- with $values.worker.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      labelSelector:
        matchLabels:
          {{- include "sdxl.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.role }}
    {{- end }}
  {{- end }}
  {{- if $claims }}
  resourceClaims:
    - name: gpu
      resourceClaimTemplateName: {{ default (printf "%s-gpu" (include "sdxl.fullname" $root)) $gpu.claimTemplate }}
  {{- end }}
  containers:
    - name: {{ .role }}
      image: {{ include "sdxl.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      ports:
        {{- if ne .role "worker" }}
        - { name: http, containerPort: 8000 }
        {{- end }}
        - { name: metrics, containerPort: 9000 }
      envFrom:
        {{- include "sdxl.envFrom" $root | nindent 8 }}
      env:
        - { name: ROLE, value: {{ .role }} }
        - { name: DRAIN_SECONDS, value: {{ $values.drain.seconds | quote }} }
        - { name: SHUTDOWN_DELAY, value: {{ $values.drain.shutdownDelay | quote }} }
        {{- include "sdxl.env" $root | nindent 8 }}
        {{- if $generates }}
        - { name: REQUIRE_GPU, value: {{ gt (int $gpu.count) 0 | quote }} }
        {{- if gt (int $gpu.count) 1 }}
        - { name: ENGINE_DEVICES, value: {{ untilStep 0 (int $gpu.count) 1 | join "," | quote }} }
        {{- end }}
        {{- if or $values.models.pull.enabled (eq $values.models.volume "image") }}
        - { name: HF_HUB_OFFLINE, value: 'true' }
        {{- end }}
        {{- if eq $values.models.volume "image" }}
        - { name: CUDA_CACHE_PATH, value: /data/cuda }
        {{- end }}
        {{- end }}
        {{- if ne .role "worker" }}
        {{- with include "sdxl.address" $root }}
        {{- if not (hasKey $values.config "SERVICE_URL") }}
        - { name: SERVICE_URL, value: {{ . | quote }} }
        {{- end }}
        {{- if not (hasKey $values.config "TRUST_PROXY") }}
        - { name: TRUST_PROXY, value: '1' }
        {{- end }}
        {{- end }}
        {{- if $values.auth.existingSecret }}
        - { name: API_KEYS_FILE, value: /etc/image-service/{{ $values.auth.key }} }
        - { name: ALLOW_ANONYMOUS, value: 'false' }
        {{- else }}
        - { name: ALLOW_ANONYMOUS, value: 'true' }
        {{- end }}
        {{- else }}
        - { name: ALLOW_ANONYMOUS, value: 'true' } # of health and metrics alone
        {{- end }}
        {{- with $of.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      # The process answers in seconds; a model that takes an hour to come keeps it from being ready, not from living.
      startupProbe:
        httpGet: { path: /health/live, port: metrics }
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /health/live, port: metrics }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /health/ready, port: metrics }
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      resources:
        {{- $resources := deepCopy $of.resources }}
        {{- if $claims }}
        {{- $resources = set $resources "claims" (list (dict "name" "gpu")) }}
        {{- else if and $generates (gt (int $gpu.count) 0) }}
        {{- $resources = set $resources "limits" (merge (dict $gpu.resource (int $gpu.count)) (default dict $resources.limits)) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      volumeMounts:
        {{- include "sdxl.mounts" $root | nindent 8 }}
        {{- if $generates }}
        - { name: models, mountPath: /models }
        {{- end }}
        {{- if and $values.auth.existingSecret (ne .role "worker") }}
        - { name: keys, mountPath: /etc/image-service, readOnly: true }
        {{- end }}
  volumes:
    {{- include "sdxl.volumes" $root | nindent 4 }}
    {{- if eq .role "all" }}
    - name: data
      persistentVolumeClaim: { claimName: {{ default (printf "%s-data" (include "sdxl.fullname" $root)) $values.data.existingClaim }} }
    {{- else }}
    - { name: data, emptyDir: { sizeLimit: {{ $values.data.size }} } }
    {{- end }}
    {{- if $generates }}
    {{- include "sdxl.models" $root | nindent 4 }}
    {{- end }}
    {{- if and $values.auth.existingSecret (ne .role "worker") }}
    - { name: keys, secret: { secretName: {{ $values.auth.existingSecret }} } }
    {{- end }}
{{- end }}

{{- define "sdxl.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - { name: {{ . }} }
  {{- end }}
{{- end }}
{{- end }}

{{- define "sdxl.envFrom" -}}
- configMapRef: { name: {{ include "sdxl.fullname" . }} }
{{- with .Values.secrets.existingSecret }}
- secretRef: { name: {{ . }} }
{{- end }}
{{- end }}

{{/* What all processes have alike. */}}
{{- define "sdxl.env" -}}
- { name: HOST, value: {{ .Values.listen | quote }} }
- { name: PORT, value: '8000' }
- { name: METRICS_PORT, value: '9000' }
- { name: DATA_DIR, value: /data }
- { name: HF_HOME, value: /models }
- { name: HOME, value: /tmp }
{{- if .Values.modelsFile }}
- { name: MODELS_FILE, value: /etc/image-models/models.yaml }
{{- end }}
{{- end }}

{{- define "sdxl.mounts" -}}
- { name: tmp, mountPath: /tmp }
- { name: data, mountPath: /data }
{{- if .Values.modelsFile }}
- { name: models-file, mountPath: /etc/image-models, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of these; each pod adds its own `data`. */}}
{{- define "sdxl.volumes" -}}
- { name: tmp, emptyDir: {} }
{{- if .Values.modelsFile }}
- { name: models-file, configMap: { name: {{ include "sdxl.fullname" . }}-models } }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sdxl.models" -}}
- name: models
{{- if eq .Values.models.volume "claim" }}
  persistentVolumeClaim: { claimName: {{ default (printf "%s-models" (include "sdxl.fullname" .)) .Values.models.claim.existingClaim }} }
{{- else if eq .Values.models.volume "image" }}
  image:
    {{- toYaml .Values.models.image | nindent 4 }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}
