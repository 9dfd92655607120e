"""What this machine's kernel tells of connections is understood: beginnings, ends, bytes, both families."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from spawner.pool.backends.local.network import find_program
from tests.backends.conftest import as_root
from tests.stack import PROJECT

pytestmark = as_root  # as a user it is the same, in a user namespace: `test_traffic.py`
HEADERS = {"127.0.0.1": 28, "::1": 48}


def test_a_datagram_begins_and_ends() -> None:
    if find_program("nft") is None:
        pytest.skip("nftables is not installed")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.backends.connections_in_namespace"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = [tuple(one) for one in json.loads(done.stdout)]
    assert seen[:2] == [("udp", address, 4433, False, 0) for address in HEADERS]
    assert sorted(seen[2:]) == sorted(("udp", address, 4433, True, 1000 + size) for address, size in HEADERS.items())
