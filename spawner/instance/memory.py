"""Where memory runs out, the largest kernel is ended, and not the server with all kernels.

A thread looks at the instance's memory, the more often the nearer it is to the limit, and ends the process group of the
largest kernel when what cannot be dropped reaches `SHARE` of it. A program that allocates faster than that meets the
operating system's own killer, which is told to prefer kernels and terminals (`oom_score_adj`) to the server; this is
noticed and told in the same way. (In a pod whose node kills groups as a whole, that ends the pod: docs/kubernetes.md.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spawner.instance.gauges import Gauges, sessions, unshared

log = logging.getLogger("freepool.memory")
SHARE = 0.95
"""Of the limit."""
FASTEST = 4e9
"""Bytes a second that a program may allocate, by huge pages. The next look is before it could reach the limit."""
SHORTEST, LONGEST = 0.02, 0.5
"""Seconds between two looks."""
AFTER_AN_END = 0.5
"""Seconds until the memory of an ended kernel is free at the latest."""
SMALLEST = 32 * 1024 * 1024
"""Bytes of the smallest kernel that is worth ending: a fresh one has about twice that."""
FIRST_TO_GO = "1000"
"""`oom_score_adj` of kernels and terminals."""
MOST_TOLD = 50
MIB = 1024**2


@dataclass(frozen=True)
class Kernel:
    """A running kernel. `pid` is also its session's number."""

    id: str
    name: str
    pid: int


@dataclass(frozen=True)
class Ended:
    """A kernel that was ended for its memory. `at` is seconds since 1970; `used` and `limit` are bytes."""

    at: float
    kernel_id: str
    name: str
    path: str
    pid: int
    used: int
    limit: int

    def to_json(self) -> dict[str, Any]:
        """As `GET freepool/usage` tells it."""
        return {
            "at": self.at, "kernel_id": self.kernel_id, "name": self.name, "path": self.path,
            "used": self.used, "limit": self.limit,
        }  # fmt: skip


def pause(room: int) -> float:
    """Seconds until the next look, with `room` bytes left before a kernel would be ended."""
    return min(LONGEST, max(SHORTEST, room / FASTEST))


def largest(kernels: Iterable[Kernel], sizes: dict[int, int]) -> Kernel | None:
    """The kernel to end; None where none is worth it. `sizes` are bytes by process number."""
    found = max(kernels, key=lambda one: sizes.get(one.pid, 0), default=None)
    return found if found is not None and sizes.get(found.pid, 0) >= SMALLEST else None


def session_sizes() -> dict[int, int]:
    """Bytes of each session's own memory, by its number: a kernel with all programs that it has started."""
    sizes: dict[int, int] = {}
    for process, session in sessions().items():
        sizes[session] = sizes.get(session, 0) + unshared(process)
    return sizes


def words(used: int, limit: int) -> str:
    """What the cell shows that ran, and the message that its reader gets."""
    return (
        "Freepool ended this kernel because the memory of the notebook ran out: "
        f"{used // MIB:,} of {limit // MIB:,} MB were used, most of them here. "
        "Its variables are gone; files and other kernels are kept. "
        "Load less at once, delete what is not needed, or choose a machine type with more memory."
    )


