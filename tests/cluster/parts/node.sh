# shellcheck shell=bash
# The one node: containerd, kubelet, kube-proxy, kube-router.

node() {
  pause_image
  node_files
  control_groups
  start containerd "$BIN/containerd" -c "$STATE/containerd.toml"
  await 20 containers version || fail "containerd does not answer: see $LOG/containerd.log"
  containers images ls -q | grep -x registry.local/pause:1 >/dev/null || containers images import "$CACHE/pause.tar" >/dev/null
  start kubelet "$BIN/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --hostname-override=node-1 --node-ip="$NODE_IP" --root-dir="$STATE/kubelet"
  start kube-proxy "$BIN/kube-proxy" --kubeconfig="$STATE/proxy.kubeconfig" --hostname-override=node-1 \
    --cluster-cidr="$POD_CIDR" --bind-address=127.0.0.1 --healthz-bind-address=127.0.0.1:10256 --conntrack-max-per-core=0 \
    --proxy-mode=iptables
  await 60 node_is_ready || fail "the node did not become ready: see $LOG/kubelet.log"
  # A firewall for NetworkPolicies and nothing else: it neither routes nor serves Services here.
  start kube-router "$BIN/kube-router" --kubeconfig="$ADMIN" --hostname-override=node-1 --run-firewall=true \
    --run-router=false --run-service-proxy=false --run-loadbalancer=false --health-port=0 \
    --service-cluster-ip-range="$SERVICE_CIDR" --enable-cni=false --enable-ipv4=true --enable-ipv6=false
  await 20 kube -n default get serviceaccount default || fail "the controller manager does nothing: see $LOG/controller-manager.log"
}

# The container that holds a pod's namespaces: it sleeps, and reaps.
pause_image() {
  tar -tf "$CACHE/pause.tar" >/dev/null 2>&1 && return 0 # whole; a copy that was cut off is not
  local folder container
  folder=$(mktemp -d)
  cat >"$folder/pause.c" <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGINT, down); signal(SIGTERM, down); signal(SIGCHLD, reap); for (;;) pause(); }
C
  gcc -static -Os -o "$folder/pause" "$folder/pause.c"
  container=$(buildah from scratch)
  buildah copy -q "$container" "$folder/pause" /pause >/dev/null
  buildah config --entrypoint '["/pause"]' "$container"
  buildah commit -q "$container" registry.local/pause:1 >/dev/null
  buildah rm "$container" >/dev/null
  buildah push -q registry.local/pause:1 "docker-archive:$folder/pause.tar:registry.local/pause:1"
  mv "$folder/pause.tar" "$CACHE/pause.tar.$NUMBER" # to another file system it is a copy
  mv "$CACHE/pause.tar.$NUMBER" "$CACHE/pause.tar"
  rm -rf "$folder"
}

# Pods' control groups lie below one of this cluster's own, in version 1 and 2 alike.
control_groups() {
  local controller
  for controller in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    if [[ -f $controller/cgroup.procs ]]; then mkdir -p "$controller/$NETWORK"; fi
  done
}

node_files() {
  # User namespaces need a way in for others: a folder with mode 0700 above ends in "remount-private: permission denied".
  mkdir -p "$STATE/containerd"
  chmod 711 "$CACHE" "$CACHE/clusters" "$STATE" "$STATE/containerd"
  cat >"$STATE/cni/10-pods.conflist" <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni-ips", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  cat >"$STATE/containerd.toml" <<J
version = 3
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$BIN"]
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "$BIN/runc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "registry.local/pause:1"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
J
  cat >"$STATE/kubelet.yaml" <<J
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$NETWORK
failCgroupV1: false
containerRuntimeEndpoint: unix://$STATE/containerd.sock
podLogsDir: $STATE/pod-logs
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
address: $NODE_IP
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
failSwapOn: false
maxPods: 250
imageGCHighThresholdPercent: 100
# How soon a volume that is too large is noticed; a minute by default, which tests would wait out.
volumeStatsAggPeriod: 5s
# How soon the API server is told of a device that has come or gone; 10 s by default. A status that has not changed is not
# told: the node's lease shows that it lives. (By default it is told as often as it is looked at, to all that watch it.)
nodeStatusUpdateFrequency: 1s
nodeStatusReportFrequency: 5m
# The node shows that it lives every 2 s; every 10 s by default. See --node-monitor-grace-period.
nodeLeaseDurationSeconds: 8
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
J
}
