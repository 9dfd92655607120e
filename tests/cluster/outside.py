"""A world outside of the cluster, made for a test: a network namespace with all the addresses that the test tries.

The cluster's network has no way out of the machine. Here a second network namespace is joined to it by a veth pair. It
has the addresses on its loopback device, and programs that answer at them; the cluster's network has a route to each.
So packets from pods are forwarded as they would be on a real node, and none can leave the machine.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from tests.cluster.network import outside_prefix
from tests.stack import PROJECT

# A documentation range (RFC 5737) of its own, so that it meets none of the addresses that are tried.
CLUSTER_END, OUTSIDE_END = "192.0.2.1", "192.0.2.2"


@contextmanager
def outside(places: Iterable[str]) -> Iterator[None]:
    """A network that answers at these places (KIND:ADDRESS:PORT, see `echo`). Called inside the cluster's network."""
    places = sorted(set(places))
    addresses = sorted({place.split(":")[1] for place in places})
    mark = secrets.token_hex(3)
    namespace, near, far = f"{outside_prefix()}{mark}", f"near-{mark}", f"far-{mark}"
    with ExitStack() as undo:
        _ip("netns", "add", namespace)
        undo.callback(_ip, "netns", "delete", namespace)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        undo.callback(_ip, "link", "delete", near)
        _ip("addr", "add", f"{CLUSTER_END}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", namespace, "addr", "add", f"{OUTSIDE_END}/30", "dev", far)
        for device in (far, "lo"):
            _ip("-n", namespace, "link", "set", device, "up")
        _ip("-n", namespace, "route", "add", "default", "via", CLUSTER_END)
        for address in addresses:
            _ip("-n", namespace, "addr", "add", f"{address}/32", "dev", "lo")
            _ip("route", "add", f"{address}/32", "via", OUTSIDE_END, "dev", near)
        undo.enter_context(answering(places, f"--net=/run/netns/{namespace}"))
        yield


@contextmanager
def answering(places: Iterable[str], *network: str) -> Iterator[None]:
    """A program that answers at these places: in this thread's network, or in the one that is named for nsenter."""
    enter = ["nsenter", *network] if network else []
    command = [*enter, sys.executable, "-m", "tests.cluster.echo", *places]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        try:
            assert echo.stdout.readline().strip() == "ready", "the addresses do not answer"
            yield
        finally:
            echo.stdin.close()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
