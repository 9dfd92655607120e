"""Resource limits by control groups, version 1 or 2, where this user may create them.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD = 100_000
"""Microseconds; the kernel's default."""
TRIES = 20
"""How often a pool's group is made again that another process removes as empty at the same moment."""


@dataclass(frozen=True)
class Limits:
    """Limits of one slot: bytes, processes and threads, processors (1.5 is one and a half)."""

    memory: int
    processes: int
    cpu: float


@dataclass(frozen=True)
class Group:
    """The folders of one slot's control group: one in version 2, one per controller in version 1.

    `pool` are their parents, the group of all slots of a pool, which together may use `pool_memory` bytes.
    """

    version: int
    folders: dict[str, str]
    pool: dict[str, str] = field(default_factory=dict)
    pool_memory: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in the keeper's orders."""
        return asdict(self)


def available(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> tuple[int, dict[str, Path]] | None:
    """The version and the parent folders under which groups can be created; None where they cannot.

    Tested by creating, limiting and removing a group.
    """
    for version, parents in _candidates(root, membership):
        probe = Group(
            version, {name: str(parent / f"freepool-probe-{os.getpid()}") for name, parent in parents.items()}
        )
        try:
            make(probe, Limits(memory=1 << 30, processes=64, cpu=1))
        except OSError:
            continue
        finally:
            remove(probe)
        return version, parents
    return None


def _candidates(root: Path, membership: Path) -> Iterator[tuple[int, dict[str, Path]]]:
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
        own = {controller: path for _, controllers, path in lines for controller in controllers.split(",")}
        if {"memory", "pids", "cpu"} <= own.keys():
            yield 1, {name: root / name / own[name].lstrip("/") for name in ("memory", "pids", "cpu")}
        if (root / "cgroup.controllers").exists():
            unified = root / own.get("", "/").lstrip("/")
            # A group that holds processes cannot have limited children, so the slots go beside our own, or below
            # the nearest ancestor that hands its controllers down and lets us in.
            for parent in (unified.parent, *unified.parent.parents):
                if parent == root.parent:
                    break
                if {"memory", "pids"} <= set((parent / "cgroup.subtree_control").read_text().split()):
                    yield 2, {"unified": parent}


def place(version: int, parents: dict[str, Path], slot_id: str, *, pool: str, pool_memory: int | None) -> Group:
    """The group of one slot, below that of its pool. `pool` is a name that no other pool of this machine has."""
    above = {name: parent / f"freepool-pool-{pool}" for name, parent in parents.items()}
    return Group(
        version,
        {name: str(parent / f"freepool-{slot_id}") for name, parent in above.items()},
        {name: str(parent) for name, parent in above.items()},
        pool_memory,
    )


def make(group: Group, limits: Limits) -> None:
    """Create the group, its pool's where that is missing, and set their limits."""
    for attempt in range(TRIES):
        try:
            _make_pool(group)
            return _make(group, limits)
        except FileNotFoundError:  # the pool's last slot has just gone, and its group with it
            if attempt == TRIES - 1 or not group.pool:
                raise


def _make_pool(group: Group) -> None:
    for name, folder in group.pool.items():
        path = Path(folder)
        path.mkdir(exist_ok=True)
        if name in {"memory", "unified"} and group.pool_memory is not None:
            if group.version == 1:
                with contextlib.suppress(OSError):  # since Linux 5.11 every group counts those below it
                    (path / "memory.use_hierarchy").write_text("1")
            _limit_pool(path / _MEMORY_LIMIT[group.version], group.pool_memory)
        if name == "unified":
            (path / "cgroup.subtree_control").write_text("+memory +pids +cpu")


def _limit_pool(file: Path, memory: int) -> None:
    """Set the limit, unless running slots hold more than the operator allows since the last restart."""
    try:
        file.write_text(str(memory))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


_MEMORY_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}


def _make(group: Group, limits: Limits) -> None:
    for name, folder in group.folders.items():
        path = Path(folder)
        path.mkdir(exist_ok=True)
        for file, value in _values(group.version, name, limits):
            (path / file).write_text(value)


def _values(version: int, name: str, limits: Limits) -> Iterator[tuple[str, str]]:
    quota = str(int(limits.cpu * CPU_PERIOD))
    if name in {"memory", "unified"}:
        yield _MEMORY_LIMIT[version], str(limits.memory)
    if name in {"pids", "unified"}:
        yield "pids.max", str(limits.processes)
    if name == "cpu":
        yield "cpu.cfs_quota_us", quota
    if name == "unified":
        yield "cpu.max", f"{quota} {CPU_PERIOD}"


