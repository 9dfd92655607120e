"""Limits by control groups of both versions, on trees of plain folders."""

from __future__ import annotations

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
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_limits_of_version_2(tmp_path: Path) -> None:
    group = cgroup.place(2, {"unified": tmp_path}, "s1")
    cgroup.make(group, LIMITS)
    assert files_of(tmp_path / "freepool-s1") == {
        "memory.max": str(512 * 1024**2),
        "pids.max": "128",
        "cpu.max": "150000 100000",
    }
    cgroup.make(group, LIMITS)  # making it again is fine


def test_limits_of_version_1(tmp_path: Path) -> None:
    parents = {name: tmp_path / name for name in ("memory", "pids", "cpu")}
    for parent in parents.values():
        parent.mkdir()
    group = cgroup.place(1, parents, "s1")
    cgroup.make(group, LIMITS)
    assert {name: files_of(parent / "freepool-s1") for name, parent in parents.items()} == {
        "memory": {"memory.limit_in_bytes": str(512 * 1024**2)},
        "pids": {"pids.max": "128"},
        "cpu": {"cpu.cfs_quota_us": "150000"},
    }


def test_a_group_survives_a_json_round_trip() -> None:
    group = Group(2, {"unified": "/x"})
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
