"""The archive of an instance has all files of its home and none from outside."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spawner.instance.archive import LEFT_OUT_NAME, PIECE, TITLE, pieces


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
        TITLE.strip(),
        f"folder: link to {tmp_path}",
        f"link: link to {secret}",
        "pipe: not a regular file",
        r"two\nlines: not a regular file",
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


@pytest.mark.parametrize("name", [LEFT_OUT_NAME, LEFT_OUT_NAME.upper(), f"{LEFT_OUT_NAME}/inside"])
def test_a_file_or_folder_with_the_name_of_the_list_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    (tmp_path / "link").symlink_to("elsewhere")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.read(name) == b"mine"
    assert archive.read(f"_{LEFT_OUT_NAME}").decode() == f"{TITLE}link: link to elsewhere\n"


def test_the_list_of_an_older_archive_is_replaced(tmp_path: Path) -> None:
    (tmp_path / LEFT_OUT_NAME).write_text(f"{TITLE}old: link to it\n")
    assert zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path)))).namelist() == []
    (tmp_path / "实验\u3000结果").symlink_to(os.fsdecode(b"/data/\xff/file"))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.namelist() == [LEFT_OUT_NAME]
    assert archive.read(LEFT_OUT_NAME).decode() == f"{TITLE}实验\u3000结果: link to /data/_-ff000000/file\n"


def test_folders_deeper_than_a_path_may_be_long_are_listed(tmp_path: Path) -> None:
    """The system refuses them as it does folders that the user may not enter."""
    (tmp_path / "first.txt").write_text("1")
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(30):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        Path("last.txt").write_text("2")
    finally:
        os.chdir(before)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.namelist() == ["first.txt", LEFT_OUT_NAME]
    assert archive.read(LEFT_OUT_NAME).decode().endswith(": File name too long\n")
    shutil.rmtree(tmp_path)


def test_a_file_that_cannot_be_read_to_its_end_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    opened = os.fdopen

    def open_badly(number: int, mode: str) -> object:
        file = opened(number, mode)
        return Broken(file) if Path(f"/proc/self/fd/{number}").resolve().name == "a" else file

    monkeypatch.setattr(os, "fdopen", open_badly)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.read("b") == b"b"
    assert archive.read(LEFT_OUT_NAME).decode() == f"{TITLE}a: incomplete: Input/output error\n"


class Broken(io.BufferedReader):
    """A file on a disk that fails."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file.detach())

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("step", [(Path, "lstat"), (zipfile.ZipInfo, "from_file")], ids=["before", "after lstat"])
def test_files_that_vanish_while_packing_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    as_it_was = getattr(*step)

    def then_gone(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "b.txt":
            path.unlink()
        return as_it_was(path, *arguments, **options)

    monkeypatch.setattr(*step, then_gone)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces(tmp_path))))
    assert archive.testzip() is None
    assert archive.namelist() == ["a.txt", "c.txt", LEFT_OUT_NAME]
    assert archive.read(LEFT_OUT_NAME).decode() == f"{TITLE}b.txt: No such file or directory\n"
