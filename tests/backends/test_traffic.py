"""What a slot of this machine can send at most, and the log of where it went, with real packets.

The pool runs on a host of its own (`other_host.py`), as root and as an ordinary user. A slot without limits shows that
the rules, and nothing else, hold the other one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spawner.pool.backends.local.network import Means, find_program
from tests.backends.conftest import as_root, program
from tests.backends.other_host import Host, other_host
from tests.backends.test_network import run_there
from tests.backends.traffic_on_other_host import DATAGRAMS, LIMITS, PLACE, PROGRAM, REFUSED, SENT, TRIED

pytestmark = [as_root, pytest.mark.timeout(300)]
WORLD = f"""
import select, socket, time
mass, mark, quiet = (socket.create_server(("{PLACE}", port), backlog=200) for port in (5001, 5002, 443))
mine = socket.create_server(("{PLACE}", 3333))
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
packets.bind(("{PLACE}", 443))
packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
refused = socket.create_server(("{REFUSED}", 443))
held = []
print("ready", flush=True)
while True:
    for one in select.select([mass, packets, quiet, mark, mine, refused], [], [])[0]:
        if one is packets:
            packets.recv(100)
            print("packet", flush=True)
        elif one is mass:
            with one.accept()[0] as sent:
                count, began = 0, time.monotonic()
                while data := sent.recv(1 << 20):
                    count += len(data)
                print("mass", count, time.monotonic() - began, flush=True)
        elif one is refused:
            print("refused", flush=True)
        else:
            held.append(one.accept()[0])
"""


@contextmanager
def world(host: Host) -> Iterator[list[list[str]]]:
    """What arrived there, as words; whole when the block has ended."""
    name = host.name.replace("host-", "world-")
    command = ["nsenter", f"--net=/run/netns/{name}", sys.executable, "-c", WORLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as there:
        assert there.stdout is not None
        assert there.stdout.readline() == "ready\n"
        arrived: list[list[str]] = []
        try:
            yield arrived
        finally:
            there.terminate()
            arrived += [line.split() for line in there.stdout]


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("means", [Means.PASTA, Means.SLIRP])
def test_what_a_slot_sends_has_limits_and_a_log(means: Means, who: str, images: Path) -> None:
    if find_program(means.value) is None or find_program("nft") is None:
        pytest.skip(f"{means} or nftables is not installed")
    if not (images / "sender").exists():
        program(images / "sender", PROGRAM)
    began = time.time()
    with other_host([f"tcp:{PLACE}:80", f"tcp:{REFUSED}:80"]) as host, world(host) as arrived:
        seen = run_there(host, images, who, "tests.backends.traffic_on_other_host", means.value)
    kept, free = seen["kept"], seen["free"]
    words = [one[0] for one in arrived]
    masses = [(int(one[1]), float(one[2])) for one in arrived if one[0] == "mass"]
    (all_slow, slow), (all_quick, quick) = masses
    assert all_slow == all_quick == SENT, "all of it arrives"
    assert slow > 2, f"1 MB at once and 1 MB/s then take 3 s for {SENT} bytes"
    assert quick < slow / 2
    assert kept["open"] <= LIMITS.connections
    assert free["open"] == TRIED
    before = words[: len(words) - words[::-1].index("mass")].count("packet")
    assert before < DATAGRAMS * 0.8
    assert words.count("packet") - before > DATAGRAMS * 0.8, "only the limit holds"
    assert "refused" not in words
    _check_log(kept, began)
    _check_use(kept["use"], who)


def _check_use(use: dict[str, Any], who: str) -> None:
    """The guard sees from outside what runs and where it went."""
    assert use["known"] == ["xmrig"]
    assert use["places"] == [f"{PLACE}:3333"]
    assert 0 < use["seconds"] < 60
    assert use["slowed"] == use["can_slow"]
    if who == "root":
        assert use["quota"] == 25_000, "a quarter of one processor"


def _check_log(seen: dict[str, Any], began: float) -> None:
    assert seen["refused"] == [], "what went nowhere is not in the log"
    assert set(seen["modes"][1:]) == {"0o100600"}
    assert seen["modes"][0] == "0o40700"
    mass = next(one for one in seen["log"] if one["port"] == 5001)
    assert (mass["protocol"], mass["count"]) == ("tcp", 1)
    assert began - 1 < mass["at"] <= mass["until"] < time.time() + 1
    held = next(one for one in seen["log"] if (one["protocol"], one["port"]) == ("tcp", 443))
    assert 1 <= held["count"] <= LIMITS.connections
    assert held["until"] is not None, "the slot's end is their end"
    assert any((one["protocol"], one["port"]) == ("udp", 443) for one in seen["log"])
