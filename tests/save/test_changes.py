"""What would be lost, what a bundle takes of it, and how it is put back."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path

import pytest

from spawner.instance.archive import pieces_of
from spawner.instance.save.changes import MOST_NAMES, ChangedFile, Changes, find_changes, pick, take_manifest
from spawner.instance.save.restore import restore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    (workspace / "examples").mkdir(parents=True)
    (workspace / "examples" / "a.ipynb").write_text("laid out")
    (workspace / "examples" / "b.ipynb").write_text("laid out, too")
    return workspace


def test_only_what_differs_from_what_was_laid_out_is_lost(root: Path) -> None:
    manifest = take_manifest(root)
    assert find_changes(root, manifest).files == []
    (root / "examples" / "a.ipynb").write_text("changed")
    (root / "数据.csv").write_text("1")
    (root / ".cache").mkdir()
    (root / ".cache" / "wheel").write_text("can be made again")
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    found = find_changes(root, manifest)
    assert {(one.path, one.bytes, one.is_new) for one in found.files} == {
        ("examples/a.ipynb", 7, False),
        ("数据.csv", 1, True),
    }
    assert (found.shown()["count"], found.shown()["bytes"]) == (2, 8)


def test_a_change_that_keeps_the_size_is_found(root: Path) -> None:
    manifest = take_manifest(root)
    time.sleep(0.01)  # file systems may count time in steps of 4 ms
    (root / "examples" / "a.ipynb").write_text("LAID OUT")
    assert [one.path for one in find_changes(root, manifest).files] == ["examples/a.ipynb"]


def test_the_answer_is_short_and_names_the_largest(root: Path) -> None:
    for number in range(MOST_NAMES + 50):
        (root / f"{number:03}.txt").write_text("x" * number)
    (root / os.fsdecode(b"\xff.txt")).write_text("x" * 1000)
    shown = find_changes(root, take_manifest(root / "examples")).shown()
    files = shown["files"]
    assert isinstance(files, list)
    assert len(files) == MOST_NAMES
    assert [files[0]["bytes"], files[1]["bytes"]] == [1000, MOST_NAMES + 49]
    assert shown["count"] == MOST_NAMES + 50 + 1 + 2
    json.dumps(shown).encode()


def test_a_scan_that_takes_too_long_says_so(root: Path) -> None:
    for number in range(600):
        (root / f"{number}.txt").touch()
    times = iter(range(100))
    found = find_changes(root, {}, seconds=0.5, clock=lambda: float(next(times)))
    assert (found.is_complete, 0 < len(found.files) < 602) == (False, True)


def test_a_bundle_leaves_out_the_largest_files_first() -> None:
    files = [ChangedFile(name, size, is_new=True) for name, size in (("a", 50), ("b", 40), ("c", 10), ("d", 5))]
    picked = pick(Changes(files), 60)
    assert [one.path for one in picked.kept] == ["b", "c", "d"]
    assert [one.path for one in picked.left_out] == ["a"]
    assert picked.bytes == 55


def bundle(root: Path, *paths: str) -> zipfile.ZipFile:
    sizes = [(root / path, (root / path).stat().st_size) for path in paths]
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces_of(root, sizes))))


def test_files_come_back_where_they_were_and_replace_nothing_that_was_written(root: Path, tmp_path: Path) -> None:
    (root / "examples" / "a.ipynb").write_text("changed in the first")
    (root / "examples" / "b.ipynb").write_text("changed, too")
    (root / "data").mkdir()
    (root / "data" / "run.sh").write_text("new")
    (root / "data" / "run.sh").chmod(0o755)
    archive = bundle(root, "examples/a.ipynb", "examples/b.ipynb", "data/run.sh")

    second = tmp_path / "second"
    (second / "examples").mkdir(parents=True)
    (second / "examples" / "a.ipynb").write_text("laid out")
    (second / "examples" / "b.ipynb").write_text("laid out, too")
    manifest = take_manifest(second)
    (second / "examples" / "b.ipynb").write_text("work in the second")
    done = restore(archive, second, manifest)
    assert (done.files, done.beside, done.refused) == (2, 1, 0)
    assert (second / "examples" / "a.ipynb").read_text() == "changed in the first"
    assert (second / "examples" / "b.ipynb").read_text() == "work in the second"
    assert (second / "examples" / "b (kept).ipynb").read_text() == "changed, too"
    assert os.access(second / "data" / "run.sh", os.X_OK)


def test_a_file_that_grows_goes_in_as_it_was_when_it_was_measured(root: Path) -> None:
    log = root / "log.txt"
    log.write_text("12345")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces_of(root, [(log, 3)]))))
    assert archive.read("log.txt") == b"123"


def test_an_archive_cannot_write_outside_the_workspace(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "way out").symlink_to(outside)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("../up.txt", "/abs.txt", "way out/in.txt", "examples/a.ipynb/below.txt"):
            archive.writestr(name, "x")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    done = restore(zipfile.ZipFile(data), root, {})
    assert (done.files, done.refused) == (0, 5)
    assert not list(outside.iterdir())
    assert not (tmp_path / "up.txt").exists()
