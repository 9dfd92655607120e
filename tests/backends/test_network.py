"""What notebooks of a local pool reach, with real packets: the list of the cluster's `tests/helm/test_packets.py`.

The whole pool runs on a host of its own (`other_host.py`), with root's rights and as an ordinary user. Each address is
one that the test itself has made, and what is stopped arrives in a slot whose namespace has no rules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spawner.pool.backends.local.network import Means, find_program
from tests.backends.conftest import as_root
from tests.backends.other_host import HOST, Host, other_host
from tests.backends.system_calls import EXPECTED
from tests.backends.test_unprivileged import NOBODY, SHOW, shown_to_others
from tests.helm.test_packets import INTERNET, METADATA, PRIVATE
from tests.stack import PROJECT

pytestmark = [as_root, pytest.mark.timeout(300)]
REACHED = "reached"
EVEN_FREE = "not even without rules"
"""Stopped by the namespace itself."""
INTERNET6, PRIVATE6 = "2001:db8:80::80", "fd12:3456::7"


@dataclass(frozen=True)
class Target:
    """One connection to try. `port` may be the name of a port that the host's programs choose."""

    name: str
    kind: str
    address: str
    port: int | str
    wanted: str
    device: str = ""

    def to_json(self) -> list[Any]:
        return [self.kind, self.address, self.port, self.device]


def targets() -> list[Target]:
    """What is tried."""
    there = [
        Target("the hub, by the forwarded port", "tcp", "127.0.0.1", "HUB", REACHED),
        *(Target("internet", "tcp", INTERNET, port, REACHED) for port in (22, 80, 443, 8443, 50000)),
        Target("internet", "udp", INTERNET, 443, REACHED),
        Target("a name", "dns", "packages.example.org", 53, REACHED),
        *(Target("internet", "udp", INTERNET, port, "") for port in (53, 50000)),
        *(Target("mail", "tcp", INTERNET, port, "") for port in (25, 465, 587)),
    ]
    for address, name in {**METADATA, **PRIVATE}.items():
        there += [Target(name, "tcp", address, port, "") for port in (80, 443)]
        there += [Target(name, "udp", address, port, "") for port in (53, 443)]
    # A socket that is bound to a device goes past routes, and needs no capability for it.
    there += [
        Target("private, past the routes", "tcp", "10.99.3.7", 80, "", "eth0"),
        Target("metadata, past the routes", "tcp", "169.254.169.254", 80, "", "eth0"),
        Target("this host's own address", "tcp", HOST, "OUTER", ""),
        Target("this host's loopback", "tcp", "127.0.0.1", "INNER", EVEN_FREE),
        Target("this host's loopback, by the gateway", "tcp", "10.0.2.2", "INNER", EVEN_FREE),
        Target("this host's loopback, past the routes", "tcp", "127.0.0.1", "INNER", EVEN_FREE, "eth0"),
    ]
    return there


def targets6() -> list[Target]:
    """IPv6, which only pasta has."""
    return [
        Target("internet, IPv6", "tcp", INTERNET6, 443, REACHED),
        Target("mail, IPv6", "tcp", INTERNET6, 25, ""),
        Target("private, IPv6", "tcp", PRIVATE6, 443, ""),
        Target("private, IPv6", "udp", PRIVATE6, 443, ""),
        Target("private, IPv6, past the routes", "tcp", PRIVATE6, 443, "", "eth0"),
    ]


