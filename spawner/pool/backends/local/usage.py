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
        for thread in _names(PROC / str(waiting.pop()) / "task"):
            with contextlib.suppress(OSError):
                children = [int(one) for one in (thread / "children").read_text().split()]
                yield from children
                waiting += children


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


def _names(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
