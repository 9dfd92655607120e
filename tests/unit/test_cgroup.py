"""Limits by control groups of both versions, on trees of plain folders."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

import pytest

from spawner.pool.backends.local import cgroup
from spawner.pool.backends.local.cgroup import Group, Limits

LIMITS = Limits(memory=512 * 1024**2, processes=128, cpu=1.5)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A version 2 tree as systemd makes it: `user.slice/user-0.slice/session-1.scope`."""
    scope = tmp_path / "user.slice" / "user-0.slice" / "session-1.scope"
    scope.mkdir(parents=True)
    for folder in (tmp_path, *list(scope.parents)[:2], scope):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return tmp_path


def membership(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "membership"
    path.write_text(text)
    return path


def candidates(root: Path, text: str, tmp_path: Path) -> list[tuple[int, dict[str, Path]]]:
    return list(cgroup._candidates(root, membership(tmp_path, text)))


def test_version_2_prefers_the_group_beside_this_process_then_its_ancestors(tree: Path, tmp_path: Path) -> None:
    assert candidates(tree, "0::/user.slice/user-0.slice/session-1.scope\n", tmp_path) == [
        (2, {"unified": tree / "user.slice" / "user-0.slice"}),
        (2, {"unified": tree / "user.slice"}),
        (2, {"unified": tree}),
    ]


def test_version_2_skips_a_group_that_delegates_no_controllers(tree: Path, tmp_path: Path) -> None:
    (tree / "user.slice" / "user-0.slice" / "cgroup.subtree_control").write_text("pids\n")
    assert candidates(tree, "0::/user.slice/user-0.slice/session-1.scope\n", tmp_path)[0] == (
        2,
        {"unified": tree / "user.slice"},
    )


def test_version_2_never_leaves_the_tree(tree: Path, tmp_path: Path) -> None:
    assert candidates(tree, "0::/\n", tmp_path) == []


def test_version_1_uses_the_group_of_each_controller(tmp_path: Path) -> None:
    text = "9:name=systemd:/\n8:pids:/p\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n"
    assert candidates(tmp_path, text, tmp_path) == [
        (1, {"memory": tmp_path / "memory/a/b", "pids": tmp_path / "pids/p", "cpu": tmp_path / "cpu"})
    ]


@pytest.mark.parametrize("text", ["", "4:memory:/\n", "0::/x\n"])
def test_without_controllers_there_is_no_candidate(text: str, tmp_path: Path) -> None:
    assert candidates(tmp_path, text, tmp_path) == []


def test_where_membership_cannot_be_read_there_is_no_candidate(tmp_path: Path) -> None:
    assert cgroup.available(tmp_path, tmp_path / "nowhere") is None


def test_availability_is_tested_by_creating_a_group(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "remove", _remove_folder)  # a folder with files in it goes only in a real tree
    path = membership(tmp_path, "0::/user.slice/user-0.slice/session-1.scope\n")
    assert cgroup.available(tree, path) == (2, {"unified": tree / "user.slice" / "user-0.slice"})
    assert not list(tree.rglob("freepool-probe-*"))


def test_a_parent_without_write_permission_is_skipped(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "remove", _remove_folder)
    closed = tree / "user.slice" / "user-0.slice"
    mkdir = Path.mkdir

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied")
        mkdir(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    path = membership(tmp_path, "0::/user.slice/user-0.slice/session-1.scope\n")
    assert cgroup.available(tree, path) == (2, {"unified": tree / "user.slice"})


def _remove_folder(group: Group, *, seconds: float = 0) -> bool:
    for folder in group.folders.values():
        shutil.rmtree(folder, ignore_errors=True)
    return True


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_limits_of_version_2(tmp_path: Path) -> None:
    group = cgroup.place(2, {"unified": tmp_path}, "s1", pool="p", pool_memory=1024**3)
    cgroup.make(group, LIMITS)
    pool = tmp_path / "freepool-pool-p"
    assert files_of(pool) == {"memory.max": str(1024**3), "cgroup.subtree_control": "+memory +pids +cpu"}
    assert files_of(pool / "freepool-s1") == {
        "memory.max": str(512 * 1024**2),
        "pids.max": "128",
        "cpu.max": "150000 100000",
    }
    cgroup.make(group, LIMITS)  # making it again is fine


def test_limits_of_version_1(tmp_path: Path) -> None:
    parents = {name: tmp_path / name for name in ("memory", "pids", "cpu")}
    for parent in parents.values():
        parent.mkdir()
    group = cgroup.place(1, parents, "s1", pool="p", pool_memory=1024**3)
    cgroup.make(group, LIMITS)
    pools = {name: parent / "freepool-pool-p" for name, parent in parents.items()}
    assert {name: files_of(pool) for name, pool in pools.items()} == {
        "memory": {"memory.use_hierarchy": "1", "memory.limit_in_bytes": str(1024**3)},
        "pids": {},
        "cpu": {},
    }
    assert {name: files_of(pool / "freepool-s1") for name, pool in pools.items()} == {
        "memory": {"memory.limit_in_bytes": str(512 * 1024**2)},
        "pids": {"pids.max": "128"},
        "cpu": {"cpu.cfs_quota_us": "150000"},
    }


def test_a_pool_whose_slots_hold_more_than_its_new_limit_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def busy(path: Path, text: str) -> int:
        if path.name == "memory.max" and text == "1":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", busy)
    cgroup.make(cgroup.place(2, {"unified": tmp_path}, "s1", pool="p", pool_memory=1), LIMITS)
    assert (tmp_path / "freepool-pool-p" / "freepool-s1" / "memory.max").exists()


def test_a_pools_group_that_goes_at_the_same_moment_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, times = cgroup._make_pool, []

    def make_and_lose(group: Group) -> None:
        make(group)
        times.append(1)
        if len(times) < 3:
            shutil.rmtree(tmp_path / "freepool-pool-p")

    monkeypatch.setattr(cgroup, "_make_pool", make_and_lose)
    cgroup.make(cgroup.place(2, {"unified": tmp_path}, "s1", pool="p", pool_memory=None), LIMITS)
    assert len(times) == 3


def test_the_pools_group_goes_with_its_last_slot(tmp_path: Path) -> None:
    one, two = (cgroup.place(2, {"unified": tmp_path}, name, pool="p", pool_memory=None) for name in ("s1", "s2"))
    for group in (one, two):
        Path(group.folders["unified"]).mkdir(parents=True)
    assert cgroup.remove(one)
    assert Path(two.folders["unified"]).exists()
    assert cgroup.remove(two)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "name", "file", "quiet", "reached"),
    [
        (1, "memory", "memory.failcnt", "0\n", "12\n"),
        (2, "unified", "memory.events", "max 7\noom 0\noom_kill 1\n", "max 9\noom 1\noom_kill 1\n"),
    ],
)
def test_a_slot_within_its_limit_is_told_from_one_beyond_it(
    version: int, name: str, file: str, quiet: str, reached: str, tmp_path: Path
) -> None:
    group = Group(version, {name: str(tmp_path)})
    (tmp_path / file).write_text(quiet)
    assert not cgroup.reached_its_limit(group)
    (tmp_path / file).write_text(reached)
    assert cgroup.reached_its_limit(group)