def set_cpu(group: Group, cpu: float) -> bool:
    """Change how many processors the group may use. False where it is gone."""
    name, file = ("cpu", "cpu.cfs_quota_us") if group.version == 1 else ("unified", "cpu.max")
    quota = str(max(1000, int(cpu * CPU_PERIOD)))
    try:
        (Path(group.folders[name]) / file).write_text(quota if group.version == 1 else f"{quota} {CPU_PERIOD}")
    except OSError:
        return False
    return True


def join(group: Group) -> None:
    """Move the calling process into the group."""
    for folder in group.folders.values():
        (Path(folder) / "cgroup.procs").write_text("0")


def members(group: Group) -> list[int]:
    """Ids of the processes in the group."""
    found: set[int] = set()
    for folder in group.folders.values():
        with contextlib.suppress(OSError):
            found.update(int(line) for line in (Path(folder) / "cgroup.procs").read_text().split())
    return sorted(found)


def ran_out_of_memory(group: Group) -> bool:
    """Whether the kernel has killed a process of the group for lack of memory."""
    name, file = ("memory", "memory.oom_control") if group.version == 1 else ("unified", "memory.events")
    return _count(group, name, file, "oom_kill ") > 0


def reached_its_limit(group: Group) -> bool:
    """Whether the group ever used all the memory that it may. If not, what was killed was killed for others' use."""
    if group.version == 1:
        return _count(group, "memory", "memory.failcnt", "") > 0
    return _count(group, "unified", "memory.events", "oom ") > 0


def _count(group: Group, name: str, file: str, before: str) -> int:
    """The number behind a word in a file of the group; 0 where there is none."""
    with contextlib.suppress(OSError, KeyError, ValueError):
        for line in (Path(group.folders[name]) / file).read_text().splitlines():
            if line.startswith(before):
                return int(line.removeprefix(before))
    return 0


def most_memory(membership: Path = Path("/proc/self/cgroup"), root: Path = ROOT) -> int | None:
    """Bytes that this process's own group and those above it allow; None where they set no limit."""
    found = []
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
        own = {controller: path for _, controllers, path in lines for controller in controllers.split(",")}
        name, file, top = ("memory", _MEMORY_LIMIT[1], root / "memory")
        if "memory" not in own:
            name, file, top = ("", _MEMORY_LIMIT[2], root)
        folder = top / own.get(name, "/").lstrip("/")
        while folder.is_relative_to(top):
            with contextlib.suppress(OSError, ValueError):  # the uppermost has none, and "max" is none
                found.append(int((folder / file).read_text()))
            folder = folder.parent
    return min(found, default=None)


def memory_used(group: Group) -> int:
    """Bytes of memory charged to the group now; 0 where that cannot be read."""
    name, file = ("memory", "memory.usage_in_bytes") if group.version == 1 else ("unified", "memory.current")
    with contextlib.suppress(OSError, KeyError, ValueError):
        return int((Path(group.folders[name]) / file).read_text())
    return 0


_GAUGES = {
    1: {"current": "memory.usage_in_bytes", "stat": "memory.stat", "events": "memory.oom_control"},
    2: {"current": "memory.current", "stat": "memory.stat", "events": "memory.events"},
}


def open_gauges(group: Group) -> dict[str, int]:
    """Open files of the group for reading, for the agent, whose sandbox has no /sys. Descriptors by what they tell."""
    folder = group.folders["memory" if group.version == 1 else "unified"]
    found = {}
    for name, file in _GAUGES[group.version].items():
        with contextlib.suppress(OSError):
            found[name] = os.open(Path(folder) / file, os.O_RDONLY | os.O_CLOEXEC)
    return found


def cpu_seconds(group: Group) -> float | None:
    """Processor seconds that the group has used; None where they are not counted.

    In version 1 they are `cpuacct`'s, which most machines mount together with `cpu`.
    """
    with contextlib.suppress(OSError, KeyError, ValueError):
        if group.version == 1:
            return int((Path(group.folders["cpu"]) / "cpuacct.usage").read_text()) / 1e9
        for line in (Path(group.folders["unified"]) / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    return None


def remove(group: Group, *, seconds: float = 5) -> bool:
    """Kill the group's processes and remove it. False where one does not die in time."""
    deadline = time.monotonic() + seconds
    left = dict(group.folders)
    while left:
        for process in members(group):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        for name, folder in list(left.items()):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
            if not Path(folder).exists():
                del left[name]
        if left and time.monotonic() > deadline:
            return False
        if left:
            time.sleep(0.005)  # the kernel has no event for the end of a version 1 group's last process
    for folder in group.pool.values():
        with contextlib.suppress(OSError):  # other slots are in it
            Path(folder).rmdir()
    return True
