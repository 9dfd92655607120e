{{/* Names, labels and images. Everything that another template refers to by name is named here. */}}

{{- define "freepool.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* (list $ "hub") → freepool-hub */}}
{{- define "freepool.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" (include "freepool.fullname" $root) (index . 1) -}}
{{- end }}

{{/* (list $ "hub") → the name that every namespace of the cluster resolves */}}
{{- define "freepool.host" -}}
{{- $root := index . 0 -}}
{{- printf "%s.%s.svc" (include "freepool.name" .) $root.Release.Namespace -}}
{{- end }}

{{- define "freepool.hubHost" -}}
{{- if .Values.existingHub.enabled -}}
{{- printf "%s.%s.svc" .Values.existingHub.service .Release.Namespace -}}
{{- else -}}
{{- include "freepool.host" (list . "hub") -}}
{{- end -}}
{{- end }}

{{- define "freepool.hubPort" -}}
{{- if .Values.existingHub.enabled }}{{ .Values.existingHub.port }}{{ else }}8081{{ end -}}
{{- end }}

{{- define "freepool.poolNamespace" -}}
{{- .Values.pool.namespace | default (printf "%s-pool" .Release.Namespace) -}}
{{- end }}

{{/*
Whether the pool's namespace, quota, budgets, priority classes, images and models are this release's. Of several hubs on
one pool they belong to the release of hub "main".
*/}}
{{- define "freepool.ownsPool" -}}
{{- if eq .Values.hubs.name "main" }}yes{{ end -}}
{{- end }}

{{/*
(list $ "warm") → a PriorityClass; these belong to the whole cluster, where a pool's namespace is unique. With placeholders
notebooks have other ones, because a class that exists cannot be given another preemptionPolicy.
*/}}
{{- define "freepool.priorityClass" -}}
{{- $root := index . 0 }}{{ $kind := index . 1 -}}
{{- if and $root.Values.pool.placeholders (has $kind (list "instance" "warm")) }}{{ $kind = printf "%s-over-placeholder" $kind }}{{ end -}}
{{- printf "%s-%s" (include "freepool.poolNamespace" $root) $kind -}}
{{- end }}

{{- define "freepool.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "freepool.fullname" .) -}}
{{- end }}

{{- define "freepool.secretName" -}}
{{- .Values.existingSecret | default (include "freepool.fullname" .) -}}
{{- end }}

{{/* (list $ "hub") → the labels that Services and policies select by */}}
{{- define "freepool.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (list $ "hub") → the labels of an object */}}
{{- define "freepool.labels" -}}
{{- $root := index . 0 -}}
{{ include "freepool.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* (list $ "hub") → the image of that name. The catalog in values.yaml uses it as well. */}}
{{- define "freepool.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- with $image.repository }}{{ trimSuffix "/" . }}/{{ end -}}
{{- index . 1 }}:{{ $image.tag | default (index . 0).Chart.AppVersion -}}
{{- end }}

{{/* What a browser's address bar shows. */}}
{{- define "freepool.public" -}}
{{- $public := "http://localhost:8000/" -}}
{{- if .Values.public -}}
{{- $public = .Values.public -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- $public = printf "%s://%s/" (ternary "https" "http" (not (empty .Values.ingress.tls))) (first .Values.ingress.hosts) -}}
{{- else if and .Values.gateway.enabled .Values.gateway.hosts -}}
{{- $public = printf "https://%s/" (first .Values.gateway.hosts) -}}
{{- end -}}
{{- $url := urlParse $public -}}
{{- if or (trimAll "/" $url.path) $url.query $url.fragment -}}
{{- fail (printf "public: a path is not supported: set public to a host name of its own, without a path, such as %s://lab.example.org." $url.scheme) -}}
{{- end -}}
{{- $public -}}
{{- end }}

{{/*
The host below which each user's notebooks have one of their own, with scheme and port; empty where they share the
desk's. As spawner/origins.py chooses it. Another chart's hub has to be told by its own values.
*/}}
{{- define "freepool.subdomainHost" -}}
{{- $own := dig "JupyterHub" "subdomain_host" "" .Values.hub.config -}}
{{- $url := urlParse (default (include "freepool.public" .) $own) -}}
{{- $isLocalhost := or (eq $url.hostname "localhost") (hasSuffix ".localhost" $url.hostname) -}}
{{- $isAddress := regexMatch "^[0-9.]*$|:" $url.hostname -}}
{{- $isSecure := or $isLocalhost (eq $url.scheme "https") -}}
{{- $why := "" -}}
{{- if $isAddress }}{{ $why = printf "%s is an IP address, which has no subdomains" $url.hostname -}}
{{- else if not $isSecure }}{{ $why = "a host per user needs https" -}}
{{- else if trimAll "/" $url.path }}{{ $why = "a host per user needs `public` without a path" -}}
{{- end -}}
{{- if and $why (or $own (eq .Values.notebookHosts "subdomains")) -}}
{{- fail (printf "notebookHosts: %s. Set public to https:// and a name with a wildcard in DNS and certificate, or set notebookHosts: shared." $why) -}}
{{- end -}}
{{- if and $own (eq .Values.notebookHosts "shared") -}}
{{- fail "notebookHosts: shared, but hub.config.JupyterHub.subdomain_host is set: remove one of them." -}}
{{- end -}}
{{- if $own }}{{ $own -}}
{{- else if not (or $why (eq .Values.notebookHosts "shared") .Values.existingHub.enabled) }}
{{- printf "%s://%s" $url.scheme $url.host -}}
{{- else if dig "JupyterHub" "cookie_host_prefix_enabled" false .Values.hub.config -}}
{{- fail "hub.config.JupyterHub.cookie_host_prefix_enabled: on one origin every notebook server would get the hub's cookie. Give notebooks hosts of their own (notebookHosts)." -}}
{{- end -}}
{{- end }}

{{/* Whether a Prometheus in the cluster reads the desk's metrics, with the token for them. */}}
{{- define "freepool.isScraped" -}}
{{- if or .Values.monitoring.namespaces .Values.monitoring.serviceMonitor.enabled }}yes{{ end -}}
{{- end }}

{{/* (list $ hosts) → JSON: these, and the wildcard of notebooks where they have hosts of their own */}}
{{- define "freepool.withWildcard" -}}
{{- $hosts := index . 1 -}}
{{- with include "freepool.subdomainHost" (index . 0) }}
{{- $hosts = append $hosts (printf "*.%s" (urlParse .).hostname) | uniq -}}
{{- end -}}
{{- $hosts | toJson -}}
{{- end }}

{{/* Whether the chart brings PostgreSQL. */}}
{{- define "freepool.embeddedDatabase" -}}
{{- if and .Values.database.embedded.enabled (not .Values.database.url) }}yes{{ end -}}
{{- end }}

{{/* The claim of the model cache, in the pool's namespace; empty where there is none. */}}
{{- define "freepool.modelsClaim" -}}
{{- if and .Values.models.enabled (not .Values.models.image) -}}
{{- .Values.models.existingClaim | default (include "freepool.name" (list . "models")) -}}
{{- end -}}
{{- end }}

{{- define "freepool.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Whether the trial database has a volume. Unless values say so: as it has been, and at the first install if the cluster
has a default storage class. Without one a claim would wait for ever, and with it everything else.
*/}}
{{- define "freepool.persistent" -}}
{{- $wanted := .Values.database.embedded.persistence.enabled -}}
{{- if .Values.database.embedded.persistence.existingClaim -}}
{{- if and (kindIs "bool" $wanted) (not $wanted) -}}
{{- fail "database.embedded.persistence: existingClaim names a volume, and enabled is false: remove one of them." -}}
{{- end -}}
yes
{{- else if kindIs "bool" $wanted -}}
{{- if $wanted }}yes{{ end -}}
{{- else if not (lookup "v1" "Namespace" "" "kube-system") -}}
yes
{{- else if lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "freepool.name" (list . "postgres")) -}}
yes
{{- else if .Release.IsInstall -}}
{{- range dig "items" list (lookup "storage.k8s.io/v1" "StorageClass" "" "") -}}
{{- if eq (dig "metadata" "annotations" "storageclass.kubernetes.io/is-default-class" "" .) "true" }}yes{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What `kubectl label namespace` takes to have Pod Security "restricted" enforced */}}
{{- define "freepool.restrictedLabels" -}}
pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted
{{- end }}
