{{/* What the platform's own pods have in common. All of them satisfy Pod Security "restricted". */}}

{{/*
(list $.Values.hub "extraEnv") → more entries of a list of a pod: extraContainers, extraInitContainers, extraVolumes,
extraVolumeMounts or extraEnv of any component.
*/}}
{{- define "freepool.more" -}}
{{- with get (index . 0) (index . 1) }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/*
(list $ "extraEnv") → those of the hub, whose configuration the check runs, and of the check itself. What both have, such as
by one YAML anchor, is there once: the API server refuses a pod with two volumes of one name.
*/}}
{{- define "freepool.moreOfCheck" -}}
{{- $values := (index . 0).Values }}{{ $field := index . 1 -}}
{{- $hub := ternary (list) (get $values.hub $field) $values.existingHub.enabled -}}
{{- with concat $hub (get $values.check $field) | uniq }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* (list $ "hub" $.Values.hub) → the top of a pod's spec */}}
{{- define "freepool.podSpec" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $own := index . 2 -}}
{{- if has $component (list "hub" "steward") }}
serviceAccountName: {{ include "freepool.serviceAccount" $root | quote }}
automountServiceAccountToken: true
{{- else }}
automountServiceAccountToken: false
{{- end }}
enableServiceLinks: false
{{- include "freepool.pullSecrets" $root }}
{{- if $root.Values.priorityClasses.create }}
priorityClassName: {{ include "freepool.priorityClass" (list $root "platform") | quote }}
{{- else if $root.Values.priorityClasses.names.platform }}
priorityClassName: {{ $root.Values.priorityClasses.names.platform | quote }}
{{- end }}
securityContext:
  {{- include "freepool.podSecurity" $root | nindent 2 }}
  {{- if eq $component "postgres" }}
  # Only once: with every mount it would let the group write, and PostgreSQL refuses such a folder.
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
{{- include "freepool.placement" (append . $root.Values.platform) }}
{{- end }}

{{/* (list $ "hub" $.Values.hub $.Values.platform) → the nodes that a pod goes to; the last one has the defaults */}}
{{- define "freepool.placement" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $own := index . 2 }}{{ $all := index . 3 -}}
{{- with $own.nodeSelector | default $all.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default $all.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default $all.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.topologySpreadConstraints | default $all.topologySpreadConstraints }}
{{- /* One without a selector would count no pod, and spread nothing. */}}
{{- $selector := dict "matchLabels" (include "freepool.selector" (list $root $component) | fromYaml) }}
topologySpreadConstraints:
  {{- range . }}
  - {{- ternary . (merge (dict "labelSelector" $selector) .) (hasKey . "labelSelector") | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "freepool.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "freepool.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* (list $ "hub" $.Values.hub) → labels of a pod */}}
{{- define "freepool.podLabels" -}}
{{- include "freepool.selector" (list (index . 0) (index . 1)) }}
{{- with merge (dict) (index . 2).podLabels (index . 0).Values.platform.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (list $ $.Values.hub "config" "secrets") → annotations of a pod that is restarted when one of those changes */}}
{{- define "freepool.podAnnotations" -}}
{{- $root := index . 0 }}{{ $own := index . 1 }}{{ $sums := dict -}}
{{- range $what := slice . 2 -}}
{{- $_ := set $sums (printf "checksum/%s" $what) (include (printf "freepool.content.%s" $what) $root | sha256sum) -}}
{{- end -}}
{{- toYaml (merge $sums $own.podAnnotations $root.Values.platform.podAnnotations) -}}
{{- end }}

{{/* Environment and mounts of a process that reads our settings */}}
{{- define "freepool.environment" -}}
- {name: FREEPOOL_SETTINGS, value: /etc/freepool/settings.yaml}
- {name: HOME, value: /tmp}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: FREEPOOL_LOG_FORMAT, value: {{ .Values.logs.format }}}
- {name: FREEPOOL_LOG_LEVEL, value: {{ .Values.logs.level }}}
{{- end }}

{{- define "freepool.mounts" -}}
- {name: config, mountPath: /etc/freepool, readOnly: true}
- {name: state, mountPath: /srv/freepool}
- {name: secrets, mountPath: /srv/freepool/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Keys of clouds, and of the bucket for kept files, for who talks to them */}}
{{- define "freepool.cloudMounts" -}}
{{- if .Values.paid.existingSecret }}
- {name: clouds, mountPath: /srv/clouds, readOnly: true}
{{- end }}
{{- if .Values.bundles.existingSecret }}
- {name: bundles, mountPath: /srv/bundles, readOnly: true}
{{- end }}
{{- end }}

{{- define "freepool.cloudVolumes" -}}
{{- with .Values.paid.existingSecret }}
- name: clouds
  secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- with .Values.bundles.existingSecret }}
- name: bundles
  secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Whether people log in by somebody else's word than a link of ours */}}
{{- define "freepool.loginByProvider" -}}
{{- if ne (dig "kind" "links" .Values.login.settings) "links" }}yes{{ end -}}
{{- end }}

