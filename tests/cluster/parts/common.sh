# shellcheck shell=bash
# What all scripts of this folder share. Sourced, never run.
# `grep -q` ends at the first match, and under pipefail whoever still writes to it then counts as failed: not used in pipes.
# shellcheck disable=SC2034  # used by the scripts that source this file
if [[ $EUID == 0 ]]; then STATE=${CLUSTER_STATE:-/var/lib/test-cluster}; else STATE=${CLUSTER_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/test-cluster}; fi
BIN=$STATE/bin RUN=$STATE/run PKI=$STATE/pki LOG=$STATE/log ADMIN=${FREEPOOL_TEST_KUBECONFIG:-$STATE/admin.kubeconfig}
KIND_NAME=freepool-test

note() { echo "cluster: $*" >&2; }
fail() { note "$*"; exit 1; }

# Which cluster tests run on: one that is given, one that kind makes, or our own. `none` where this machine can do none.
cluster_kind() {
  if [[ -n ${FREEPOOL_TEST_KUBECONFIG:-} ]]; then echo given
  elif command -v kind >/dev/null && docker info >/dev/null 2>&1; then echo kind
  elif [[ $EUID == 0 ]] && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release 2>/dev/null && unshare --net true 2>/dev/null; then echo own
  else echo none
  fi
}

# kubectl as the cluster's administrator.
kubectl_program() { if [[ -x $BIN/kubectl ]]; then echo "$BIN/kubectl"; else echo kubectl; fi; }
kube() { "$(kubectl_program)" --kubeconfig="$ADMIN" "$@"; }

# containerd's own client, in the part that belongs to Kubernetes.
containers() { ctr -a "$STATE/containerd.sock" -n k8s.io "$@"; }

# await SECONDS COMMAND…: tries four times a second until the command succeeds. There is nothing here to wake us up.
await() {
  local tries=$(($1 * 4))
  shift
  for ((; tries > 0; tries--)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.25
  done
  return 1
}

# is_ours FILE PROGRAM: the process in the pid file is alive, and is that program.
is_ours() {
  [[ -f $1 ]] && tr '\0' ' ' 2>/dev/null <"/proc/$(<"$1")/cmdline" | grep -F -- "$2" >/dev/null
}

# start NAME COMMAND…: a daemon with its pid and its log. Where it runs nothing happens, but that it goes on if it was
# held up: a test that was cut off may have left it so.
start() {
  local name=$1
  shift
  if is_ours "$RUN/$name.pid" "$1"; then kill -CONT "$(<"$RUN/$name.pid")"; return 0; fi
  setsid "$@" >"$LOG/$name.log" 2>&1 </dev/null &
  echo $! >"$RUN/$name.pid"
}

node_is_ready() {
  [[ $(kube get node node-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}
