"""Passes TCP connections between a slot's network namespace and the machine's.

A socket belongs to the namespace that it was made in, and a process that holds one can connect it to another address
of that namespace (`connect` with AF_UNSPEC undoes the first connection). So no socket of the machine's network is
handed into a sandbox: the keeper holds it, and copies.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

AT_ONCE = 64
"""Events handled in one turn, so that the keeper's other work is not delayed."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Choose the port when connecting, so that one may serve towards several places. Python 3.12 has the name."""
PIECE = 64 * 1024
"""The most bytes that wait for one direction of a connection."""


@dataclass(eq=False)
class _End:
    """One end of a connection. `waiting` are bytes for its socket that the other end has sent."""

    socket: socket.socket
    connecting: bool = False
    waiting: memoryview = field(default_factory=lambda: memoryview(b""))
    has_ended: bool = False
    """Its peer sends no more."""
    was_told: bool = False
    """Its peer knows that no more comes."""
    interest: int = 0
    other: _End = field(init=False)


@dataclass(frozen=True)
class Pace:
    """How many new connections a door lets in: `burst` at once, and so many a second over a long time."""

    burst: float
    per_second: float


@dataclass(eq=False)
class _Door:
    """A listening socket. `connect` begins a connection to where it leads."""

    listener: socket.socket
    connect: Callable[[], socket.socket]
    most: int
    pace: Pace | None
    level: float = 0
    """How many more it may let in at once; as it was at `counted_at`."""
    counted_at: float = 0
    open: int = 0
    is_paused: bool = False

    def seconds_to_wait(self, now: float) -> float:
        """Until it may let another one in."""
        if self.pace is None:
            return 0
        self.level = min(self.pace.burst, self.level + (now - self.counted_at) * self.pace.per_second)
        self.counted_at = now
        return max(0, 1 - self.level) / self.pace.per_second