{{/* A weight → annotations of what `check.yaml` applies before an installation or an upgrade */}}
{{- define "freepool.checkHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* The secrets that the hub reads */}}
{{- define "freepool.hubSecrets" -}}
cookies desk ledger-url link people proxy slots steward
{{- if or (include "freepool.loginByProvider" .) (include "freepool.keepsAuthState" .) }} crypt-keys{{ end -}}
{{- end }}

{{/* Whether an authenticator in hub.config keeps auth state, which JupyterHub encrypts with the key crypt-keys */}}
{{- define "freepool.keepsAuthState" -}}
{{- range $section, $options := .Values.hub.config -}}
{{- if and (kindIs "map" $options) (get $options "enable_auth_state") }}yes{{ end -}}
{{- end -}}
{{- end }}

{{/* (list $ "desk" "ledger-url") → the desk's volumes, with only the secrets that are named */}}
{{- define "freepool.volumes" -}}
{{- $root := index . 0 -}}
- name: config
  projected:
    defaultMode: 0440
    sources:
      - configMap: {name: {{ include "freepool.fullname" $root | quote }}}
      {{- if eq (index . 1) "hub" }}
      - configMap: {name: {{ include "freepool.name" (list $root "hub") }}}
      - secret: {name: {{ include "freepool.name" (list $root "hub") }}}
      {{- end }}
- name: state
  {{- /* The steward writes kept files there before they go to the bucket. */}}
  emptyDir: {sizeLimit: {{ ternary $root.Values.bundles.scratch "64Mi" (and (eq (index . 1) "steward") (not (empty $root.Values.bundles.settings))) }}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
- name: secrets
  secret:
    secretName: {{ include "freepool.secretName" $root | quote }}
    # The group is the pod's fsGroup. JupyterHub refuses a cookie secret that others may read.
    defaultMode: 0440
    items:
      {{- range slice . 2 }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}

{{/*
(list $ $.Values.hub) → a pod's init containers: what values add, such as a proxy to the database, and one that migrates
the ledger if needed and waits for a database that is starting.
*/}}
{{- define "freepool.initContainers" -}}
{{- $own := index . 1 -}}
{{- include "freepool.more" (list $own "extraInitContainers") }}
{{- with index . 0 }}
- name: migrate
  image: {{ include "freepool.image" (list . "hub") }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [freepool, migrate, --wait, "300"]
  env:
    {{- include "freepool.environment" . | nindent 4 }}
    {{- include "freepool.more" (list $own "extraEnv") | nindent 4 }}
  resources:
    requests: {cpu: 20m, memory: 64Mi}
    limits: {cpu: "1", memory: 256Mi}
  securityContext:
    {{- include "freepool.containerSecurity" . | nindent 4 }}
  volumeMounts:
    {{- include "freepool.mounts" . | nindent 4 }}
    {{- include "freepool.more" (list $own "extraVolumeMounts") | nindent 4 }}
{{- end }}
{{- end }}

{{/* Options of hub_config/proxy/front.js, as JSON. Its routes outlive it in the pod's own folder. */}}
{{- define "freepool.proxyOptions" -}}
{{- $hub := printf "http://%s:%s" (include "freepool.hubHost" .) (include "freepool.hubPort" .) -}}
{{- $desk := printf "http://%s:8002" (include "freepool.host" (list . "desk")) -}}
{{- $host := "" -}}
{{- with include "freepool.subdomainHost" . }}{{ $host = (urlParse .).hostname }}{{ end -}}
{{- $limits := .Values.proxy.limits -}}
{{- $options := dict
  "modules" "/opt/freepool/proxy/node_modules"
  "port" 8000
  "api" 8001
  "routes" "/tmp/routes.json"
  "hub" $hub
  "desk" $desk
  "deskPath" (printf "%s/services/desk" (ternary "" (printf "/%s" $host) (empty $host)))
  "gate" $desk
  "gatePort" 0
  "relayPath" ""
  "host" $host
  "connections" (int $limits.connections)
  "trustedProxies" (int (include "freepool.trustedProxies" .))
  "limits" (dict
    "headersMs" (mul 1000 $limits.headerSeconds)
    "bodyMs" (mul 1000 $limits.bodySeconds)
    "uploadIdleMs" (mul 1000 $limits.uploadIdleSeconds)
    "keepAliveMs" (mul 1000 $limits.keepAliveSeconds)) -}}
{{- if .Values.proxy.tls.secretName -}}
{{- $public := urlParse (include "freepool.public" .) -}}
{{- if or .Values.proxy.extraArgs (ne $public.scheme "https") -}}
{{- fail "proxy.tls: set public to the https:// address that the certificate is for, and remove proxy.extraArgs." -}}
{{- end -}}
{{- if or .Values.ingress.enabled .Values.gateway.enabled -}}
{{- fail "proxy.tls: an Ingress or gateway ends TLS already, and what it passes on would be sent back to https: choose one." -}}
{{- end -}}
{{- $_ := set $options "tls" (dict "port" 8443 "certificate" "/srv/tls/tls.crt" "key" "/srv/tls/tls.key"
      "host" $public.hostname "publicPort" (regexFind ":[0-9]+$" $public.host | trimPrefix ":")) -}}
{{- end -}}
{{- $options | toJson -}}
{{- end }}
