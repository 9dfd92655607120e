{{/*
JSON: the catalog with the changes of `catalogOverrides`, which name entries of its lists by their ids. It is made once and
kept in .Release while one rendering lasts.
*/}}
{{- define "freepool.mergedCatalog" -}}
{{- if not (hasKey .Release "freepoolCatalog") -}}
{{- $catalog := deepCopy .Values.catalog -}}
{{- range $kind, $changes := .Values.catalogOverrides -}}
{{- $holder := $catalog -}}
{{- if eq $kind "classes" -}}
{{- if not $catalog.allowances }}{{ $_ := set $catalog "allowances" dict }}{{ end -}}
{{- $holder = $catalog.allowances -}}
{{- end -}}
{{- range $id, $change := $changes -}}
{{- $entries := list -}}
{{- $ids := list -}}
{{- range get $holder $kind | default list -}}
{{- $ids = append $ids .id -}}
{{- if ne .id $id -}}
{{- $entries = append $entries . -}}
{{- else if not (kindIs "invalid" $change) -}}
{{- include "freepool.override" (list . $change) -}}
{{- $entries = append $entries . -}}
{{- end -}}
{{- end -}}
{{- if not (has $id $ids) -}}
{{- $first := ternary "repository" "title" (eq $kind "models") -}}
{{- if or (kindIs "invalid" $change) (not (hasKey $change $first)) -}}
{{- fail (printf "catalogOverrides.%s.%s: the catalog has no such id. It has: %s. A new entry needs all of its fields, %s among them." $kind $id (join ", " $ids) $first) -}}
{{- end -}}
{{- $entries = append $entries (merge (dict "id" $id) $change) -}}
{{- end -}}
{{- $_ := set $holder $kind $entries -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Release "freepoolCatalog" ($catalog | toJson) -}}
{{- end -}}
{{- .Release.freepoolCatalog -}}
{{- end }}

{{/* (list $entry $change): changes the entry: mappings are merged, a null removes, all else is replaced */}}
{{- define "freepool.override" -}}
{{- $entry := index . 0 -}}
{{- range $field, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $entry $field -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $entry $field)) -}}
{{- include "freepool.override" (list (get $entry $field) $value) -}}
{{- else -}}
{{- $_ := set $entry $field $value -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
What the pool's namespace must admit, computed from the catalog. The numbers of one pod are those of the pod manifest
(spawner/pool/backends/kubernetes): a test compares the two.
*/}}

{{/* A size as the catalog writes it (2GiB, 1.5GB, or bytes) → bytes */}}
{{- define "freepool.bytes" -}}
{{- if kindIs "string" . -}}
{{- $number := regexFind "[0-9]*\\.?[0-9]+" . -}}
{{- $unit := regexFind "[A-Za-z]+" . | lower | default "b" -}}
{{- $factors := dict "b" 1 "k" 1e3 "kb" 1e3 "m" 1e6 "mb" 1e6 "g" 1e9 "gb" 1e9 "t" 1e12 "tb" 1e12 "p" 1e15 "pb" 1e15
      "kib" 1024 "mib" 1048576 "gib" 1073741824 "tib" 1099511627776 "pib" 1125899906842624 -}}
{{- if not (hasKey $factors $unit) }}{{ fail (printf "catalog: %s is not a valid size. Write it as 512MiB or 2GiB." .) }}{{ end -}}
{{- mulf $number (get $factors $unit) | ceil | int64 -}}
{{- else -}}
{{- . | int64 -}}
{{- end -}}
{{- end }}

{{/* One flavor → JSON with what one pod of it asks for: millicores, bytes, and its accelerators */}}
{{- define "freepool.podSize" -}}
{{- $cpu := mulf .cpu 1000 | ceil | int64 -}}
{{- $memory := include "freepool.bytes" .memory | int64 -}}
{{- $disk := include "freepool.bytes" .disk | int64 -}}
{{- $scratch := max 268435456 (div $disk 2) -}}
{{- $size := dict
      "limits.cpu" $cpu
      "requests.cpu" (ternary $cpu (max 50 (mulf .cpu 125 | ceil | int64)) (not (empty .accelerator)))
      "limits.memory" $memory
      "requests.memory" (ternary $memory (include "freepool.bytes" .reserve | int64) (empty .reserve))
      "limits.ephemeral-storage" (add $disk $scratch $scratch 268435456)
      "requests.ephemeral-storage" 67108864
      "pods" 1 -}}
{{- with .accelerator -}}
{{- $_ := set $size (printf "requests.%s" (.resource | default "nvidia.com/gpu")) (.count | default 1 | int64) -}}
{{- end -}}
{{- $size | toJson -}}
{{- end }}

{{/* (list $ flavor) → how many pods of a flavor the quota admits: its limit, and some more for pods on their way out */}}
{{- define "freepool.podCount" -}}
{{- $quota := (index . 0).Values.pool.quota }}{{ $flavor := index . 1 -}}
{{- $limit := 1000 -}}
{{- if hasKey $flavor "limit" }}{{ $limit = $flavor.limit | int64 }}{{ end -}}
{{- if $limit -}}
{{- add $limit (max (int64 $quota.headroomPods) (divf (mulf $limit $quota.headroomPercent) 100 | ceil | int64)) -}}
{{- else -}}
0
{{- end -}}
{{- end }}

{{/* JSON: what the quota admits in all */}}
{{- define "freepool.quota" -}}
{{- $total := dict -}}
{{- $root := . -}}
{{- range $flavor := (include "freepool.mergedCatalog" . | fromJson).flavors -}}
{{- $count := include "freepool.podCount" (list $root $flavor) | int64 -}}
{{- range $name, $amount := include "freepool.podSize" $flavor | fromJson -}}
{{- $_ := set $total $name (add (get $total $name | default 0 | int64) (mul $count (int64 $amount))) -}}
{{- end -}}
{{- end -}}
{{- $total | toJson -}}
{{- end }}

{{/* JSON: the largest single pod of the catalog */}}
{{- define "freepool.largest" -}}
{{- $largest := dict -}}
{{- range (include "freepool.mergedCatalog" . | fromJson).flavors -}}
{{- range $name, $amount := include "freepool.podSize" . | fromJson -}}
{{- $_ := set $largest $name (max (get $largest $name | default 0 | int64) (int64 $amount)) -}}
{{- end -}}
{{- end -}}
{{- $largest | toJson -}}
{{- end }}

{{/* (list "limits.memory" 1073741824) → 1024Mi; processors come in millicores, all else is a count */}}
{{- define "freepool.quantity" -}}
{{- $name := index . 0 }}{{ $amount := index . 1 | int64 -}}
{{- if hasSuffix ".cpu" $name -}}
{{- printf "%dm" $amount -}}
{{- else if or (hasSuffix ".memory" $name) (hasSuffix ".ephemeral-storage" $name) -}}
{{- printf "%dMi" (div (add $amount 1048575) 1048576) -}}
{{- else -}}
{{- printf "%d" $amount -}}
{{- end -}}
{{- end }}
