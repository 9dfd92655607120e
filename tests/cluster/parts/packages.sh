# shellcheck shell=bash
# Debian's packages that the cluster is made of.
PACKAGES=(
  etcd-server containerd runc containernetworking-plugins dnsmasq-base                         # what runs
  iptables iproute2 conntrack ethtool socat openssl                                            # what the node calls
  golang-go golang-github-modern-go-reflect2-dev gcc libc6-dev xz-utils                        # what builds Kubernetes
  buildah skopeo debootstrap                                                                   # images
)

packages() {
  local missing
  missing=$(comm -23 <(printf '%s\n' "${PACKAGES[@]}" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort))
  [[ -n $missing ]] || return 0
  note "installing ${missing//$'\n'/ }"
  apt-get update -qq >"$LOG/apt.log" 2>&1
  # shellcheck disable=SC2086  # one word per package
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >>"$LOG/apt.log" 2>&1 ||
    fail "the packages cannot be installed: see $LOG/apt.log"
}
