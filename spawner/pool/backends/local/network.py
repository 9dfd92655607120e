"""What a slot may reach on the network: the list of the chart's NetworkPolicies, as rules for one machine.

A slot has a network namespace of its own. A forwarded port on its loopback interface leads to the hub and the desk. For
the internet there is an interface whose packets pasta or slirp4netns, a program outside without rights, turns into
ordinary connections; nftables inside the namespace says which. Routes alone would not do: a socket that is bound to the
interface (SO_BINDTODEVICE, which needs no capability) is sent past missing and prohibiting routes.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from spawner.network_settings import InstanceNetwork

LOOPBACK = "127.0.0.1"
ADDRESS, PREFIX, GATEWAY, RESOLVER = "10.0.2.100", "24", "10.0.2.2", "10.0.2.3"
"""slirp4netns's own, given to pasta, too. They exist in the slot's namespace only."""
INTERFACE = "eth0"
USER_OFFSET = 1 << 24
"""Where root makes slots, the program for the internet runs as the slot's user id and this: code in the slot, which has
the first, would be the namespace's owner if the two were one."""

REFUSED_IPV4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",  # carriers; Alibaba Cloud's metadata
    "127.0.0.0/8",
    "168.63.129.16/32",  # Azure's metadata
    "169.254.0.0/16",  # links; metadata of most clouds
    "172.16.0.0/12",
    "192.0.0.0/24",  # Oracle Cloud's metadata
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
REFUSED_IPV6 = (
    "::/127",  # no address, and loopback
    "64:ff9b::/96",  # IPv4 in IPv6, in its several ways
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    "fc00::/7",  # private; Amazon's metadata
    "fe80::/10",
    "ff00::/8",
)
REFUSED_PORTS = (25, 465, 587)
"""Mail."""
UDP_PORTS = (443,)


class Means(StrEnum):
    """How slots are connected."""

    PASTA = "pasta"
    SLIRP = "slirp4netns"
    CLOSED = "closed"
    """A namespace without internet: only the hub and the desk."""
    SHARED = "shared"
    """No namespace: the machine's own network."""


@dataclass(frozen=True)
class TrafficLimits:
    """The most that one slot sends, of everything but loopback. 0: no limit.

    Downloads are not limited: what comes from `pip install` or `git clone` is a few hundred connections at most, and
    their packets out are acknowledgements, fewer than 20,000 a second at 10 Gbit/s.
    """

    upload_megabits: float = 100
    connections: int = 1000
    new_connections: int = 25
    """In a second; ten times as many at once after a pause."""
    packets: int = 20_000
    """In a second."""


@dataclass(frozen=True)
class Network:
    """How the slots of a pool are connected. `ports` of `target` are forwarded, at the same numbers.

    `log`: connections are tracked for the log of them (`connections.py`).
    """

    means: Means = Means.SHARED
    ports: tuple[int, ...] = ()
    target: str = LOOPBACK
    also_refuse: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    limits: TrafficLimits = TrafficLimits()
    log: bool = True


@dataclass(frozen=True)
class Plan:
    """One slot's network, in the keeper's orders. `user` is a real user id, where root makes the slot.

    `command` is the program for the internet, `shape` the command that limits the bandwidth of its interface.
    """

    means: Means
    ports: list[int]
    target: str
    user: int | None
    rules: str
    nft: str
    command: list[str] = field(default_factory=list)
    shape: list[str] = field(default_factory=list)
    log: bool = False

    def to_json(self) -> dict[str, Any]:
        """The form in the orders."""
        return asdict(self)


def limits_of(settings: InstanceNetwork) -> TrafficLimits:
    """What the settings say."""
    return TrafficLimits(
        upload_megabits=settings.upload_megabits,
        connections=settings.connections,
        new_connections=settings.new_connections_per_second,
        packets=settings.packets_per_second,
    )


def plan(network: Network, run_as: int | None) -> Plan | None:
    """The network of one slot; None where it has the machine's."""
    if network.means is Means.SHARED:
        return None
    has_internet = network.means is not Means.CLOSED
    return Plan(
        means=network.means,
        ports=sorted(set(network.ports)),
        target=network.target,
        user=None if run_as is None else run_as + USER_OFFSET,
        rules=rules(network, own_addresses()) if has_internet else "",
        nft=find_program("nft") or "",
        command=command(network.means) if has_internet else [],
        shape=shape(network.limits) if has_internet else [],
        log=has_internet and network.log,
    )


