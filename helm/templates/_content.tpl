{{/* What the ConfigMaps and Secrets hold. Pods carry a checksum of it, so that a change restarts what reads it. */}}

{{/* Proxies in front of the chart's own. */}}
{{- define "freepool.trustedProxies" -}}
{{- ternary (ternary 1 0 (or .Values.ingress.enabled .Values.gateway.enabled)) .Values.trustedProxies (kindIs "invalid" .Values.trustedProxies) -}}
{{- end }}

{{- define "freepool.content.config" -}}
settings.yaml: |
  {{- include "freepool.settings" . | nindent 2 }}
catalog.yaml: |
  {{- include "freepool.catalog" . | nindent 2 }}
{{- with .Values.links.certificates }}
links.pem: |
  {{- trim . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "freepool.settings" -}}
catalog: /etc/freepool/catalog.yaml
state: /srv/freepool
examples: /opt/freepool/examples
shared_database: true
address: ""  # every address, IPv4 and IPv6
hub_host: {{ include "freepool.hubHost" . }}
hub_port: {{ include "freepool.hubPort" . }}
{{- if not .Values.existingHub.enabled }}
proxy_host: {{ include "freepool.host" (list . "proxy-api") }}
proxy_api_port: 8001
instance_desk_url: http://{{ include "freepool.host" (list . "proxy") }}:{{ .Values.proxy.service.port }}/services/desk/
{{- end }}
desk_host: {{ include "freepool.host" (list . "desk") }}
desk_port: 8002
public: {{ include "freepool.public" . | quote }}
{{- include "freepool.hubs" . }}
{{- if or .Values.steward.notifyUrl .Values.steward.notifySecret }}
notify_url_file: /srv/notify/notify-url
{{- end }}
{{- with include "freepool.subdomainHost" . }}
subdomain_host: {{ . | quote }}
{{- else }}
notebook_hosts: shared
{{- end }}
{{- if .Values.trustNotebooks }}
trust_notebooks: true
{{- end }}
{{- with .Values.guard.settings }}
guard: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and (dig "keep" "enabled" false .Values.catalog) (not .Values.bundles.settings.endpoint) }}
{{- fail "catalog.keep.enabled keeps users' files, and desk and steward share no folder: name a bucket in bundles.settings (docs/save.md)." }}
{{- end }}
{{- if and .Values.bundles.settings.endpoint (not .Values.bundles.existingSecret) }}
{{- fail "bundles.settings names a bucket: name the Secret with its key (key-id and key-secret) in bundles.existingSecret." }}
{{- end }}
{{- with .Values.bundles.settings }}
bundles:
  {{- toYaml (merge (dict "key_folder" "/srv/bundles") .) | nindent 2 }}
{{- end }}
apps: {{- toYaml .Values.apps | nindent 2 }}
trusted_proxies: {{ include "freepool.trustedProxies" . }}
{{- with .Values.reportTo }}
report_to: {{ . | quote }}
{{- end }}
{{- with .Values.rateLimits }}
rate_limits:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.login.settings }}
login:
  {{- $own := dict }}
  {{- if and $.Values.login.existingSecret (not .client_secret_file) }}
  {{- $_ := set $own "client_secret_file" "/srv/login/client-secret" }}
  {{- end }}
  {{- toYaml (merge $own .) | nindent 2 }}
{{- end }}
{{- with .Values.people }}
people:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.terms }}
terms:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.links.alsoAllow }}
links:
  also_allow: {{ toJson . }}
  {{- if $.Values.links.certificates }}
  certificates: /etc/freepool/links.pem
  {{- end }}
{{- end }}
{{- if contains "PRIVATE KEY-----" .Values.links.certificates }}
{{- fail "links.certificates holds a private key: it goes into a ConfigMap. Leave the certificates only." }}
{{- end }}
{{- with .Values.channels.settings }}
channels:
  {{- $settings := deepCopy . }}
  {{- if and $.Values.channels.existingSecret (hasKey $settings "mail") (not (dig "mail" "password_file" "" $settings)) }}
  {{- $_ := set $settings.mail "password_file" "/srv/channels/smtp-password" }}
  {{- end }}
  {{- toYaml $settings | nindent 2 }}
{{- end }}
{{- if and (contains "/srv/clouds/" (toJson .Values.paid.settings)) (not .Values.paid.existingSecret) }}
{{- fail "paid.settings names files in /srv/clouds/: name the Secret that holds them in paid.existingSecret." }}
{{- end }}
{{- with .Values.paid.settings }}
paid:
  {{- toYaml . | nindent 2 }}
{{- end }}
kubernetes:
  namespace: {{ include "freepool.poolNamespace" . | quote }}
  pull_policy: {{ .Values.pool.pullPolicy }}
  pull_secrets: {{ toJson .Values.pool.pullSecrets }}
{{- with include "freepool.modelsClaim" . }}
  models_claim: {{ . | quote }}
{{- end }}
{{- if and .Values.models.enabled .Values.models.image }}
  models_image: {{ .Values.models.image | quote }}
{{- end }}
{{- with .Values.pool.gpuMetricsUrl }}
  gpu_metrics_url: {{ toJson . }}
{{- end }}
{{- if .Values.priorityClasses.create }}
  priority_class: {{ include "freepool.priorityClass" (list . "instance") | quote }}
  warm_priority_class: {{ include "freepool.priorityClass" (list . "warm") | quote }}
{{- else }}
{{- with .Values.priorityClasses.names.instance }}
  priority_class: {{ . | quote }}
{{- end }}
{{- with .Values.priorityClasses.names.warm }}
  warm_priority_class: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* One of several hubs. What they share, each must have: the ledger, the keys of slots, and who people are. */}}
{{- define "freepool.hubs" -}}
{{- $hubs := .Values.hubs -}}
{{- if or $hubs.others (not (include "freepool.ownsPool" .)) -}}
{{- if .Values.existingHub.enabled -}}
{{- fail "hubs: a hub of another chart (existingHub.enabled) cannot be one of several." -}}
{{- end -}}
{{- if include "freepool.embeddedDatabase" . -}}
{{- fail "hubs: several hubs need a PostgreSQL of your own: set database.url, or ledger-url in existingSecret, and database.embedded.enabled=false." -}}
{{- end -}}
{{- if not .Values.login.settings -}}
{{- fail "hubs: several hubs know people by the provider of their login: set login.settings, the same for all hubs." -}}
{{- end -}}
{{- end -}}
{{- $hosts := list (urlParse (include "freepool.public" .)).hostname -}}
{{- range $hubs.others -}}
{{- $host := (urlParse .).hostname -}}
{{- if has $host $hosts -}}
{{- fail (printf "hubs.others: %s is the host of two hubs: give each a host name of its own, as cookies know no ports." $host) -}}
{{- end -}}
{{- $hosts = append $hosts $host -}}
{{- end -}}
{{- if not (include "freepool.ownsPool" .) -}}
{{- if not $hubs.others -}}
{{- fail "hubs.others: name the other hubs of the platform, main among them." -}}
{{- end -}}
{{- if not .Values.existingSecret -}}
{{- fail "hubs.name: hubs share their secrets: name the Secret of the release of hub main in existingSecret, or a copy of it." -}}
{{- end -}}
{{- if and .Values.models.enabled (not .Values.models.image) (not .Values.models.existingClaim) -}}
{{- fail "models: the model cache belongs to the release of hub main: name its claim in models.existingClaim." -}}
{{- end -}}
{{- end -}}
{{- if or $hubs.others (ne $hubs.name "main") }}
hubs:
  name: {{ $hubs.name | quote }}
  others: {{- toYaml $hubs.others | nindent 4 }}
  {{- with $hubs.drainTo }}
  drain_to: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "freepool.catalog" -}}
{{- $catalog := include "freepool.mergedCatalog" . | fromJson -}}
{{- $root := . -}}
{{- range $catalog.images -}}
{{- if .reference }}{{ $_ := set . "reference" (tpl .reference $root) }}{{ end -}}
{{- end -}}
{{- $extra := include "freepool.scheduling" . | fromYaml -}}
{{- if $extra -}}
{{- range $catalog.flavors -}}
{{- $pod := .pod | default dict -}}
{{- $own := get $pod "extra" | default dict -}}
{{- range $name, $value := $extra }}{{ if not (hasKey $own $name) }}{{ $_ := set $own $name $value }}{{ end }}{{ end -}}
{{- $_ := set $pod "extra" $own -}}
{{- $_ := set . "pod" $pod -}}
{{- end -}}
{{- end -}}
{{- toYaml $catalog -}}
{{- end }}

