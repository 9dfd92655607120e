"""All of an instance's files as one download: nothing is forgotten, nothing comes along that lies outside."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from spawner.instance.archive import PIECE, pieces


def test_everything_is_in_it_and_nothing_from_outside(tmp_path: Path) -> None:
    root, secret = tmp_path / "workspace", tmp_path / "secret"
    (root / "data" / ".ipynb_checkpoints").mkdir(parents=True)
    secret.write_text("not theirs")
    large = os.urandom(3 * PIECE + 1)
    (root / "数据.bin").write_bytes(large)
    (root / "data" / "a.ipynb").write_text("{}")
    (root / "data" / ".ipynb_checkpoints" / "a.ipynb").write_text("old")
    (root / "link").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(root / "pipe")
    sent = list(pieces(root))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(sent)))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["data/a.ipynb", "数据.bin"]
    assert archive.read("数据.bin") == large
    assert max(map(len, sent)) < 2 * PIECE, "it is sent as it grows"
