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
    matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace | quote }}}
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
    matchLabels: {kubernetes.io/metadata.name: {{ include "freepool.poolNamespace" . | quote }}}
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

{{/* Addresses of the internet, without those that are refused */}}
{{- define "freepool.internetPeers" -}}
{{- with .Values.network.internet -}}
{{- $refused := concat .refuseIPv6 .alsoRefuseIPv6 -}}
{{- with .nat64 }}{{ $refused = append $refused . }}{{ end -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except: {{- toYaml (concat .refuseIPv4 .alsoRefuseIPv4 | uniq) | nindent 6 }}
- ipBlock:
    cidr: ::/0
    except: {{- toYaml (uniq $refused) | nindent 6 }}
{{- if .nat64 }}
- ipBlock:
    cidr: {{ .nat64 }}
    except:
      {{- range concat .refuseIPv4 .alsoRefuseIPv4 | uniq }}
      - {{ include "freepool.translated" (list $.Values.network.internet.nat64 .) }}
      {{- end }}
{{- end }}
{{- end -}}
{{- end }}

{{/* (list "64:ff9b::/96" "10.0.0.0/8") → 64:ff9b::a00:0/104, by which a translator (RFC 6052) reaches those addresses */}}
{{- define "freepool.translated" -}}
{{- $parts := regexSplit "[./]" (index . 1) -1 -}}
{{- $high := add (mul 256 (index $parts 0)) (index $parts 1) -}}
{{- $low := add (mul 256 (index $parts 2)) (index $parts 3) -}}
{{- $groups := ternary "" (printf "%x" $low) (eq $low 0) -}}
{{- if $high }}{{ $groups = printf "%x:%x" $high $low }}{{ end -}}
{{- printf "%s%s/%d" (trimSuffix "/96" (index . 0)) $groups (add 96 (index $parts 4)) -}}
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
