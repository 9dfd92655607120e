"""A log is turned over while its program writes to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spawner.local import logs


def test_the_writer_goes_on_in_the_emptied_file_and_one_older_part_is_kept(tmp_path: Path) -> None:
    file, older = tmp_path / "hub.log", tmp_path / "hub.log.1"
    with logs.open_log(file) as writer:
        for text in (b"first\n", b"second\n", b"third\n"):
            writer.write(text)
            writer.flush()
            if text != b"third\n":
                logs.turn_over(file)
    assert (older.read_text(), file.read_text()) == ("second\n", "third\n")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, older)} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {"hub.log", "hub.log.1"}


def test_a_full_disk_still_gets_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "hub.log"
    file.write_text("much")
    monkeypatch.setattr(logs.shutil, "copyfile", full)
    logs.turn_over(file)
    assert [path.name for path in tmp_path.iterdir()] == ["hub.log"]
    assert file.read_text() == ""