@pytest.mark.parametrize(
    ("text", "top", "file"),
    [("4:memory:/a/b\n1:cpu:/\n0::/\n", "memory", "memory.limit_in_bytes"), ("0::/a/b\n", "", "memory.max")],
)
def test_a_limit_above_this_process_counts(text: str, top: str, file: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / top / "a" / "b").mkdir(parents=True)
    path = membership(tmp_path, text)
    assert cgroup.most_memory(path, root) is None
    (root / top / "a" / "b" / file).write_text("max\n")
    (root / top / "a" / file).write_text("4096\n")
    assert cgroup.most_memory(path, root) == 4096


def test_a_group_survives_a_json_round_trip() -> None:
    group = Group(2, {"unified": "/x"}, {"unified": "/"}, 7)
    assert Group(**group.to_json()) == group


def test_joining_writes_the_process_to_every_controller(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    cgroup.join(Group(1, {name: str(tmp_path / name) for name in ("a", "b")}))
    assert [(tmp_path / name / "cgroup.procs").read_text() for name in ("a", "b")] == ["0", "0"]


def test_members_are_those_of_all_controllers_once(tmp_path: Path) -> None:
    for name, text in (("a", "7\n3\n"), ("b", "3\n12\n"), ("c", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text(text)
    folders = {name: str(tmp_path / name) for name in ("a", "b", "c", "gone")}
    assert cgroup.members(Group(1, folders)) == [3, 7, 12]


@pytest.mark.parametrize(
    ("version", "name", "file", "before", "after"),
    [
        (2, "unified", "memory.events", "low 0\noom 3\noom_kill 0\n", "low 0\noom 3\noom_kill 2\n"),
        (2, "unified", "memory.events", "oom_kill 0\noom_group_kill 1\n", "oom_kill 10\n"),
        (1, "memory", "memory.oom_control", "under_oom 1\noom_kill 0\n", "under_oom 0\noom_kill 1\n"),
    ],
)
def test_a_kill_for_lack_of_memory_is_reported(
    version: int, name: str, file: str, before: str, after: str, tmp_path: Path
) -> None:
    group = Group(version, {name: str(tmp_path)})
    assert not cgroup.ran_out_of_memory(group)  # the file is not there
    (tmp_path / file).write_text(before)
    assert not cgroup.ran_out_of_memory(group)
    (tmp_path / file).write_text(after)
    assert cgroup.ran_out_of_memory(group)


@pytest.mark.parametrize(
    ("version", "name", "file"), [(1, "memory", "memory.usage_in_bytes"), (2, "unified", "memory.current")]
)
def test_memory_in_use_is_0_where_it_cannot_be_read(version: int, name: str, file: str, tmp_path: Path) -> None:
    group = Group(version, {name: str(tmp_path)})
    assert cgroup.memory_used(group) == 0
    (tmp_path / file).write_text("12345\n")
    assert cgroup.memory_used(group) == 12345


def test_removing_kills_the_processes_and_returns_false_where_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "group"
    folder.mkdir()
    group = Group(2, {"unified": str(folder)})
    with subprocess.Popen(["sleep", "60"]) as member:
        (folder / "cgroup.procs").write_text(f"{member.pid}\n")
        # A plain folder keeps its file, as a real group keeps its process, so it cannot go.
        assert not cgroup.remove(group, seconds=0.05)
        assert member.wait(5) == -9
    (folder / "cgroup.procs").unlink()
    assert cgroup.remove(group, seconds=0.05)
    assert not folder.exists()


def test_removing_a_missing_group_succeeds(tmp_path: Path) -> None:
    assert cgroup.remove(Group(2, {"unified": str(tmp_path / "gone")}), seconds=0)


def test_processor_seconds_of_both_versions(tmp_path: Path) -> None:
    group = Group(2, {"unified": str(tmp_path)})
    assert cgroup.cpu_seconds(group) is None
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")
    assert cgroup.cpu_seconds(group) == 2.5
    old = Group(1, {"memory": str(tmp_path), "cpu": str(tmp_path)})
    assert cgroup.cpu_seconds(old) is None, "cpuacct is mounted elsewhere"
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    assert cgroup.cpu_seconds(old) == 1.5
