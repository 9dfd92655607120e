"""Which address a request comes from. `X-Forwarded-For` is believed as far as trusted proxies have written it.

Each proxy adds the address that it was connected from at the end. So counted from the end, what our own proxy and the
stated number of proxies in front of it wrote is true, and everything before it may be the client's invention.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def client_address(peer: str, forwarded_for: str | None, trusted_proxies: int) -> str:
    """The client's address, as hub and desk see it: `peer` is our own proxy, which always adds to `forwarded_for`.

    `trusted_proxies` is the number of proxies in front of our own. Where the header has fewer addresses than that, the
    request has come past them, and the address that our own proxy was connected from counts.
    """
    if not forwarded_for:
        return normal_address(peer) or peer
    hops = [normal_address(hop) for hop in forwarded_for.split(",")]
    nearest = hops[-1]
    if nearest is None:
        return normal_address(peer) or peer
    if trusted_proxies >= len(hops):
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
