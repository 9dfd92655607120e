"""The public port: which addresses can be listened on, and what a refusal blames."""

from __future__ import annotations

import json
import resource
import socket
from contextlib import closing, suppress
from pathlib import Path

import pytest

from spawner.errors import SetupError
from spawner.local import front
from spawner.settings import LOOPBACK
from tests.stack import free_port


def listening(address: str) -> tuple[int, list[socket.socket]]:
    """A port that was free, and the sockets. A connection of another program may take a port before they have it."""
    for _ in range(20):
        port = free_port()
        with suppress(SetupError):
            return port, front.open_public_sockets(address, port)
    return port, front.open_public_sockets(address, port)


def places(listeners: list[socket.socket]) -> list[str]:
    found = [str(listener.getsockname()[0]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return found


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (LOOPBACK, [LOOPBACK, "::1"]),
        ("localhost", [LOOPBACK, "::1"]),
        ("0.0.0.0", ["0.0.0.0", "::1"]),
        ("", ["0.0.0.0", "::1"]),
        ("::1", ["::1", LOOPBACK]),
        ("::", ["::"]),
        ("127.0.0.9", ["127.0.0.9", LOOPBACK, "::1"]),
    ],
)
def test_every_kind_of_address_is_listened_on_and_loopback_always(address: str, expected: list[str]) -> None:
    port, listeners = listening(address)
    for loopback in (LOOPBACK, "::1"):  # browsers resolve localhost to both
        with socket.create_connection((loopback, port)):
            pass
    found = places(listeners)
    assert found == expected or (address == "localhost" and found == ["::1", LOOPBACK])


def test_a_taken_port_is_named_with_a_way_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"Port {port} cannot be used: Address already in use\. .*PORT=8001"):
            front.open_public_sockets(LOOPBACK, port)
        with pytest.raises(SetupError, match=rf"Port {port} cannot be used"):
            front.open_public_sockets("127.0.0.9", port)
        with closing(socket.create_server(("127.0.0.9", port))):
            pass  # it was let go of


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_that_this_machine_does_not_have_is_blamed_itself(address: str) -> None:
    with pytest.raises(SetupError, match=r"Cannot listen on the address .*: .* Set `address`") as caught:
        front.open_public_sockets(address, free_port())
    assert "Port" not in caught.value.message


def test_notebooks_of_an_older_version_still_find_the_hub_at_its_former_port(tmp_path: Path) -> None:
    file, port = tmp_path / "ports.json", free_port()
    assert front.open_former_hub_port(tmp_path, LOOPBACK) == []
    (tmp_path / "slots" / "0123456789abcdef").mkdir(parents=True)
    assert front.open_former_hub_port(tmp_path, LOOPBACK) == []
    for useless in ("", "[]", '{"hub_port": "x"}', '{"hub_port": 99999999}'):
        file.write_text(useless)
        assert front.open_former_hub_port(tmp_path, LOOPBACK) == []
    file.write_text(json.dumps({"hub_port": port}))
    for _ in range(2):  # a second start finds it as well
        (listener,) = front.open_former_hub_port(tmp_path, LOOPBACK)
        assert listener.getsockname() == (LOOPBACK, port)
        listener.close()
    (tmp_path / "slots" / "0123456789abcdef").rmdir()
    assert front.open_former_hub_port(tmp_path, LOOPBACK) == []
    assert not file.exists()


@pytest.mark.parametrize(
    ("descriptors", "expected"), [(1024, 384), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000), (64, 1)]
)
def test_connections_are_limited_by_the_descriptors_that_there_are(descriptors: int, expected: int) -> None:
    assert front.most_connections(descriptors) == expected
