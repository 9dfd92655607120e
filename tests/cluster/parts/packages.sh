# shellcheck shell=bash
# Debian's packages beside the programs that are compiled.
PACKAGES=(
  dnsmasq-base                                                  # names of Services
  iptables ipset iproute2 conntrack ethtool socat openssl       # what the node calls
  gcc libc6-dev libseccomp-dev pkg-config                       # what compiles runc and the pause image
  buildah debootstrap                                           # images
)

packages() {
  local missing
  missing=$(comm -23 <(printf '%s\n' "${PACKAGES[@]}" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort))
  [[ -n $missing ]] || return 0
  note "installing ${missing//$'\n'/ }"
  # shellcheck disable=SC2086  # one word per package
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$LOG/apt.log" 2>&1 9>&- ||
    fail "the packages cannot be installed: see $LOG/apt.log"
}