{{/* Fields of notebooks' pods by which they are packed onto few nodes; what a flavor has in pod.extra wins */}}
{{- define "freepool.scheduling" -}}
{{- with .Values.pool.schedulerName }}
schedulerName: {{ . | quote }}
{{- end }}
{{- if .Values.pool.packing }}
affinity:
  podAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "freepool.instance" . | nindent 14 }}
{{- end }}
{{- end }}

{{- define "freepool.content.hub" -}}
jupyterhub_config.py: |
  {{- .Files.Get "files/jupyterhub_config.py" | nindent 2 }}
{{- end }}

{{/* What people set for JupyterHub may hold an OAuth client's secret, so it is a Secret. */}}
{{- define "freepool.content.hubConfig" -}}
config.json: {{ toJson .Values.hub.config | b64enc | quote }}
extra.py: {{ .Values.hub.extraConfig | b64enc | quote }}
{{- end }}

{{/*
Made once. An upgrade reads them from the cluster, so a `helm template` that sees no cluster makes new ones each time.
They are kept in .Release while one rendering lasts, because the pods' checksums must be those of the same secrets.
*/}}
{{- define "freepool.content.secrets" -}}
{{- if not (hasKey .Release "freepoolSecrets") -}}
{{- $there := dig "data" dict (lookup "v1" "Secret" .Release.Namespace (include "freepool.secretName" .)) -}}
{{- $data := dict -}}
{{- if .Values.existingSecret -}}
{{- $data = $there -}}
{{- else -}}
{{- $names := list "slots" "link" "proxy" "desk" "steward" "cookies" "crypt-keys" "people" "channels" "metrics" -}}
{{- if include "freepool.embeddedDatabase" . }}{{ $names = append $names "postgres-password" }}{{ end -}}
{{- range $names -}}
{{- $_ := set $data . (get $there . | default (randBytes 32 | b64dec | printf "%x" | b64enc)) -}}
{{- end -}}
{{- $url := .Values.database.url -}}
{{- if include "freepool.embeddedDatabase" . -}}
{{- $host := include "freepool.host" (list . "postgres") -}}
{{- $url = printf "postgresql+psycopg://freepool:%s@%s:5432/freepool" (get $data "postgres-password" | b64dec) $host -}}
{{- end -}}
{{- $_ := set $data "ledger-url" (b64enc $url) -}}
{{- end -}}
{{- $_ := set .Release "freepoolSecrets" $data -}}
{{- end -}}
{{- toYaml .Release.freepoolSecrets -}}
{{- end }}

{{/* The webhook's address may hold a token. */}}
{{- define "freepool.content.notify" -}}
notify-url: {{ .Values.steward.notifyUrl | b64enc | quote }}
{{- end }}

{{- define "freepool.content.proxySecret" -}}
{{- get (include "freepool.content.secrets" . | fromYaml) "proxy" -}}
{{- end }}

{{- define "freepool.content.databaseSecret" -}}
{{- get (include "freepool.content.secrets" . | fromYaml) "postgres-password" -}}
{{- end }}