class Relay:
    """All relayed connections of one slot. `turn` never raises and never blocks."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._doors: dict[int, _Door] = {}
        self._ends: dict[int, _End] = {}
        self._door_of: dict[_End, _Door] = {}
        self._late: set[_Door] = set()
        """Doors that have let in as many as their pace allows. None of them is paused: that one accepts nothing."""

    def fileno(self) -> int:
        """Readable when `turn` has something to do."""
        return self._poll.fileno()

    def add(
        self, listener: socket.socket, connect: Callable[[], socket.socket], *, most: int, pace: Pace | None = None
    ) -> None:
        """Relay each connection that is made to `listener`, at most so many at once; others wait in its queue."""
        listener.setblocking(False)
        level = pace.burst if pace else 0
        self._doors[listener.fileno()] = _Door(listener, connect, most, pace, level, time.monotonic())
        self._poll.register(listener, select.EPOLLIN)

    def seconds_to_wait(self) -> float | None:
        """After which `turn` has something to do although nothing is readable; None for never."""
        now = time.monotonic()
        return min((door.seconds_to_wait(now) for door in self._late), default=None)

    def turn(self) -> None:
        """Handle what is ready."""
        self._go_on()
        ready = [
            (self._doors.get(descriptor), self._ends.get(descriptor), event)
            for descriptor, event in self._poll.poll(0, AT_ONCE)
        ]
        for door, end, event in ready:
            if door is not None:
                self._accept(door)
            elif end in self._door_of:  # not closed in this very turn, when its number may be another's
                try:
                    self._serve(end, event)
                except OSError:
                    self._close(end)

    def _go_on(self) -> None:
        now = time.monotonic()
        for door in [door for door in self._late if not door.seconds_to_wait(now)]:
            self._late.discard(door)
            self._poll.modify(door.listener, select.EPOLLIN)

    def _is_too_fast(self, door: _Door) -> bool:
        """Count a connection that is about to be let in; without a place for it, the door is left alone for a while."""
        if door.seconds_to_wait(time.monotonic()):
            self._late.add(door)
            self._poll.modify(door.listener, 0)
            return True
        door.level -= 1
        return False

    def _accept(self, door: _Door) -> None:
        if self._is_too_fast(door):
            return
        try:
            near, _ = door.listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._pause(door)
            return
        try:
            near.setblocking(False)
            far = door.connect()
        except OSError:  # nothing listens there
            near.close()
            return
        ends = _End(near), _End(far, connecting=True)
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end in ends:
            if end.socket.family != socket.AF_UNIX:
                end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.socket.fileno()] = end
            self._door_of[end] = door
        self._watch(*ends)
        door.open += 1
        if door.open >= door.most:
            self._pause(door)

    def _pause(self, door: _Door) -> None:
        if not door.is_paused and door.open:
            door.is_paused = True
            self._poll.modify(door.listener, 0)

    def _serve(self, end: _End, event: int) -> None:
        if end.connecting:
            if error := end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "it does not connect")
            if not event & select.EPOLLOUT:
                return
            end.connecting = False
        if event & select.EPOLLERR:
            raise OSError(errno.ECONNRESET, "reset")
        if event & (select.EPOLLIN | select.EPOLLHUP) and not end.other.waiting and not end.has_ended:
            data = end.socket.recv(PIECE)
            end.other.waiting, end.has_ended = memoryview(data), not data
            self._send(end.other)
        if event & select.EPOLLOUT:
            self._send(end)
        if end.was_told and end.other.was_told:
            self._close(end)
        else:
            self._watch(end, end.other)

    def _send(self, end: _End) -> None:
        """Pass on what waits for this end, and then the end of it."""
        if end.connecting:
            return
        if end.waiting:
            with contextlib.suppress(BlockingIOError):
                end.waiting = end.waiting[end.socket.send(end.waiting) :]
        if not end.waiting and end.other.has_ended and not end.was_told:
            end.socket.shutdown(socket.SHUT_WR)
            end.was_told = True

    def _watch(self, *ends: _End) -> None:
        """Ask the kernel for what can be done now. It reports a hang-up unasked, so who can do nothing is left out."""
        for end in ends:
            interest = 0
            if end.connecting or end.waiting:
                interest |= select.EPOLLOUT
            if not (end.connecting or end.has_ended or end.other.waiting):
                interest |= select.EPOLLIN
            if interest and end.interest:
                self._poll.modify(end.socket, interest)
            elif interest:
                self._poll.register(end.socket, interest)
            elif end.interest:
                self._poll.unregister(end.socket)
            end.interest = interest

    def _close(self, end: _End) -> None:
        door = self._door_of[end]
        for one in (end, end.other):
            del self._ends[one.socket.fileno()], self._door_of[one]
            if one.interest:
                self._poll.unregister(one.socket)
            one.socket.close()
            one.waiting = memoryview(b"")
        door.open -= 1
        if door.is_paused and door.listener.fileno() in self._doors:
            door.is_paused = False
            self._poll.modify(door.listener, select.EPOLLIN)

    def close(self) -> None:
        """End all connections, and accept no more. The listening sockets stay open, so that their ports stay taken."""
        for door in self._doors.values():
            with contextlib.suppress(OSError, ValueError):
                self._poll.unregister(door.listener)
        self._doors = {}
        self._late = set()
        for end in list(self._ends.values()):
            if end in self._door_of:
                self._close(end)


def to_unix(address: bytes) -> Callable[[], socket.socket]:
    """Connections to a Unix socket with this (abstract) address."""

    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        return _begin(made, address)

    return connect


def to_tcp(host: str, port: int, source: str = "") -> Callable[[], socket.socket]:
    """Connections to an address of the machine's network. `source`: from this loopback address, to a loopback one."""

    def connect() -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if source and host.startswith("127."):
            made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((source, 0))
        return _begin(made, (host, port))

    return connect


def _begin(made: socket.socket, address: bytes | tuple[str, int]) -> socket.socket:
    try:
        with contextlib.suppress(BlockingIOError if isinstance(address, tuple) else InterruptedError):
            made.connect(address)
    except OSError:
        made.close()
        raise
    return made
