"""What the operating system says of processes: who descends from whom, and how much memory they hold."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
MIB = 1024 * 1024


def _stat(process: int) -> list[str]:
    return (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()


def identity(process: int) -> tuple[int, str] | None:
    """A process and the moment it began, which no other process with that number shares; None if there is none."""
    try:
        return process, _stat(process)[19]
    except (OSError, IndexError):
        return None


def descendants(root: int) -> list[int]:
    """All processes below `root`, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    level = children.get(root, [])
    while level:
        found += level
        level = [child for parent in level for child in children.get(parent, [])]
    return found


def command(process: int) -> str:
    """The command line; empty where it has ended."""
    try:
        return (PROC / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory(processes: Iterable[int]) -> float:
    """MiB: the sum of the proportional set sizes, in which a page that several processes share is split among them."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in (PROC / str(process) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total / MIB


def kill_all(known: Iterable[tuple[int, str] | None], *, seconds: float = 10) -> None:
    """SIGKILL to those that are still the processes they were, until none is left."""
    left = [entry for entry in known if entry]
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        left = [entry for entry in left if identity(entry[0]) == entry and _stat_state(entry[0]) != "Z"]
        for process, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)  # others' children: their end comes without an event for us


def _stat_state(process: int) -> str:
    try:
        return _stat(process)[0]
    except (OSError, IndexError):
        return "Z"
