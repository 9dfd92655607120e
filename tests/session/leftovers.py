"""One folder for all temporary files of a run, and a look at its end: no process, mount, network or file is left.

What the run has certainly made fails it. What only appeared on the machine meanwhile may be another program's: it is
printed, and fails the run where FREEPOOL_TEST_ALONE says that nothing else works on the machine.
"""

from __future__ import annotations

import os
import re
import resource
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cluster.network import CLUSTERS, OUTSIDES, outside_prefix

CLUSTER = re.compile(rf"{CLUSTERS}([0-9a-f]{{6}}-)?[0-9]+")
"""Names of clusters' network namespaces and control groups."""

NETWORKS = Path("/sys/class/net"), Path("/run/netns")
"""Interfaces, bridges among them, and named namespaces."""
TEMPORARY = Path("/tmp"), Path("/dev/shm")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
SHARED_MEMORY = Path("/proc/sysvipc/shm")
OTHERS = re.compile(r"/(tmp|dev/shm)/fp-|/var/(cache|lib)/|/run/(netns|containerd|user|credentials|docker)/")
"""Where other runs, clusters and the system's own programs have what they make."""
MARK, MARKS = 10**12, 2**40
"""Marks are numbers of microseconds from here on, as many: limits that no process ever reaches."""
END_SECONDS = 5
"""How long a process that was ended by a test may take to go."""


def make_run_folder() -> Path:
    """A folder of this run alone. Its path is short: that of a socket below it may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="fp-"))
    folder.chmod(0o711)  # programs that run as another user have their folders below it
    return folder


def use(folder: Path) -> None:
    """Have this process, and all that it starts, make temporary files there."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def mark() -> int | None:
    """Mark this process and all that it starts from now on. None where that is impossible.

    The mark is the soft limit of real-time processor time. It has no effect on ordinary processes, each child inherits
    it, and neither an empty environment nor a new session takes it away.
    """
    chosen = MARK + secrets.randbelow(MARKS)
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (chosen, resource.getrlimit(resource.RLIMIT_RTTIME)[1]))
    except (OSError, ValueError, AttributeError):  # a lower hard limit; no Linux
        return None
    return chosen


def appeared_since(before: set[str]) -> list[str]:
    """What is new on this machine and may be this run's, or another program's."""
    return sorted(machine() - before)


def machine() -> set[str]:
    """Mounts, temporary files, control groups and shared memory, but for other runs' and clusters'."""
    return {one for one in _of_machine() if not OTHERS.search(one) and not CLUSTER.search(one)}


def _of_machine() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield f"mount: {line.split()[4]}"
    for folder in TEMPORARY:
        if folder.is_dir():
            yield from (f"file: {path}" for path in folder.iterdir())
    if CONTROL_GROUPS.is_dir():  # two levels, as version 1 has a folder for each controller
        for pattern in ("*/", "*/*/"):
            yield from (f"control group: {path}" for path in CONTROL_GROUPS.glob(pattern))
    if SHARED_MEMORY.exists():
        for line in SHARED_MEMORY.read_text().splitlines()[1:]:
            yield f"shared memory: {line.split()[1]}"


def networks() -> set[str]:
    """What this machine's network consists of, but for clusters, which stay between runs, and what other runs made."""
    found = {path for folder in NETWORKS if folder.is_dir() for path in folder.iterdir()}
    ours = {path for path in found if path.name.startswith(outside_prefix())}
    return {
        str(path)
        for path in found
        if path in ours or not (CLUSTER.fullmatch(path.name) or path.name.startswith(OUTSIDES))
    }


def left_in(folder: Path, own_mark: int | None = None) -> list[str]:
    """What tests that used this folder, in a process with this mark, have left behind, in words."""
    _, alive = psutil.wait_procs(_processes_of(folder, own_mark), timeout=END_SECONDS)
    found = [f"process {one.pid}: {' '.join(_command(one))[:300]}" for one in alive]
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found += [f"mount: {point}" for point in points if point.startswith(f"{folder}/")]
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith("pytest-of-")]
    return found + [f"file: {path}" for path in files]


def _processes_of(folder: Path, own_mark: int | None) -> list[psutil.Process]:
    """Processes with the mark, or that name the folder, or were told of it, but this one and those that started it."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        one
        for one in psutil.process_iter()
        if one.pid not in ours
        and (
            any(str(folder) in word for word in (*_command(one), *_environment(one)))
            or (
                own_mark is not None and _command(one) and _mark_of(one) == own_mark
            )  # one that has ended has no command
        )
    ]


def _mark_of(process: psutil.Process) -> int | None:
    try:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    except OSError:
        return None
    found = re.search(r"^Max realtime timeout +(\d+)", limits, re.MULTILINE)
    return int(found[1]) if found else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def _environment(process: psutil.Process) -> list[str]:
    try:
        return [*process.environ().values()]
    except (psutil.Error, OSError):
        return []
