# shellcheck shell=bash
# Service names for pods: dnsmasq serves a folder of hosts, which a loop keeps in step with the Services.

# A SIGHUP ends a process that does not catch it yet, and dnsmasq reads the hosts on one that it catches.
dnsmasq_catches_hangup() { grep -E '^SigCgt:.*[13579bdf]$' "/proc/$(<"$RUN/dnsmasq.pid")/status" >/dev/null; }

names() {
  cat >"$STATE/names" <<J
#!/usr/bin/env bash
# Writes all Services once for every burst of changes. The watch begins with all that there are.
set -o pipefail # an API server that does not answer has not said that there are no Services
list() {
  "$BIN/kubectl" --kubeconfig="$ADMIN" get services -A -o 'jsonpath={range .items[*]}{.spec.clusterIP} {.metadata.name} {.metadata.namespace}{"\n"}{end}' |
    awk '\$1 ~ /^[0-9]/ {print \$1, \$2"."\$3".svc.cluster.local", \$2"."\$3".svc", \$2"."\$3}' | sort >"$STATE/hosts.new" || return
  cmp -s "$STATE/hosts.new" "$STATE/hosts/services" || { cp "$STATE/hosts.new" "$STATE/hosts/services"; kill -HUP "\$(<"$RUN/dnsmasq.pid")"; }
}
while true; do
  while read -r _; do
    while read -r -t 0.05 _; do :; done
    list
  done < <(exec "$BIN/kubectl" --kubeconfig="$ADMIN" get services -A --watch --output-watch-events -o name)
  sleep 1 # the API server is away
done
J
  chmod +x "$STATE/names"
  # On the pods' bridge, which every pod reaches. It knows Services and nothing else.
  start dnsmasq dnsmasq --keep-in-foreground --listen-address="$DNS_IP" --bind-interfaces --no-hosts --no-resolv \
    --hostsdir="$STATE/hosts" --local=/cluster.local/ --pid-file
  await 20 dnsmasq_catches_hangup || fail "dnsmasq does not start: see $LOG/dnsmasq.log"
  start names "$STATE/names"
}
