"""Resource limits by control groups, version 1 or 2, where this user may create them.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD = 100_000
"""Microseconds; the kernel's default."""


@dataclass(frozen=True)
class Limits:
    """Limits of one slot: bytes, processes and threads, processors (1.5 is one and a half)."""

    memory: int
    processes: int
    cpu: float


@dataclass(frozen=True)
class Group:
    """The folders of one slot's control group: one in version 2, one per controller in version 1."""

    version: int
    folders: dict[str, str]

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


def place(version: int, parents: dict[str, Path], slot_id: str) -> Group:
    """The group of one slot."""
    return Group(version, {name: str(parent / f"freepool-{slot_id}") for name, parent in parents.items()})


def make(group: Group, limits: Limits) -> None:
    """Create the group and set its limits."""
    for name, folder in group.folders.items():
        path = Path(folder)
        path.mkdir(exist_ok=True)
        for file, value in _values(group.version, name, limits):
            (path / file).write_text(value)


def _values(version: int, name: str, limits: Limits) -> Iterator[tuple[str, str]]:
    quota = str(int(limits.cpu * CPU_PERIOD))
    if name in {"memory", "unified"}:
        yield ("memory.limit_in_bytes" if version == 1 else "memory.max"), str(limits.memory)
    if name in {"pids", "unified"}:
        yield "pids.max", str(limits.processes)
    if name == "cpu":
        yield "cpu.cfs_quota_us", quota
    if name == "unified":
        yield "cpu.max", f"{quota} {CPU_PERIOD}"


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
    with contextlib.suppress(OSError, KeyError):
        text = (Path(group.folders[name]) / file).read_text()
        return any(line.startswith("oom_kill ") and not line.endswith(" 0") for line in text.splitlines())
    return False


def memory_used(group: Group) -> int:
    """Bytes of memory charged to the group now; 0 where that cannot be read."""
    name, file = ("memory", "memory.usage_in_bytes") if group.version == 1 else ("unified", "memory.current")
    with contextlib.suppress(OSError, KeyError, ValueError):
        return int((Path(group.folders[name]) / file).read_text())
    return 0


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
    return True
