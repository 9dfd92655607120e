"""Run by `test_connections.py` in a network namespace of its own: what connection tracking tells of one datagram.

Prints the events as JSON: protocol, address, port, whether it is the end, bytes.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import subprocess
import sys
from dataclasses import astuple

from spawner.pool.backends.local.connections import DESTROY, NETLINK_NETFILTER, Connection, listen, parse
from spawner.pool.backends.local.namespace import _bring_up
from spawner.pool.backends.local.network import find_program

TRACKED = "table inet t {\n chain c {\n type filter hook output priority 0;\n ct state new accept\n }\n}\n"
REQUEST = 1
SECONDS = 10


def wait(events: socket.socket) -> list[Connection]:
    """The next events."""
    assert select.select([events], [], [], SECONDS)[0], "no event"
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found += parse(events.recv(65536))
    return found


def main() -> None:
    _bring_up("lo")
    subprocess.run([find_program("nft") or "nft", "-f", "-"], input=TRACKED.encode(), check=True)
    events = listen()
    seen = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as there, socket.socket(family, socket.SOCK_DGRAM) as here:
            there.bind((address, 4433))
            here.sendto(b"x" * 1000, (address, 4433))
            seen += wait(events)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as asking:
        for family in (socket.AF_INET, socket.AF_INET6):  # forget all of them, which else takes minutes
            asking.sendto(struct.pack("=IHHIIBBH", 20, DESTROY, REQUEST, 1, 0, family, 0, 0), (0, 0))
    while len(seen) < 4:
        seen += wait(events)
    sys.stdout.write(json.dumps([astuple(one) for one in seen]))


if __name__ == "__main__":
    main()
