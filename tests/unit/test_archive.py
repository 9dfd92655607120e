"""The archive of an instance has all files of its home and none from outside."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spawner.instance.archive import LEFT_OUT_NAME, PIECE, pieces


def test_the_archive_has_all_files_of_the_home_and_none_from_outside(tmp_path: Path) -> None:
    root, secret = tmp_path / "workspace", tmp_path / "secret"
    (root / "data" / ".ipynb_checkpoints").mkdir(parents=True)
    secret.write_text("from outside")
    large = os.urandom(3 * PIECE + 1)
    (root / "数据.bin").write_bytes(large)
    (root / "data" / "a.ipynb").write_text("{}")
    (root / "data" / ".ipynb_checkpoints" / "a.ipynb").write_text("old")
    (root / "link").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(root / "pipe")
    os.mkfifo(root / "two\nlines")
    sent = list(pieces(root))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(sent)))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["data/a.ipynb", LEFT_OUT_NAME, "数据.bin"]
    assert archive.read(LEFT_OUT_NAME).decode().splitlines() == [
        "Not in this archive:",
        r"'two\nlines: not a regular file'",
        f"folder: link to {tmp_path}",
        f"link: link to {secret}",
        "pipe: not a regular file",
    ]
    assert archive.read("数据.bin") == large
    assert max(map(len, sent)) < 2 * PIECE, "it is sent as it grows"


def test_a_file_name_that_is_not_utf8_does_not_break_the_archive(tmp_path: Path) -> None:
    root, unpacked = tmp_path / "workspace", tmp_path / "unpacked"
    root.mkdir()
    odd = {
        "数据".encode("gbk"): "one",
        "文件".encode("gbk"): "two",
        b"\xff" * 250 + b".txt": "long",
        b"a\nb\\c": "line",
    }
    for name, text in odd.items():
        Path(os.fsdecode(bytes(root) + b"/" + name)).write_text(text)
    folder = Path(os.fsdecode(bytes(root) + b"/\xe9t\xe9"))
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(f"in a folder: {name}")
    (root / "zz.txt").write_text("after them")

    (tmp_path / "freepool-files.zip").write_bytes(b"".join(pieces(root)))
    command = [sys.executable, "-m", "zipfile", "-e", "freepool-files.zip", "unpacked/"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = {path.relative_to(unpacked): path.read_text() for path in unpacked.rglob("*") if path.is_file()}
    assert sorted(found.values()) == sorted([*odd.values(), "in a folder: a", "in a folder: b", "after them"])
    assert len({path.parent for path in found}) == 2, "both are still in one folder"
    assert found[Path("zz.txt")] == "after them"


def test_a_file_with_the_name_of_the_list_stays(tmp_path: Path) -> None:
    (tmp_path / LEFT_OUT_NAME).write_text("mine")
    (tmp_path / "link").symlink_to("elsewhere")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.read(LEFT_OUT_NAME) == b"mine"
    assert archive.read(f"_{LEFT_OUT_NAME}").decode().endswith("link: link to elsewhere\n")


@pytest.mark.parametrize("step", ["is_file", "open"])
def test_files_that_vanish_while_packing_do_not_break_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    as_it_was = getattr(Path, step)

    def and_then_goes(path: Path, *arguments: object) -> object:
        answer = as_it_was(path, *arguments)
        if path.name == "b.txt":
            path.unlink()
        return answer

    monkeypatch.setattr(Path, step, and_then_goes)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.testzip() is None
    assert {"a.txt", "c.txt"} <= set(archive.namelist())
