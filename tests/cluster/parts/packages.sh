# shellcheck shell=bash
# Debian's packages beside the programs that are compiled.
PACKAGES=(
  dnsmasq-base                                                  # names of Services
  iptables ipset iproute2 conntrack ethtool socat openssl       # what the node calls
  gcc libc6-dev libseccomp-dev pkg-config                       # what compiles runc and the pause image
  buildah debootstrap                                           # images
)

packages() {
  [[ -n $(missing_packages) ]] || return 0
  {
    flock 6 # apt does not wait for another apt, and another cluster may be starting
    local missing
    missing=$(missing_packages)
    [[ -n $missing ]] || return 0
    note "installing ${missing//$'\n'/ }"
    # shellcheck disable=SC2086  # one word per package
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$LOG/apt.log" 2>&1 6>&- 7>&- 9>&- ||
      fail "the packages cannot be installed: see $LOG/apt.log"
  } 6>"$CACHE/packages.lock"
}

missing_packages() {
  comm -23 <(printf '%s\n' "${PACKAGES[@]}" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort)
}
