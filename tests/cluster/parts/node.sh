# shellcheck shell=bash
# The one node: containerd, kubelet, kube-proxy, and the pods' network.

node() {
  pause_image
  node_files
  echo 1 >/proc/sys/net/ipv4/ip_forward
  start containerd containerd -c "$STATE/containerd.toml"
  await 20 containers version || fail "containerd does not answer: see $LOG/containerd.log"
  containers images ls -q | grep -x registry.local/pause:1 >/dev/null || containers images import "$STATE/pause.tar" >/dev/null
  start kubelet "$BIN/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --hostname-override=node-1 --node-ip="$NODE_IP" --root-dir="$STATE/kubelet" \
    --container-runtime=remote --container-runtime-endpoint="unix://$STATE/containerd.sock"
  start kube-proxy "$BIN/kube-proxy" --kubeconfig="$STATE/proxy.kubeconfig" --hostname-override=node-1 \
    --cluster-cidr="$POD_CIDR" --bind-address=127.0.0.1 --healthz-bind-address=127.0.0.1:10256 --conntrack-max-per-core=0
  await 60 node_is_ready || fail "the node did not become ready: see $LOG/kubelet.log"
}

# The container that holds a pod's namespaces: it sleeps, and reaps.
pause_image() {
  [[ -f $STATE/pause.tar ]] && return 0
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
  buildah push -q registry.local/pause:1 "docker-archive:$STATE/pause.tar:registry.local/pause:1"
  rm -rf "$folder"
}

node_files() {
  cat >"$STATE/cni/10-pods.conflist" <<J
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni-ips", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  cat >"$STATE/containerd.toml" <<J
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "registry.local/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
J
  cat >"$STATE/kubelet.yaml" <<J
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
address: $NODE_IP
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
failSwapOn: false
maxPods: 250
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
J
}
