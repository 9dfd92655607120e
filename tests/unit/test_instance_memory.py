"""Ending the largest kernel before the instance's memory runs out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.instance import memory
from spawner.instance.gauges import Gauges, Handed, files_in_memory
from spawner.instance.memory import LONGEST, SHORTEST, SMALLEST, Kernel, Watcher, largest, pause

GIB = 1024**3
HOLDS = 48
SLEEPS = f"held = bytearray(b'x') * ({HOLDS} << 20); print('holds', flush=True); __import__('time').sleep(1000)"


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Files as those of a control group of version 2: 1 GiB, of which 100 MB are used."""
    for name, text in {
        "cgroup.controllers": "memory", "memory.max": str(GIB), "memory.current": "100000000",
        "memory.stat": "anon 5\ninactive_file 0\n", "memory.events": "oom 0\noom_kill 0\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Two programs, each with a session of its own, as kernels have. Both hold memory."""
    environment = {**os.environ, "JPY_SESSION_NAME": "/work/a.ipynb"}
    made = [
        subprocess.Popen(
            [sys.executable, "-c", SLEEPS if number else SLEEPS.replace(str(HOLDS), "1")],
            start_new_session=True, env=environment, stdout=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    for one in made:
        assert one.stdout is not None
        assert one.stdout.readline() == "holds\n"
    yield made
    for one in made:
        one.kill()
        one.communicate()


def watcher(group: Path, processes: list[subprocess.Popen[str]]) -> Watcher:
    kernels = [Kernel(f"kernel-{number}", "python3", one.pid) for number, one in enumerate(processes)]
    return Watcher(Gauges(Handed(), root=group), lambda: kernels, list, now=lambda: 12.0)


def test_looks_are_more_frequent_near_the_limit() -> None:
    assert pause(100 * GIB) == LONGEST
    assert SHORTEST < pause(GIB) < LONGEST
    assert pause(0) == pause(-5) == SHORTEST


def test_a_small_kernel_is_not_ended() -> None:
    small, large = Kernel("small", "", 1), Kernel("large", "", 2)
    assert largest([small, large], {1: SMALLEST, 2: 2 * SMALLEST}) == large
    assert largest([small], {1: SMALLEST - 1}) is None
    assert largest([], {}) is None


def test_the_largest_kernel_is_ended_and_told(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    watching = watcher(group, processes)
    assert watching.look() > SHORTEST
    (group / "memory.current").write_text(str(int(0.96 * GIB)))
    watching.look()
    assert processes[1].wait(timeout=10) == -signal.SIGKILL
    assert processes[0].poll() is None
    assert [one.to_json() for one in watching.ended] == [
        {"at": 12.0, "kernel_id": "kernel-1", "name": "python3", "path": "/work/a.ipynb",
         "used": int(0.96 * GIB), "limit": GIB}
    ]  # fmt: skip
    assert "983 of 1,024 MB" in watching.explain(processes[1].pid)
    assert watching.explain(processes[0].pid) == ""


def test_page_cache_that_can_be_dropped_does_not_count(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    watching = watcher(group, processes)
    (group / "memory.current").write_text(str(GIB))
    (group / "memory.stat").write_text(f"inactive_file {GIB // 2}\n")
    assert watching.look() == SHORTEST
    assert [one.poll() for one in processes] == [None, None]


def test_a_kill_by_the_operating_system_is_told_too(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    watching = watcher(group, processes)
    watching.look()
    processes[1].kill()
    processes[1].wait()
    assert watching.explain(processes[1].pid) == ""  # killed, and not for memory
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert "1,024 of 1,024 MB" in watching.explain(processes[1].pid)


def test_kernels_are_preferred_to_the_server(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    watcher(group, processes).look()
    assert Path(f"/proc/{processes[0].pid}/oom_score_adj").read_text() == f"{memory.FIRST_TO_GO}\n"


def handed_gauges(group: Path, files: int) -> Gauges:
    """The group as a keeper hands it in: its own limit is not among the files, and `files` bytes are in a tmpfs."""
    names = {"current": "memory.current", "stat": "memory.stat", "events": "memory.events"}
    descriptors = {name: os.open(group / path, os.O_RDONLY | os.O_CLOEXEC) for name, path in names.items()}
    return Gauges(Handed(memory=GIB, version=2, descriptors=descriptors), root=group, files=lambda: files)


def test_files_in_memory_are_neither_the_programs_use_nor_their_limit(group: Path) -> None:
    (group / "memory.current").write_text(str(GIB + GIB // 2))
    (group / "memory.stat").write_text(f"inactive_file {GIB // 4}\n")
    gauges = handed_gauges(group, files=GIB)
    assert (gauges.charged(), gauges.used(), gauges.memory_limit) == (GIB // 2, GIB // 4, GIB)


def test_a_kernel_is_ended_for_programs_and_not_for_files(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    (group / "memory.current").write_text(str(int(1.4 * GIB)))
    kernels = [Kernel(f"kernel-{number}", "python3", one.pid) for number, one in enumerate(processes)]
    watching = Watcher(handed_gauges(group, files=GIB // 2), lambda: kernels, list)
    watching.look()
    assert watching.ended == []
    Watcher(handed_gauges(group, files=GIB // 4), lambda: kernels, list).look()
    assert processes[1].wait(timeout=10) == -signal.SIGKILL


def test_only_files_of_a_tmpfs_of_the_instances_own_are_subtracted(tmp_path: Path) -> None:
    assert files_in_memory(tmp_path, GIB)() == 0
    assert files_in_memory(Path("/dev/shm"), 1)() == 0, "the machine's, larger than the limit"


def test_without_a_limit_nothing_is_ended(group: Path, processes: list[subprocess.Popen[str]]) -> None:
    (group / "memory.max").write_text("max")
    (group / "memory.current").write_text(str(GIB))
    assert watcher(group, processes).look() == LONGEST
    assert processes[1].poll() is None


def test_version_1_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    for name, text in {
        "usage_in_bytes": "1000", "limit_in_bytes": "4000", "stat": "inactive_file 1\ntotal_inactive_file 300\n",
        "oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    }.items():  # fmt: skip
        (tmp_path / "memory" / f"memory.{name}").write_text(text)
    gauges = Gauges(Handed(), root=tmp_path)
    assert (gauges.charged(), gauges.used(), gauges.memory_limit, gauges.kills()) == (1000, 700, 4000, 2)


def test_without_a_group_processes_are_added_up(tmp_path: Path) -> None:
    gauges = Gauges(Handed(memory=GIB), root=tmp_path)
    assert not gauges.has_group
    assert gauges.memory_limit == GIB
    assert gauges.charged() > 0
