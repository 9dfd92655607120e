{{/* Who is who, and which addresses are nobody's business, for the NetworkPolicies. */}}

{{/* Labels of the pool's pods */}}
{{- define "freepool.instance" -}}
app.kubernetes.io/name: freepool
app.kubernetes.io/component: instance
{{- end }}

{{/* (list $ "hub") → a peer: this release's pods of one kind, from any namespace's view */}}
{{- define "freepool.peer" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $existing := $root.Values.existingHub -}}
- namespaceSelector:
    {{- include "freepool.namespaceSelector" (list $root $root.Release.Namespace) | nindent 4 }}
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
    {{- include "freepool.namespaceSelector" (list . (include "freepool.poolNamespace" .)) | nindent 4 }}
  podSelector:
    matchLabels: {{- include "freepool.instance" . | nindent 6 }}
{{- end }}

{{/* Namespaces carry their name as a label since Kubernetes 1.21. Before, all that can be said is "any". */}}
{{- define "freepool.namespaceSelector" -}}
{{- if include "freepool.modern" (index . 0) -}}
matchLabels: {kubernetes.io/metadata.name: {{ index . 1 }}}
{{- else -}}
{}
{{- end -}}
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
between. Where the server does not know ranges yet, it allows a short list instead.
*/}}
{{- define "freepool.internetPorts" -}}
{{- if include "freepool.modern" . -}}
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
{{- else -}}
{{- range .Values.network.internet.portsWithoutRanges }}
- {protocol: TCP, port: {{ . }}}
{{- end -}}
{{- end -}}
{{- range .Values.network.internet.udpPorts }}
- {protocol: UDP, port: {{ . }}}
{{- end -}}
{{- end }}
