"""A network that acts as the host of a local pool, and a world behind it, each in a network namespace of its own.

The world has the addresses that a test tries, and answers at them. The host has an address and routes to the world, and
no other way: no packet leaves the machine.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.cluster.network import outside_prefix
from tests.cluster.outside import answering

HOST, WORLD = "192.0.2.1", "192.0.2.2"
HOST6, WORLD6 = "2001:db8:1::1", "2001:db8:1::2"
"""Documentation ranges (RFC 5737, RFC 3849): none of the addresses that are refused."""


@dataclass(frozen=True)
class Host:
    """The namespace's name."""

    name: str

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line of a program on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]


@contextmanager
def other_host(places: Sequence[str]) -> Iterator[Host]:
    """A host whose world answers at these places (KIND:ADDRESS:PORT, see `tests.cluster.echo`)."""
    mark = secrets.token_hex(3)
    host, world = f"{outside_prefix()}host-{mark}", f"{outside_prefix()}world-{mark}"
    with ExitStack() as undo:
        for name in (host, world):
            _ip("netns", "add", name)
            undo.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", host, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", world)
        for name, device, four, six, other, other_six in (
            (host, "near", HOST, HOST6, WORLD, WORLD6),
            (world, "far", WORLD, WORLD6, HOST, HOST6),
        ):
            _ip("-n", name, "addr", "add", f"{four}/30", "dev", device)
            _ip("-n", name, "addr", "add", f"{six}/64", "dev", device, "nodad")
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "route", "add", "default", "via", other)
            _ip("-n", name, "-6", "route", "add", "default", "via", other_six)
        for address in sorted({place.split(":", 1)[1].rpartition(":")[0] for place in places}):
            _ip("-n", world, "addr", "add", address, "dev", "lo")
        # So that a test's name server can be what /etc/resolv.conf names, for an ordinary user, too.
        _run("nsenter", f"--net=/run/netns/{host}", "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
        undo.enter_context(answering(places, f"--net=/run/netns/{world}"))
        yield Host(host)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
