"""Run by `test_network.py` on another host: notebooks there try to reach what they should not.

    python -m tests.backends.on_other_host FOLDER IMAGES MEANS TARGETS [--also-free]

TARGETS is JSON: [kind, address, port, device] each. With `--also-free` they are tried from a second slot, too, whose
namespace has no rules. Prints what was seen as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from spawner.pool.backends.local import network
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.network import Means, Network
from tests.backends.conformance import destroy, ready, spec
from tests.backends.conftest import EXAMPLES
from tests.backends.fakehub import fake_hub
from tests.backends.notebook import Notebook, claim
from tests.backends.other_host import HOST
from tests.backends.system_calls import PROGRAM

ANSWER = "203.0.113.80"
"""The address of every name."""
PROBE = """
import os, socket
from concurrent.futures import ThreadPoolExecutor
def attempt(target):
    kind, address, port, device = target
    try:
        if kind == 'dns':
            return 'reached' if socket.gethostbyname(address) == answer else 'another answer'
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        how = socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM
        with socket.socket(family, how) as connection:
            connection.settimeout(2.5)
            if device:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            connection.connect((address, port))
            connection.sendall(b'GET /hub/api HTTP/1.0\\r\\n\\r\\n')
            return 'reached' if connection.recv(1500) else 'no answer'
    except TimeoutError:
        return 'no answer'
    except OSError as error:
        return str(error)
with ThreadPoolExecutor(16) as threads:
    found = list(threads.map(attempt, targets))
"""
CHANGES = """
import subprocess
def works(*command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
changed = [command for command in (
    ('/usr/sbin/nft', 'flush', 'ruleset'), ('/usr/sbin/nft', 'list', 'ruleset'),
    ('/usr/sbin/ip', 'route', 'add', '10.0.0.0/8', 'via', '10.0.2.2'),
    ('/usr/sbin/tc', 'qdisc', 'del', 'dev', 'eth0', 'root'),
    ('/usr/sbin/sysctl', '-w', 'net.netfilter.nf_conntrack_acct=0'),
    ('/usr/sbin/ip', 'link', 'set', 'lo', 'down'), ('/usr/sbin/ip', 'addr', 'add', '10.9.9.9/8', 'dev', 'lo'),
    ('/usr/sbin/sysctl', '-w', 'net.ipv4.ip_forward=1'), ('/usr/bin/unshare', '-rn', 'true'),
) if works(*command)]
"""


class _Names(asyncio.DatagramProtocol):
    """A name server that knows one address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        question = data[12:]
        end = question.index(b"\0") + 5
        is_a = question[end - 4 : end - 2] == b"\0\1"
        head = data[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(ANSWER) if is_a else b""
        self._transport.sendto(head + question[:end] + record, peer)  # type: ignore[attr-defined]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    await writer.drain()
    writer.close()


@asynccontextmanager
async def _host_programs() -> AsyncIterator[tuple[int, int]]:
    """What a host has: a program on loopback, another on all addresses, a name server. The two ports."""
    inner = await asyncio.start_server(_echo, "127.0.0.1", 0)
    outer = await asyncio.start_server(_echo, HOST, 0)
    names, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Names, ("127.0.0.1", 53))
    async with inner, outer:
        yield inner.sockets[0].getsockname()[1], outer.sockets[0].getsockname()[1]
    names.close()


async def _try(notebook: Notebook, targets: list[Any]) -> dict[str, Any]:
    changed = await notebook.ask("changed", setup=CHANGES)
    found = await notebook.ask("found", setup=f"targets, answer = {targets!r}, {ANSWER!r}\n{PROBE}")
    calls = await notebook.ask("found", setup=PROGRAM)
    return {"changed": changed, "found": [str(one) for one in found], "calls": calls}


async def main(folder: Path, images: Path, means: Means, targets: list[Any], *, also_free: bool) -> None:
    async with fake_hub() as hub, aiohttp.ClientSession() as session, _host_programs() as (inner, outer):
        ports = {"HUB": hub.port, "INNER": inner, "OUTER": outer}
        targets = [[kind, address, ports.get(port, port), device] for kind, address, port, device in targets]
        backend = LocalBackend(
            folder=folder, images=images, examples=EXAMPLES, network=Network(means=means, ports=(hub.port,))
        )
        specs = {name: spec() for name in ("kept", "free")[: 2 if also_free else 1]}
        seen: dict[str, Any] = {"me": os.geteuid()}
        try:
            await backend.create(specs["kept"])
            if also_free:
                network.rules = lambda *_: "table inet freepool { }"  # type: ignore[assignment]
                await backend.create(specs["free"])
            for name, one in specs.items():
                notebook = await claim(session, hub, one, await ready(backend, one.id), name)
                seen[name] = await _try(notebook, targets)
        finally:
            await asyncio.gather(*(destroy(backend, one.id) for one in specs.values()))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    _, where, installed, kind, wanted, *options = sys.argv
    asyncio.run(main(Path(where), Path(installed), Means(kind), json.loads(wanted), also_free="--also-free" in options))
