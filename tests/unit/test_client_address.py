"""Which address a request comes from, in Python and in the proxy's JavaScript, and that no client chooses it."""

from __future__ import annotations

import json
import subprocess

import pytest

from spawner.client_address import client_address, is_sandbox, network_of, normal_address, sandbox_address
from spawner.local import preflight
from spawner.local.front import STARTER

OWN_PROXY = "10.0.0.9"
CASES = [
    # the header that reaches hub and desk, the number of proxies in front of ours, the client
    ("203.0.113.7", 0, "203.0.113.7"),
    ("6.6.6.6, 203.0.113.7", 0, "203.0.113.7"),
    ("6.6.6.6,203.0.113.7", 0, "203.0.113.7"),
    ("203.0.113.7, 10.0.0.2", 1, "203.0.113.7"),
    ("6.6.6.6, 203.0.113.7, 10.0.0.2", 1, "203.0.113.7"),
    ("6.6.6.6, 203.0.113.7, 10.0.0.3, 10.0.0.2", 2, "203.0.113.7"),
    ("203.0.113.7", 1, "203.0.113.7"),  # it came past the proxy in front
    ("6.6.6.6, 203.0.113.7", 2, "203.0.113.7"),  # past one of two: nothing that it claims is believed
    ("rubbish, 10.0.0.2", 1, "10.0.0.2"),
    ("', 10.0.0.2", 1, "10.0.0.2"),
    ("unknown, , 10.0.0.2", 1, "10.0.0.2"),
    ("203.0.113.7:5123, 10.0.0.2", 1, "203.0.113.7"),
    ("[2001:db8::7]:5123, 10.0.0.2", 1, "2001:db8::7"),
    ("2001:DB8:0::7, 10.0.0.2", 1, "2001:db8::7"),
    ("::ffff:203.0.113.7", 0, "203.0.113.7"),
    ("::ffff:cb00:7107, 10.0.0.2", 1, "203.0.113.7"),
    ("fe80::1%eth0, 10.0.0.2", 1, "fe80::1"),
    ("6.6.6.6, 127.128.3.4", 1, "127.128.3.4"),  # a sandbox behind its keeper is behind no other proxy
    ("6.6.6.6, 127.128.3.4", 0, "127.128.3.4"),
]


@pytest.mark.parametrize(("header", "proxies", "client"), CASES)
def test_only_what_trusted_proxies_have_written_is_believed(header: str, proxies: int, client: str) -> None:
    assert client_address(OWN_PROXY, header, proxies) == client


@pytest.mark.parametrize("header", [None, "", "rubbish"])
def test_without_a_usable_header_it_is_the_peer(header: str | None) -> None:
    assert client_address("::ffff:10.0.0.9", header, 1) == OWN_PROXY


def test_the_proxy_finds_the_same_addresses() -> None:
    """It is one hop nearer: its peer is what hub and desk find at the end of the header."""
    given = []
    for header, proxies, _ in CASES:
        before, _, peer = header.rpartition(",")
        given.append([peer.strip(), before or None, proxies])
    code = (
        f"const {{clientAddress}} = await import({json.dumps(str(STARTER.parent / 'address.js'))});"
        f"console.log(JSON.stringify({json.dumps(given)}.map((one) => clientAddress(...one))))"
    )
    assert in_node(code) == [client for _, _, client in CASES]


ONE_CLIENT = [
    ("2001:db8:1:2:3::4", "2001:db8:1:2:ffff::9", True),
    ("2001:db8:1:2::4", "2001:db8:1:3::4", False),
    ("203.0.113.7", "203.0.113.8", False),
    ("::1", "::1", True),
    ("not an address", "not an address", True),
]


def test_an_ipv6_network_is_one_client() -> None:
    expected = [is_one for *_, is_one in ONE_CLIENT]
    assert [network_of(one) == network_of(other) for one, other, _ in ONE_CLIENT] == expected
    code = (
        f"const {{networkOf}} = await import({json.dumps(str(STARTER.parent / 'address.js'))});"
        f"const same = ([one, other]) => networkOf(one) === networkOf(other);"
        f"console.log(JSON.stringify({json.dumps(ONE_CLIENT)}.map(same)))"
    )
    assert in_node(code) == expected


@pytest.mark.parametrize("text", ["", " ", "300.1.1.1", "1.2.3", "::g", "a.example", "1.2.3.4.5:1", "\x00", "[", "%"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert normal_address(text) is None


def test_each_slot_has_an_address_of_its_own() -> None:
    slots = [f"{number:032x}" for number in range(1000)]
    found = {sandbox_address(slot) for slot in slots}
    assert len(found) == len(slots)
    assert all(is_sandbox(address) for address in found)
    assert not is_sandbox("127.0.0.1")
    assert not is_sandbox("203.0.113.7")


def in_node(code: str) -> object:
    node, _ = preflight.proxy_command()
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
