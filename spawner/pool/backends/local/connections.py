"""Connections out of a slot's network namespace, as the kernel's connection tracking tells of them.

A socket is opened inside the namespace, by a child that may, and is read outside: nothing is polled, and code in the
slot can neither read nor write it. What nftables refuses has no event. Loopback and names are not tracked: see
`network.py`.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NETLINK_NETFILTER = 12
NEW_GROUP, DESTROY_GROUP = 1 << 0, 1 << 2
BUFFER = 1024 * 1024
ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
NEW, DESTROY = 1 << 8, 1 << 8 | 2
"""Message types: the subsystem of connection tracking, and its message."""
PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp"}
# Attributes (linux/netfilter/nfnetlink_conntrack.h)
TUPLE_ORIG, COUNTERS_ORIG, COUNTERS_REPLY = 1, 9, 10
TUPLE_IP, TUPLE_PROTO = 1, 2
IPV4_DST, IPV6_DST = 2, 4
PROTO_NUMBER, PROTO_DST_PORT = 1, 3
COUNTERS_BYTES = 2
TYPE_MASK = 0x3FFF


@dataclass(frozen=True)
class Connection:
    """A connection's beginning, or its end with the bytes of both directions."""

    protocol: str
    address: str
    port: int
    is_end: bool = False
    bytes: int = 0


def listen() -> socket.socket:
    """A socket that gets the events of the calling process's network namespace. Needs CAP_NET_ADMIN over it."""
    with contextlib.suppress(OSError):  # then bytes are not counted
        ACCOUNTING.write_text("1")
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    events.bind((0, NEW_GROUP | DESTROY_GROUP))
    events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    events.setblocking(False)
    return events


def parse(data: bytes) -> Iterator[Connection]:
    """The connections in one read from the socket."""
    at = 0
    while at + 20 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 20:
            return
        if kind in (NEW, DESTROY):
            found = _connection(data[at + 20 : at + length], is_end=kind == DESTROY)
            if found is not None:
                yield found
        at += (length + 3) & ~3


def _connection(data: bytes, *, is_end: bool) -> Connection | None:
    fields = _attributes(data)
    original = _attributes(fields.get(TUPLE_ORIG, b""))
    address, protocol = _attributes(original.get(TUPLE_IP, b"")), _attributes(original.get(TUPLE_PROTO, b""))
    there = address.get(IPV4_DST) or address.get(IPV6_DST)
    if there is None:
        return None
    number = protocol.get(PROTO_NUMBER, b"\0")[0]
    counted = sum(
        int.from_bytes(_attributes(fields.get(one, b"")).get(COUNTERS_BYTES, b""), "big")
        for one in (COUNTERS_ORIG, COUNTERS_REPLY)
    )
    return Connection(
        protocol=PROTOCOLS.get(number, str(number)),
        address=socket.inet_ntop(socket.AF_INET if len(there) == 4 else socket.AF_INET6, there),
        port=int.from_bytes(protocol.get(PROTO_DST_PORT, b""), "big"),
        is_end=is_end,
        bytes=counted,
    )


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found
