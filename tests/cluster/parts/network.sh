# shellcheck shell=bash
# The cluster's own network namespace. It has no way out of the machine.

# Whether all daemons that run are in the cluster's namespace. They are not after it was deleted while they ran.
daemons_share_network() {
  local pid
  for pid in $(our_daemons); do
    [[ /proc/$pid/ns/net -ef $NETWORK_FILE ]] || return 1
  done
}

# Whether the namespace of this name is another cluster's: another etcd than ours runs in it.
network_is_foreign() {
  local pid
  for pid in $(ip netns pids "$NETWORK" 2>/dev/null); do
    [[ $(readlink "/proc/$pid/exe") == */etcd ]] || continue
    tr '\0' '\n' <"/proc/$pid/cmdline" | grep -Fx -- "$STATE/etcd" >/dev/null || return 0
  done
  return 1
}

network() {
  # The pods' bridge comes up last. Where it is not up, a run was cut off here, and the network is made anew.
  if [[ -e $NETWORK_FILE ]]; then
    [[ -z $(inside ip -o link show dev cni0 up 2>/dev/null) ]] || return 0
    ip netns delete "$NETWORK"
  fi
  ip netns add "$NETWORK"
  inside ip link set lo up
  # The node's address. The default route makes every address routable, which Services need: their addresses are
  # replaced by pods' only after a route has been found. Nothing is attached to the bridge: other packets end there.
  inside ip link add kube0 type bridge
  inside ip addr add "$NODE_IP/32" dev kube0
  inside ip link set kube0 up
  inside ip route add default dev kube0
  # /proc/sys/net shows the network namespace of the process that opens it.
  # shellcheck disable=SC2016
  inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; [ ! -d /proc/sys/net/bridge ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
  inside ip link add cni0 type bridge
  inside ip addr add "$POD_GATEWAY/16" dev cni0
  inside ip link set cni0 up
}
