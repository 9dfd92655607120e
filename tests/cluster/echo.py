"""Answers to whatever arrives: on each place that is named it sends back what came, with its own address before it.

    python -m tests.cluster.echo tcp:203.0.113.80:443 udp:203.0.113.80:443

Prints `ready` once it listens everywhere. The end of standard input ends it. Needs nothing but Python.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def listen(place: str) -> socket.socket:
    """A socket at KIND:ADDRESS:PORT."""
    kind, _, there = place.partition(":")
    address, _, port = there.rpartition(":")
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[kind])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))  # not to the wildcard: an answer by UDP must bear the address that was asked
    if kind == "tcp":
        listener.listen(16)
    return listener


def answer(listener: socket.socket) -> None:
    """Answer one connection, or one packet."""
    here = listener.getsockname()[0].encode()
    if listener.type == socket.SOCK_DGRAM:
        data, peer = listener.recvfrom(1500)
        listener.sendto(here + b" " + data, peer)
        return
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(2)
        with contextlib.suppress(OSError):  # the other side is gone
            connection.sendall(here + b" " + connection.recv(1500))


def main() -> None:
    """Serve until standard input ends."""
    with selectors.DefaultSelector() as ready:
        for place in sys.argv[1:]:
            ready.register(listen(place), selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in ready.select():
                if key.fileobj is sys.stdin:
                    return
                answer(key.fileobj)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