class Watcher:
    """Looks, ends and remembers. `kernels` run now; `terminals` are the numbers of their first processes."""

    def __init__(
        self,
        gauges: Gauges,
        kernels: Callable[[], list[Kernel]],
        terminals: Callable[[], list[int]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._gauges = gauges
        self._kernels = kernels
        self._terminals = terminals
        self._preferred: set[int] = set()
        self._now = now
        self._known: dict[int, tuple[Kernel, str]] = {}
        self._kills = gauges.kills()
        self._told: deque[Ended] = deque(maxlen=MOST_TOLD)

    @property
    def ended(self) -> list[Ended]:
        """The kernels that were ended, the latest last."""
        return list(self._told)

    def explain(self, pid: int) -> str:
        """Why this process has ended, in words; empty where memory was not the reason."""
        self._note_kills()
        found = next((one for one in self._told if one.pid == pid), None)
        return words(found.used, found.limit) if found else ""

    def look(self) -> float:
        """Look once. Returns the seconds until the next look."""
        limit = self._gauges.memory_limit
        if limit is None:
            return LONGEST
        self._prefer_kernels()
        self._note_kills()
        mark = int(limit * SHARE)
        charged = self._gauges.charged()
        if charged < mark:
            return pause(mark - charged)
        used = self._gauges.used()
        if used < mark:
            return SHORTEST
        victim = largest((kernel for kernel, _ in self._known.values()), session_sizes())
        if victim is None:
            return AFTER_AN_END
        self._remember(victim, used, limit)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(victim.pid, signal.SIGKILL)
        return AFTER_AN_END

    def _prefer_kernels(self) -> None:
        """Have the operating system's killer take what the server has started before the server. Once for each."""
        running = {kernel.pid: kernel for kernel in self._kernels()}
        for pid in self._known.keys() - running.keys():
            if not Path("/proc", str(pid)).exists() and self._gauges.kills() == self._kills:
                del self._known[pid]
        for pid, kernel in running.items():
            if pid not in self._known and not _is_dead(pid):
                self._known[pid] = kernel, _notebook_of(pid)
        starts = {*running, *self._terminals()}
        for pid in starts - self._preferred:
            prefer(pid)
        self._preferred = starts

    def _note_kills(self) -> None:
        """The operating system has killed something: which of the kernels is it?"""
        kills = self._gauges.kills()
        if kills == self._kills:
            return
        self._kills = kills
        limit = self._gauges.memory_limit or 0
        for pid, (kernel, _) in list(self._known.items()):
            if _is_dead(pid) and all(one.pid != pid for one in self._told):
                self._remember(kernel, limit, limit)

    def _remember(self, kernel: Kernel, used: int, limit: int) -> None:
        path = self._known.pop(kernel.pid, (kernel, ""))[1]
        ended = Ended(self._now(), kernel.id, kernel.name, path, kernel.pid, used, limit)
        log.warning("kernel %s of %s was ended: %d of %d MB", kernel.id, path, used // MIB, limit // MIB)
        self._told.append(ended)


def prefer(pid: int) -> None:
    """Have the operating system's killer take this process, and those that it starts from now on, before others."""
    with contextlib.suppress(OSError):
        Path("/proc", str(pid), "oom_score_adj").write_text(FIRST_TO_GO)


def _is_dead(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True


def _notebook_of(pid: int) -> str:
    """The notebook file that a kernel was started for, as Jupyter Server tells the kernel; empty where none."""
    with contextlib.suppress(OSError):
        for entry in Path("/proc", str(pid), "environ").read_bytes().split(b"\0"):
            if entry.startswith(b"JPY_SESSION_NAME="):
                return entry.partition(b"=")[2].decode(errors="replace")
    return ""


def running_kernels(manager: Any) -> list[Kernel]:
    """The kernels of Jupyter Server's manager. Called from a thread; it copies first."""
    found = []
    for kernel_id, kernel in list(manager._kernels.items()):
        process = getattr(kernel.provisioner, "process", None) if kernel.provisioner else None
        if process is not None and process.returncode is None:
            found.append(Kernel(kernel_id, str(kernel.kernel_name), process.pid))
    return found


def terminals(settings: Mapping[str, Any]) -> list[int]:
    """The first process of each terminal. `settings` are those of the server's web application."""
    manager = settings.get("terminal_manager")
    return [one.ptyproc.pid for one in list(manager.terminals.values())] if manager else []


def watch(watcher: Watcher) -> threading.Thread:
    """Look until this process ends. A thread: the server may be busy with what fills the memory."""

    def keep_looking() -> None:
        while True:
            try:
                rest = watcher.look()
            except Exception:
                log.exception("memory could not be looked at")
                rest = LONGEST
            time.sleep(rest)

    thread = threading.Thread(target=keep_looking, name="memory", daemon=True)
    thread.start()
    return thread
