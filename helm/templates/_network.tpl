{{/* Pod selectors and refused address ranges of the NetworkPolicies. */}}

{{/* Labels of the pool's pods */}}
{{- define "freepool.instance" -}}
app.kubernetes.io/name: freepool
app.kubernetes.io/component: instance
{{- end }}

{{/* (list $ "hub") → a peer: this release's pods of one kind, from any namespace's view */}}
{{- define "freepool.peer" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $existing := $root.Values.existingHub -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace }}}
  podSelector:
    matchLabels:
      {{- if and $existing.enabled (eq $component "hub") }}
      {{- toYaml $existing.hubLabels | nindent 6 }}
      {{- else if and $existing.enabled (eq $component "proxy") }}
      {{- toYaml $existing.proxyLabels | nindent 6 }}
      {{- else }}
      {{- include "freepool.selector" . | nindent 6 }}
      {{- end }}
{{- end }}

{{- define "freepool.peer.instances" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ include "freepool.poolNamespace" . }}}
  podSelector:
    matchLabels: {{- include "freepool.instance" . | nindent 6 }}
{{- end }}

{{- define "freepool.dns" -}}
- to: {{- toYaml .Values.network.dns.to | nindent 4 }}
  ports:
    {{- range .Values.network.dns.ports }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{/*
TCP ports of the internet: all but the refused ones. A policy only knows what it allows, so it allows the ranges in
between.
*/}}
{{- define "freepool.internetPorts" -}}
{{- $refused := list -}}
{{- range .Values.network.internet.refusePorts }}{{ $refused = append $refused (printf "%05d" (int .)) }}{{ end -}}
{{- $from := 1 -}}
{{- range $refused | sortAlpha | uniq -}}
{{- $port := atoi . -}}
{{- if gt $port $from }}
- {protocol: TCP, port: {{ $from }}, endPort: {{ sub $port 1 }}}
{{- end -}}
{{- $from = add1 $port | int -}}
{{- end -}}
{{- if le $from 65535 }}
- {protocol: TCP, port: {{ $from }}, endPort: 65535}
{{- end -}}
{{- range .Values.network.internet.udpPorts }}
- {protocol: UDP, port: {{ . }}}
{{- end -}}
{{- end }}
