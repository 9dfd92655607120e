"""What this instance uses of what it may: memory, processor and disk.

The numbers of the machine (`free`, `nproc`) are not the instance's. They are read from its control group: on one
machine the keeper opens the files and hands their descriptors in, since a sandbox has no /sys; a container sees its
own group at /sys/fs/cgroup. Where there is no group, the processes that are to be seen are added up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
FILES = {
    1: {
        "current": "memory/memory.usage_in_bytes",
        "limit": "memory/memory.limit_in_bytes",
        "stat": "memory/memory.stat",
        "events": "memory/memory.oom_control",
    },
    2: {"current": "memory.current", "limit": "memory.max", "stat": "memory.stat", "events": "memory.events"},
}
"""Files of a control group of version 1 or 2. The keeper opens all but the limit, which it knows."""
RECLAIMABLE = {1: "total_inactive_file ", 2: "inactive_file "}
UNLIMITED = 1 << 60
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MOST_READ = 16_384
OWN = 1.1
"""How much larger than its limit a file system may be to be the instance's own."""


@dataclass(frozen=True)
class Handed:
    """What the slot's maker tells about limits: bytes, and processors.

    `memory` is what programs may use. On one machine files are memory too: the control group's limit is then larger.
    `descriptors`: open files by the names in `FILES`, of a control group of this `version`.
    """

    memory: int | None = None
    disk: int | None = None
    cpu: float | None = None
    version: int = 0
    descriptors: Mapping[str, int] | None = None


class Gauges:
    """Reads the instance's use. Cheap enough to be asked many times a second."""

    def __init__(self, handed: Handed, *, root: Path = ROOT, files: Callable[[], int] = lambda: 0) -> None:
        """`files`: bytes of files in memory that count in a handed group, and not against `handed.memory`."""
        self.version, self._files = handed.version, dict(handed.descriptors or {})
        self.memory_limit, self.cpu_limit = handed.memory, handed.cpu
        self._files_in_memory = files if self._files else lambda: 0
        for descriptor in self._files.values():
            os.set_inheritable(descriptor, False)
        if not self._files:
            self._open_own(root)

    def _open_own(self, root: Path) -> None:
        version = 2 if (root / "cgroup.controllers").exists() else 1
        found: dict[str, int] = {}
        for name, path in FILES[version].items():
            with contextlib.suppress(OSError):
                found[name] = os.open(root / path, os.O_RDONLY | os.O_CLOEXEC)
        if "current" not in found:  # the group of all the machine has no such file, or there is no /sys
            for descriptor in found.values():
                os.close(descriptor)
            return
        self.version, self._files = version, found
        limit = self._read("limit").strip()
        if limit.isdigit() and int(limit) < UNLIMITED:
            self.memory_limit = int(limit)

    @property
    def has_group(self) -> bool:
        """Whether the numbers are the control group's."""
        return bool(self._files)

    def _read(self, name: str) -> str:
        try:
            return os.pread(self._files[name], MOST_READ, 0).decode()
        except (KeyError, OSError):
            return ""

    def charged(self) -> int:
        """Bytes charged to programs, with page cache that can be dropped. Never less than `used`."""
        if not self._files:
            return sum(map(unshared, _processes()))
        # Read first: of files that are deleted in between, too little is left, and no kernel is ended for it.
        files = self._files_in_memory()
        text = self._read("current").strip()
        return max(0, int(text) - files) if text.isdigit() else 0

    def used(self) -> int:
        """Bytes that cannot be dropped: the working set, as the kubelet counts it."""
        if not self._files:
            return sum(map(proportional, _processes()))
        return max(0, self.charged() - self._line("stat", RECLAIMABLE[self.version]))

    def kills(self) -> int:
        """How many processes the kernel has killed here because memory ran out."""
        return self._line("events", "oom_kill ")

    def _line(self, name: str, before: str) -> int:
        for line in self._read(name).splitlines():
            if line.startswith(before):
                return int(line.removeprefix(before))
        return 0


def cpu_seconds() -> float:
    """Processor time of all processes that are to be seen, and of their children that have ended."""
    total = 0
    for process in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def _processes() -> Iterator[int]:
    return (int(path.name) for path in PROC.iterdir() if path.name.isdigit())


def unshared(process: int) -> int:
    """Bytes of a process's own memory. Less than it uses where processes share memory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = (PROC / str(process) / "statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * PAGE
    return 0


def proportional(process: int) -> int:
    """Bytes of a process, with its share of what it shares."""
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def sessions() -> dict[int, int]:
    """The session (number of its first process) of each process that is to be seen."""
    found = {}
    for process in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[process] = int((PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[3])
    return found


@dataclass(frozen=True)
class Space:
    """Bytes of a place for files. `limit` is None where none is known; `in_memory`: its files are memory."""

    used: int
    limit: int | None
    in_memory: bool


def space(folder: Path, limit: int | None) -> Space:
    """What a folder's files take. A file system of its own tells at once; else the files are added up."""
    whole = os.statvfs(folder)
    total = whole.f_blocks * whole.f_frsize
    if limit is None or total <= limit * OWN:
        return Space((whole.f_blocks - whole.f_bfree) * whole.f_frsize, total, in_memory=_is_in_memory(folder))
    used = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                used += os.lstat(Path(path) / name).st_blocks * 512
    return Space(used, limit, in_memory=False)


def files_in_memory(folder: Path, limit: int | None) -> Callable[[], int]:
    """What the folder's files take of the memory, each time it is asked: nothing where they are not in a tmpfs of
    their own, of at most `limit` bytes."""
    whole = os.statvfs(folder)
    if limit is None or whole.f_blocks * whole.f_frsize > limit * OWN or not _is_in_memory(folder):
        return lambda: 0

    def read() -> int:
        now = os.statvfs(folder)
        return (now.f_blocks - now.f_bfree) * now.f_frsize

    return read


def _is_in_memory(folder: Path) -> bool:
    """Whether the files are in a tmpfs. The last mount at a place is the one that is seen."""
    kinds = {}
    with contextlib.suppress(OSError):
        for line in (PROC / "mounts").read_text().splitlines():
            _, place, kind, *_ = line.split()
            kinds[place] = kind
    there = next((str(place) for place in (folder, *folder.parents) if str(place) in kinds), "")
    return kinds.get(there) == "tmpfs"
