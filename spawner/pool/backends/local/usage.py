"""What a slot's processes use, read from /proc outside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def below(process: int) -> Iterator[int]:
    """All descendants of a process. Daemons stay below the first process of their sandbox."""
    waiting = [process]
    while waiting:
        found = children(waiting.pop())
        yield from found
        waiting += found


def children(process: int) -> list[int]:
    """The processes that a process has started and not yet waited for."""
    found: list[int] = []
    for thread in _names(PROC / str(process) / "task"):
        with contextlib.suppress(OSError):
            found += [int(one) for one in (thread / "children").read_text().split()]
    return found


def seconds(process: int) -> float:
    """Processor time of a process and of its children that have ended, which their parent has waited for."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def names(process: int) -> set[str]:
    """What a process calls itself, and the name of the file that it runs."""
    found = set()
    with contextlib.suppress(OSError):
        found.add((PROC / str(process) / "comm").read_text().strip())
    with contextlib.suppress(OSError):
        found.add(Path((PROC / str(process) / "exe").readlink()).name.removesuffix(" (deleted)"))
    return found


def network_bytes(process: int) -> int | None:
    """Bytes in and out of a process's network namespace, without loopback; None where they cannot be read."""
    try:
        lines = (PROC / str(process) / "net" / "dev").read_text().splitlines()[2:]
        counters = {name.strip(): numbers.split() for name, _, numbers in (line.partition(":") for line in lines)}
        return sum(int(numbers[0]) + int(numbers[8]) for name, numbers in counters.items() if name != "lo")
    except (OSError, ValueError, IndexError):
        return None


def _names(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
