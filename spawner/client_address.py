"""Which address a request comes from. `X-Forwarded-For` is believed as far as trusted proxies have written it.

Each proxy appends the address that it was connected from. So, counted from the end, the entries of our own proxy and of
the stated number of proxies in front of it are true, and all earlier ones may be invented by the client.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

NO_ADDRESS = "0.0.0.0"  # noqa: S104
"""What Tornado calls the peer at a Unix socket."""
SANDBOXES = ip_network("127.128.0.0/9")
"""Addresses of this machine's own from which keepers pass on what sandboxes send, one for each slot."""
NETWORK_BITS = 64
"""Prefix length of one customer's IPv6 network: a client with one address of it can use all of them."""


def client_address(peer: str, forwarded_for: str | None, trusted_proxies: int) -> str:
    """The client's address as hub and desk see it. `peer` is our own proxy, which always appends to `forwarded_for`.

    `trusted_proxies` is the number of proxies in front of our own. Where the header has fewer addresses than that, the
    request has come past them, and the address that our own proxy was connected from counts.
    """
    if not forwarded_for:
        return normal_address(peer) or peer
    hops = [normal_address(hop) for hop in forwarded_for.split(",")]
    nearest = hops[-1]
    if nearest is None:
        return normal_address(peer) or peer
    if trusted_proxies >= len(hops) or is_sandbox(nearest):
        return nearest
    return hops[-1 - trusted_proxies] or nearest


def normal_address(text: str) -> str | None:
    """One spelling for each address, without a port; None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def is_sandbox(address: str) -> bool:
    """Whether a keeper on this machine passes a sandbox's request on."""
    try:
        return ip_address(address) in SANDBOXES
    except ValueError:
        return False


def network_of(address: str) -> str:
    """What is limited as one client: an IPv4 address, or the network of an IPv6 address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    return str(ip_network((found, NETWORK_BITS), strict=False))


def sandbox_address(slot_id: str) -> str:
    """The address that a slot's requests come from. Two slots may have one: only their limits are then shared."""
    # Not `hash`, which differs between processes. Hexadecimal ids are spread already; others are folded.
    number = int.from_bytes(slot_id.encode()[-16:], "big") % ((1 << 23) - 3) + 1
    return str(IPv4Address(int(SANDBOXES.network_address) + number))
