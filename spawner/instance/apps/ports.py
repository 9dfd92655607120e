"""Which ports of this instance's loopback programs listen on, and which programs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
MAPPED = "0000000000000000FFFF0000"
"""::ffff:0:0/96, an IPv4 address in IPv6. Java listens so."""
LOOPBACKS = ("0100007F", "00000000", "0" * 32, "0" * 24 + "01000000", MAPPED + "0100007F", MAPPED + "00000000")
"""127.0.0.1, 0.0.0.0, ::, ::1 and the mapped forms, as the kernel writes them on a little-endian machine."""
LONGEST = 80


@dataclass(frozen=True)
class Listener:
    """A port and the command of its program; empty where that is not known."""

    port: int
    program: str


def chosen_listeners(proc: Path = PROC) -> list[Listener]:
    """Listeners outside the range of ephemeral ports, which kernels and others get when they ask for any port."""
    with contextlib.suppress(OSError, ValueError):
        first, last = map(int, (proc / "sys/net/ipv4/ip_local_port_range").read_text().split())
        return [one for one in listeners(proc) if not first <= one.port <= last]
    return listeners(proc)


def listeners(proc: Path = PROC) -> list[Listener]:
    """All, by port."""
    sockets = _sockets(proc)
    programs = {port: _command(proc / pid) for pid, port in _holders(sockets, proc)}
    return [Listener(port, programs.get(port, "")) for port in sorted(set(sockets.values()))]


def is_listening(port: int, proc: Path = PROC) -> bool:
    """Whether a program listens on this port."""
    return port in _sockets(proc).values()


def serving(ports: Collection[int], proc: Path = PROC) -> set[str]:
    """Ids of the processes that listen on one of these ports, and of those that have started them."""
    found: set[str] = set()
    sockets = {inode: port for inode, port in _sockets(proc).items() if port in ports}
    for holder, _ in _holders(sockets, proc):
        process = holder
        while process not in found and process != "0":
            found.add(process)
            process = _parent(proc / process)
    return found


def _sockets(proc: Path) -> dict[str, int]:
    """Ports by the inode of the socket that listens."""
    found: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "self/net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                if fields[3] == LISTEN and address in LOOPBACKS:
                    found[fields[9]] = int(port, 16)
    return found


def _holders(sockets: Mapping[str, int], proc: Path) -> Iterator[tuple[str, int]]:
    """Ids of this user's own processes, and the port that each holds."""
    names = {f"socket:[{inode}]": port for inode, port in sockets.items()}
    for process in proc.iterdir() if names else ():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # another user's, or gone
                held = {names.get(str(descriptor.readlink())) for descriptor in (process / "fd").iterdir()}
                yield from ((process.name, port) for port in held if port is not None)


def _parent(process: Path) -> str:
    with contextlib.suppress(OSError, IndexError):
        return (process / "stat").read_text().rpartition(")")[2].split()[1]
    return "0"


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return ""
    return " ".join(Path(word).name if index == 0 else word for index, word in enumerate(words))[:LONGEST]
