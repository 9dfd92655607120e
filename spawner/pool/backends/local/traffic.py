"""The log of connections out of each slot: one file per slot, which its keeper writes.

It answers who used an address at a time (`freepool traffic`). Each line is a JSON object. The first connection to a
place writes `at`, `protocol`, `to` and `port` at once, so that no crash loses it; when nothing has been open to that
place for a minute, a second line has also `until`, `count` and `bytes` (of both directions). Times are seconds
since 1970. The kernel tells of an end up to three minutes after it.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spawner.pool.backends.local.connections import Connection

QUIET_SECONDS = 60
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of one slot's file: a session of four hours in which it does nothing but try 25 new places a second, which is
all that it may (`network.TrafficLimits`)."""
SUFFIX = ".jsonl"
Place = tuple[str, str, int]
"""Protocol, address, port."""


@dataclass
class _Use:
    """Connections to one place: `open` of `count` have not ended."""

    at: int
    until: int
    open: int = 0
    count: int = 0
    bytes: int = 0

    def line(self) -> dict[str, Any]:
        """Bytes are known once the kernel has forgotten all of the connections."""
        counted = {} if self.open else {"bytes": self.bytes}
        return {"until": self.until, "count": self.count, **counted}


class Recorder:
    """Writes the file of one slot. Used by its keeper only."""

    def __init__(self, folder: Path, slot_id: str, now: Callable[[], float], *, most: int = LARGEST_FILE) -> None:
        self._path = folder / f"{slot_id}{SUFFIX}"
        self._now = now
        self._room = most
        self._uses: dict[Place, _Use] = {}

    def note(self, connection: Connection) -> None:
        """A connection has begun or ended."""
        place, now = (connection.protocol, connection.address, connection.port), int(self._now())
        use = self._uses.get(place)
        if use is None:
            use = self._uses[place] = _Use(now, now)
            self._write({"at": now, **_named(place)})
        use.until = now
        if connection.is_end:
            use.open = max(0, use.open - 1)
            use.bytes += connection.bytes
        else:
            use.open += 1
            use.count += 1

    def missed(self) -> None:
        """The kernel had more events than the keeper has read."""
        self._write({"at": int(self._now()), "missed": True})

    def write_ended(self) -> None:
        """Write places to which nothing has been open for `QUIET_SECONDS`."""
        before = self._now() - QUIET_SECONDS
        self._finish([place for place, use in self._uses.items() if not use.open and use.until < before])

    def close(self) -> None:
        """The slot ends, and all its connections with it."""
        for use in self._uses.values():
            if use.open:
                use.until = int(self._now())
        self._finish(list(self._uses))

    def _finish(self, places: list[Place]) -> None:
        for place in places:
            use = self._uses.pop(place)
            self._write({"at": use.at, **_named(place), **use.line()})

    def _write(self, line: dict[str, Any]) -> None:
        if self._room <= 0:
            return
        text = json.dumps(line, separators=(",", ":")) + "\n"
        self._room -= len(text)
        if self._room <= 0:
            text = json.dumps({"at": line["at"], "full": True}) + "\n"
        with contextlib.suppress(OSError):  # a full disk must not end the instance
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, text.encode())
            finally:
                os.close(file)


def _named(place: Place) -> dict[str, Any]:
    return dict(zip(("protocol", "to", "port"), place, strict=True))


# Reading


@dataclass(frozen=True)
class Use:
    """What a slot had to do with one place.

    `until` is None while it is not over, and where its keeper was killed. `bytes` is None where the slot ended first.
    """

    slot_id: str
    protocol: str
    address: str
    port: int
    at: float
    until: float | None
    count: int
    bytes: int | None


def find(folder: Path, address: str, port: int | None = None) -> list[Use]:
    """All uses of an address, oldest first."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wanted = socket.inet_ntop(family, socket.inet_pton(family, address))
    found = [use for path in _files(folder) for use in _uses(path, wanted, port)]
    return sorted(found, key=lambda use: (use.at, use.slot_id))


def _uses(path: Path, address: str, port: int | None) -> Iterator[Use]:
    """The two lines of one use have the same beginning; the second replaces the first."""
    mark = f'"to":"{address}"'
    found: dict[tuple[Any, ...], Use] = {}
    for line in _lines(path, lambda text: mark in text):
        if line.get("to") == address and (port is None or line["port"] == port):
            found[line["protocol"], line["port"], line["at"]] = Use(
                path.name.removesuffix(SUFFIX),
                line["protocol"],
                address,
                line["port"],
                line["at"],
                line.get("until"),
                line.get("count", 1),
                line.get("bytes"),
            )
    yield from found.values()


def incomplete(folder: Path) -> dict[str, list[str]]:
    """By slot, why its file is not whole: `full` or `missed`."""
    found: dict[str, list[str]] = {}
    for path in _files(folder):
        for line in _lines(path, lambda text: '"to"' not in text):
            for word in ("full", "missed"):
                if line.get(word) and word not in found.setdefault(path.name.removesuffix(SUFFIX), []):
                    found[path.name.removesuffix(SUFFIX)].append(word)
    return found


def contacts(folder: Path, slot_id: str, ports: frozenset[int], *, after: int = 0) -> tuple[list[str], int]:
    """The places with one of these ports in a slot's file from the byte `after` on, and where the file ends now."""
    found: list[str] = []
    try:
        with (folder / f"{slot_id}{SUFFIX}").open("rb") as file:
            file.seek(after)
            data = file.read()
    except OSError:
        return [], after
    whole = data[: data.rfind(b"\n") + 1]
    for text in whole.splitlines():
        line = _parsed(text.decode(errors="replace"))
        if line.get("port") in ports:
            host = f"[{line['to']}]" if ":" in line["to"] else line["to"]
            found.append(f"{host}:{line['port']}")
    return list(dict.fromkeys(found)), after + len(whole)


def prune(folder: Path, *, before: float, most_bytes: int) -> list[str]:
    """Remove files that nobody has written to since then, and the oldest of more than so many bytes.

    Returns the slots of the latter: their time had not come.
    """
    kept: list[tuple[float, int, Path]] = []
    for path in _files(folder):
        with contextlib.suppress(OSError):
            stat = path.stat()
            if stat.st_mtime < before:
                path.unlink()
            else:
                kept.append((stat.st_mtime, stat.st_size, path))
    total, early = sum(size for _, size, _ in kept), []
    for _, size, path in sorted(kept):
        if total <= most_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            early.append(path.name.removesuffix(SUFFIX))
            total -= size
    return early


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _lines(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(OSError), path.open(errors="replace") as file:
        for text in file:
            if is_wanted(text):
                yield _parsed(text)


def _parsed(text: str) -> dict[str, Any]:
    """A line; empty where a crash has cut it off."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