def find_program(program: str) -> str | None:
    """The program's path. Ordinary users often lack the folders of administrators' programs in theirs."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))


def command(means: Means) -> list[str]:
    """The command line of the program for the internet, without what names the namespace."""
    path = find_program(means.value) or means.value
    if means is Means.SLIRP:
        return [path, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp"]
    return [
        path, "--foreground", "--quiet", "--config-net", "--address", ADDRESS, "--netmask", PREFIX,
        "--gateway", GATEWAY, "--ns-ifname", INTERFACE, "--dns-forward", RESOLVER, "--no-map-gw",
        "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
    ]  # fmt: skip


def shape(limits: TrafficLimits) -> list[str]:
    """The command that delays what exceeds the bandwidth; empty where there is no limit, or no `tc`.

    nftables' own limit drops packets instead, with which TCP nearly stands still.
    """
    program = find_program("tc")
    if program is None or not limits.upload_megabits:
        return []
    rate = f"{round(limits.upload_megabits * 1000)}kbit"
    return [
        program,
        "qdisc",
        "replace",
        "dev",
        INTERFACE,
        "root",
        "tbf",
        "rate",
        rate,
        "burst",
        "1mb",
        "latency",
        "50ms",
    ]


def resolver(means: Means) -> str:
    """/etc/resolv.conf of a slot."""
    return "" if means is Means.CLOSED else f"nameserver {RESOLVER}\n"


def rules(network: Network, own: Iterable[str] = ()) -> str:
    """nftables' rules. `own` are this machine's addresses, at which its programs listen for others."""
    allow4, allow6 = _by_family(network.allow)
    limits = network.limits
    refuse4, refuse6 = _by_family((*REFUSED_IPV4, *REFUSED_IPV6, *network.also_refuse, *own))
    lines = [
        'oifname "lo" accept',
        *_rate(limits.packets, limits.packets),
        f"ip daddr {RESOLVER} udp dport 53 accept",
        f"ip daddr {RESOLVER} tcp dport 53 accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept",
        *(f"ip daddr {{ {', '.join(allow4)} }} meta l4proto tcp goto open" for _ in allow4[:1]),
        *(f"ip6 daddr {{ {', '.join(allow6)} }} meta l4proto tcp goto open" for _ in allow6[:1]),
        f"ip daddr {{ {', '.join(refuse4)} }} {_REJECT}",
        f"ip6 daddr {{ {', '.join(refuse6)} }} {_REJECT}",
        f"tcp dport {{ {', '.join(map(str, REFUSED_PORTS))} }} {_REJECT}",
        "meta l4proto tcp goto open",
        f"udp dport {{ {', '.join(map(str, UDP_PORTS))} }} goto open",
        _REJECT,
    ]
    tracks = network.log or limits.connections or limits.new_connections
    opening = [
        *(["ct state != new accept"] if tracks else []),
        *(f"ct count over {most} {_REJECT}" for most in (limits.connections,) if most),
        *_rate(limits.new_connections, 10 * limits.new_connections),
        "accept",
    ]
    untracked = _UNTRACKED.format(resolver=RESOLVER) if tracks else ""
    return _TABLE.format(out="\n    ".join(lines), open="\n    ".join(opening), untracked=untracked)


def _rate(most: int, burst: int) -> list[str]:
    """Drops what exceeds so many packets in a second; no rule where there is no limit."""
    return [f"limit rate over {most}/second burst {burst} packets drop"] if most else []


_REJECT = "reject with icmpx type admin-prohibited"
_UNTRACKED = """
  chain untracked_out {{
    type filter hook output priority raw;
    oifname "lo" notrack
    ip daddr {resolver} udp dport 53 notrack
  }}
  chain untracked_in {{
    type filter hook prerouting priority raw;
    iifname "lo" notrack
    ip saddr {resolver} udp sport 53 notrack
  }}"""
_TABLE = """table inet freepool {{{untracked}
  chain open {{
    {open}
  }}
  chain out {{
    type filter hook output priority 0; policy drop;
    {out}
  }}
  chain in {{
    type filter hook input priority 0; policy accept;
    iifname "lo" accept
    tcp flags & (syn | ack) == syn drop
  }}
}}
"""


def _by_family(networks: Sequence[str]) -> tuple[list[str], list[str]]:
    """IPv4 and IPv6, without what another of them contains: nftables refuses overlaps."""
    parsed = [ipaddress.ip_network(one, strict=False) for one in networks]
    four = [one for one in parsed if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in parsed if isinstance(one, ipaddress.IPv6Network)]
    return (
        [str(one) for one in ipaddress.collapse_addresses(four)],
        [str(one) for one in ipaddress.collapse_addresses(six)],
    )


def own_addresses(folder: Path = Path("/proc/self/net")) -> list[str]:
    """This machine's addresses, of both families."""
    return sorted({*_own_ipv4(folder / "fib_trie"), *_own_ipv6(folder / "if_inet6")})


def _own_ipv4(file: Path) -> Iterator[str]:
    address = ""
    for line in _lines(file):
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[1:] == ["host", "LOCAL"]:
            yield address


def _own_ipv6(file: Path) -> Iterator[str]:
    for line in _lines(file):
        yield str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return []
