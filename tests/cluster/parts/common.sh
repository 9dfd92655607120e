# shellcheck shell=bash
# What all scripts of this folder share. Sourced, never run.
# `grep -q` ends at the first match, and under pipefail the command before it then counts as failed: not used in pipes.
# shellcheck disable=SC2034  # used by the scripts that source this file

# CACHE holds what is built once per machine. Each cluster has a number, a folder and a network namespace of its own, so
# that test runs of two checkouts do not meet: `lease` reserves a number for a run. Numbers are a cache's own, but names
# of network namespaces are the machine's: with another cache than the usual one they also say which.
if [[ $EUID == 0 ]]; then CACHE=/var/cache/freepool-tests; else CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/freepool-tests; fi
CACHE_TAG=
if [[ -n ${FREEPOOL_TEST_CACHE:-} && $(readlink -m "$FREEPOOL_TEST_CACHE") != "$(readlink -m "$CACHE")" ]]; then
  CACHE=$(readlink -m "$FREEPOOL_TEST_CACHE")
  CACHE_TAG=$(printf %s "$CACHE" | sha256sum | head -c 6)-
fi
PROGRAMS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../programs" && pwd)
NUMBER=${FREEPOOL_TEST_CLUSTER:-1}
STATE=$CACHE/clusters/$NUMBER
RUN=$STATE/run PKI=$STATE/pki LOG=$STATE/log ADMIN=${FREEPOOL_TEST_KUBECONFIG:-$STATE/admin.kubeconfig}
NETWORK=freepool-tests-$CACHE_TAG$NUMBER # name of the network namespace, of the control group, and of a cluster that kind makes
NETWORK_FILE=/run/netns/$NETWORK

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

# inside COMMAND…: runs a command in the network namespace of our own cluster. A cluster that is given or that kind makes
# is reached by the machine's network. KIND is asked for once; `up` sets it.
KIND=
inside() {
  KIND=${KIND:-$(cluster_kind)}
  if [[ $KIND != own ]]; then "$@"; return; fi
  [[ -e $NETWORK_FILE ]] || { note "cluster $NUMBER does not run: it has no network namespace $NETWORK"; return 1; }
  nsenter --net="$NETWORK_FILE" -- "$@"
}

# The file that a test run keeps locked while it uses the cluster. Descriptor 7 holds the lock.
LOCK=$CACHE/clusters/$NUMBER.lock

# is_leased: whether `lease` started this process, and its command still runs: that one has the lock file open.
is_leased() {
  [[ ${FREEPOOL_TEST_LEASE:-} =~ ^[0-9]+$ ]] &&
    find -L "/proc/$FREEPOOL_TEST_LEASE/fd" -samefile "$LOCK" 2>/dev/null | grep . >/dev/null
}

# kubectl as the cluster's administrator.
kubectl_program() { if [[ -x $STATE/bin/kubectl ]]; then echo "$STATE/bin/kubectl"; else echo kubectl; fi; }
kube() { inside "$(kubectl_program)" --kubeconfig="$ADMIN" "$@"; }

# containerd's own client, in the part that belongs to Kubernetes.
# It warns of version 1 of control groups each time.
containers() { "$STATE/bin/ctr" -a "$STATE/containerd.sock" -n k8s.io "$@" 2> >(grep -v DEPRECATION >&2); }

# our_daemons: the process ids of the daemons of this cluster that run.
our_daemons() {
  local file
  for file in "$RUN"/*.pid; do
    if is_ours "$file" "$STATE/" || is_ours "$file" "$CACHE/programs/"; then echo "$(<"$file")"; fi
  done
}

# await SECONDS COMMAND…: tries ten times a second until the command succeeds. The programs offer nothing to wait on.
# Fails at once, with the end of the log, where a daemon that `start` started has ended.
await() {
  local until=$((SECONDS + $1)) name
  shift
  while true; do
    "$@" >/dev/null 2>&1 && return 0
    for name in "${STARTED[@]}"; do
      kill -0 "$(<"$RUN/$name.pid")" 2>/dev/null && continue
      note "$name has ended. The end of $LOG/$name.log:"
      tail -n 5 "$LOG/$name.log" | cut -c 1-300 >&2
      return 1
    done
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

# is_ours FILE PROGRAM: the process in the pid file is alive, and is that program.
is_ours() {
  [[ -f $1 ]] && tr '\0' ' ' 2>/dev/null <"/proc/$(<"$1")/cmdline" | grep -F -- "$2" >/dev/null
}

# start NAME COMMAND…: a daemon in the cluster's network, with its pid and its log. A daemon that runs is left alone,
# but for a test that was cut off while it held one up (SIGSTOP).
STARTED=()
start() {
  local name=$1
  shift
  STARTED+=("$name")
  if is_ours "$RUN/$name.pid" "$1"; then kill -CONT "$(<"$RUN/$name.pid")"; return 0; fi
  # nsenter becomes the program, so the pid stays. No descriptor of ours goes along, as one may hold a lock, and nothing
  # of the environment: a test run has a TMPDIR of its own, which ends with it, and marks what it starts by a limit
  # (tests/session/leftovers.py).
  setsid env -i HOME=/root PATH="$STATE/bin:$PATH" prlimit --rttime=unlimited: nsenter --net="$NETWORK_FILE" -- "$@" >"$LOG/$name.log" 2>&1 </dev/null 7>&- 8>&- 9>&- &
  echo $! >"$RUN/$name.pid"
}

node_is_ready() {
  [[ $(kube get node node-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}
