# shellcheck shell=bash
# Service names for pods: dnsmasq serves a folder of hosts, which a loop keeps in step with the Services.

names() {
  ip link show cni0 >/dev/null 2>&1 || {
    ip link add cni0 type bridge
    ip link set cni0 up
  }
  ip addr show cni0 | grep "$POD_GATEWAY/" >/dev/null || ip addr add "$POD_GATEWAY/16" dev cni0
  cat >"$STATE/names" <<J
#!/usr/bin/env bash
# A second is soon enough for a name; a watch would need more than a shell.
while sleep 1; do
  "$BIN/kubectl" --kubeconfig="$ADMIN" get services -A -o 'jsonpath={range .items[*]}{.spec.clusterIP} {.metadata.name} {.metadata.namespace}{"\n"}{end}' 2>/dev/null |
    awk '\$1 ~ /^[0-9]/ {print \$1, \$2"."\$3".svc.cluster.local", \$2"."\$3".svc", \$2"."\$3}' | sort >"$STATE/hosts.new" || continue
  cmp -s "$STATE/hosts.new" "$STATE/hosts/services" || { cp "$STATE/hosts.new" "$STATE/hosts/services"; kill -HUP "\$(<"$RUN/dnsmasq.pid")"; }
done
J
  chmod +x "$STATE/names"
  # On the bridge itself, which every pod reaches.
  start dnsmasq dnsmasq --keep-in-foreground --listen-address="$DNS_IP" --bind-interfaces --no-hosts \
    --hostsdir="$STATE/hosts" --local=/cluster.local/
  start names "$STATE/names"
}