ALL = [*targets(), *targets6()]
OUTSIDE = [f"{one.kind}:{one.address}:{one.port}" for one in ALL if one.kind != "dns" and isinstance(one.port, int)]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with the world behind it."""
    with other_host(sorted(set(OUTSIDE))) as made:
        yield made


def run_there(host: Host, images: Path, who: str, module: str, *arguments: str) -> dict[str, Any]:
    """Run a module on that host, with a folder for slots and the images' as its first arguments. What it prints."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        images.chmod(0o755)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (folder / "resolv.conf").chmod(0o644)
        program = [sys.executable, "-m", module, str(folder / "slots"), str(images), *arguments]
        apart = ("unshare", "--mount", "--propagation", "private")
        prepare = 'mount --bind "$0" /etc/resolv.conf; exec "$@"'
        if who == "user":
            os.chown(folder, NOBODY, NOBODY)
            (folder / "hold").mkdir()
            program = ["sh", "-c", SHOW, "sh", str(folder / "hold"), *shown_to_others(), "--", *program]
        done = subprocess.run(
            host.command([*apart, "sh", "-c", prepare, str(folder / "resolv.conf"), *program]),
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert seen["me"] == (NOBODY if who == "user" else 0)
    return seen


def look(host: Host, images: Path, means: Means, who: str, *options: str) -> dict[str, Any]:
    """Run the pool there, and try everything."""
    targets = json.dumps([one.to_json() for one in ALL])
    return run_there(host, images, who, "tests.backends.on_other_host", means.value, targets, *options)


def differences(tried: list[Target], found: list[str], wanted: dict[Target, bool]) -> list[str]:
    """Targets that came out otherwise."""
    return [
        f"{one.name} ({one.kind} {one.address} {one.port} {one.device}): {came}"
        for one, came in zip(tried, found, strict=True)
        if one in wanted and (came == REACHED) != wanted[one]
    ]


FREE = {(Means.PASTA, "root"), (Means.SLIRP, "user")}
"""Where the slot without rules is tried, too: what stops the others are the same rules."""


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("means", [Means.PASTA, Means.SLIRP])
def test_what_packets_pass(means: Means, who: str, host: Host, images: Path) -> None:
    if find_program(means.value) is None or find_program("nft") is None:
        pytest.skip(f"{means} or nftables is not installed")
    also_free = ["--also-free"] if (means, who) in FREE else []
    seen = look(host, images, means, who, *also_free)
    here = ALL if means is Means.PASTA else targets()
    kept = {one: one.wanted == REACHED for one in ALL} | {one: False for one in ALL if one not in here}
    assert differences(ALL, seen["kept"]["found"], kept) == []
    assert seen["kept"]["calls"] == EXPECTED
    assert seen["kept"]["changed"] == []
    if not also_free:
        return
    free = {one: one.wanted != EVEN_FREE for one in here if (one.wanted, one.device) != (EVEN_FREE, "eth0")}
    assert differences(ALL, seen["free"]["found"], free) == [], "not the rules stop it"


@pytest.mark.parametrize("who", ["root", "user"])
def test_without_internet_only_the_forwarded_port_is_reached(who: str, host: Host, images: Path) -> None:
    seen = look(host, images, Means.CLOSED, who)
    wanted = {one: one.name == "the hub, by the forwarded port" for one in ALL}
    assert differences(ALL, seen["kept"]["found"], wanted) == []
    assert seen["kept"]["changed"] == []


SHARED = """
mount -t tmpfs none "$0" && mount --make-shared "$0" && mkdir "$0/below" && mount -t tmpfs none "$0/below"
"$@" || exit
mountpoint -q "$0/below"
"""
"""A machine whose mounts are shared, as systemd makes them: $0 is a folder, the rest a command."""


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's mounts never reach the machine's")
def test_slirp4netns_unmounts_nothing_of_this_machine(tmp_path: Path) -> None:
    if find_program("slirp4netns") is None or find_program("nft") is None:
        pytest.skip("slirp4netns or nftables is not installed")
    trial = "import sys; from spawner.pool.backends.local import means; sys.exit(means._try(means.Means.SLIRP) or 0)"
    apart = ("unshare", "--mount", "--propagation", "private", "sh", "-c", SHARED, str(tmp_path))
    done = subprocess.run(
        [*apart, sys.executable, "-c", trial], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
