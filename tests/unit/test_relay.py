"""The relay between a slot's network namespace and the machine's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import secrets
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.pool.backends.local.relay import Pace, Relay, to_tcp, to_unix

SECONDS = 10


class Running:
    """A relay whose turns a thread takes, as the keeper does."""

    def __init__(self) -> None:
        self.relay, self.wake = Relay(), os.pipe()
        self.doors: list[socket.socket] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        poll = select.poll()
        for one in (self.relay.fileno(), self.wake[0]):
            poll.register(one, select.POLLIN)
        while all(descriptor != self.wake[0] for descriptor, _ in poll.poll(self._pause())):
            self.relay.turn()

    def _pause(self) -> float | None:
        waits = self.relay.seconds_to_wait()
        return None if waits is None else waits * 1000

    def door(self, connect: object, *, most: int = 100, pace: Pace | None = None) -> tuple[str, int]:
        """A port that leads to where `connect` does."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.doors.append(listener)
        self.relay.add(listener, connect, most=most, pace=pace)  # type: ignore[arg-type]
        host, port = listener.getsockname()
        return host, port

    def end(self) -> None:
        os.write(self.wake[1], b"x")
        self.thread.join()
        self.relay.close()
        for door in self.doors:
            door.close()
        for descriptor in self.wake:
            os.close(descriptor)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    made.thread.start()
    yield made
    made.end()


@pytest.fixture
def inside() -> Iterator[socket.socket]:
    """An abstract Unix socket, as the agent has it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen(64)
        listener.settimeout(SECONDS)
        yield listener


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(SECONDS)
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_bytes_pass_both_ways_and_each_direction_ends_alone(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()))
    with socket.create_connection(address, timeout=SECONDS) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        with inside.accept()[0] as server:
            assert read_all(server) == b"question"
            server.sendall(b"answer")
        assert read_all(client) == b"answer"


def test_what_a_slow_reader_does_not_take_waits_at_the_sender_and_arrives_whole(
    running: Running, inside: socket.socket
) -> None:
    address = running.door(to_unix(inside.getsockname()))
    data = secrets.token_bytes(8 << 20)
    with socket.create_connection(address, timeout=SECONDS) as client, inside.accept()[0] as server:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        sender.join(0.2)
        assert sender.is_alive(), "nobody reads, and the relay keeps no more than a piece"
        assert hashlib.sha256(read_all(server)).digest() == hashlib.sha256(data).digest()
        sender.join()


def test_a_side_that_hung_up_costs_nothing_while_the_other_is_slow(inside: socket.socket) -> None:
    relay = Relay()
    with socket.create_server(("127.0.0.1", 0)) as door:
        relay.add(door, to_unix(inside.getsockname()), most=1)
        with socket.create_connection(door.getsockname(), timeout=SECONDS) as client:
            for _ in range(3):
                relay.turn()
            with inside.accept()[0] as server:
                client.shutdown(socket.SHUT_WR)
                server.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while server.send(b"x" * (1 << 20)):
                        for _ in range(100):
                            relay.turn()
            for _ in range(100):
                relay.turn()
            assert not select.select([relay.fileno()], [], [], 0.2)[0], "it would turn and turn"
        relay.close()


def test_where_nothing_listens_the_connection_ends(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()
    with socket.create_connection(running.door(to_tcp(*gone)), timeout=SECONDS) as client:
        assert read_all(client) == b""
    with socket.create_connection(running.door(to_unix(b"\0no such name")), timeout=SECONDS) as client:
        assert read_all(client) == b""


def test_a_reset_on_one_side_ends_the_other(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()))
    with socket.create_connection(address, timeout=SECONDS) as client, inside.accept()[0] as server:
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        server.settimeout(SECONDS)
        assert server.recv(1) == b""


def test_only_so_many_are_open_at_once_and_others_wait_their_turn(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()), most=2)
    clients = [socket.create_connection(address, timeout=SECONDS) for _ in range(3)]
    servers = [inside.accept()[0] for _ in range(2)]
    inside.settimeout(0.2)
    with pytest.raises(TimeoutError):
        inside.accept()
    inside.settimeout(SECONDS)
    for one in (clients[0], servers[0]):
        one.close()
    servers.append(inside.accept()[0])
    for one in (*clients, *servers):
        one.close()


def test_a_lack_of_descriptors_delays_and_breaks_nothing(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(address, timeout=SECONDS) as client, inside.accept()[0] as server:
        waiting = socket.socket()
        top = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            waiting.settimeout(SECONDS)
            waiting.connect(address)
            client.sendall(b"still here")
            assert server.recv(100) == b"still here"
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.close()
        server.close()
        with waiting, inside.accept()[0] as second:
            waiting.sendall(b"my turn")
            assert second.recv(100) == b"my turn"


def test_connections_that_come_too_fast_wait_and_then_pass(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()), pace=Pace(burst=2, per_second=2))
    clients = [socket.create_connection(address, timeout=SECONDS) for _ in range(4)]
    servers = [inside.accept()[0] for _ in range(2)]
    inside.settimeout(0.3)
    with pytest.raises(TimeoutError):
        inside.accept()
    inside.settimeout(SECONDS)
    servers += [inside.accept()[0] for _ in range(2)]  # no event but the time lets them in
    for one in (*clients, *servers):
        one.close()


def test_the_pace_opens_no_door_that_has_as_many_as_it_may(running: Running, inside: socket.socket) -> None:
    address = running.door(to_unix(inside.getsockname()), most=1, pace=Pace(burst=1, per_second=50))
    clients = [socket.create_connection(address, timeout=SECONDS) for _ in range(2)]
    with inside.accept()[0] as first:
        inside.settimeout(0.2)
        with pytest.raises(TimeoutError):
            inside.accept()
        inside.settimeout(SECONDS)
        clients[0].close()
        assert first.recv(1) == b""
    with inside.accept()[0]:
        clients[1].close()


def test_a_slot_calls_from_an_address_of_its_own(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(SECONDS)
        for source in ("127.128.0.7", ""):
            door = running.door(to_tcp(*hub.getsockname(), source=source))
            with socket.create_connection(door, timeout=SECONDS):
                connection, (peer, _) = hub.accept()
                connection.close()
            assert peer == (source or "127.0.0.1")
