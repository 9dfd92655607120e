"""A notebook that runs keeps the packages that it began with while its image is installed anew."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hub_config.set_aside import set_aside

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


def install(folder: Path, version: str) -> None:
    folder.mkdir()
    (folder / "package.py").write_text(version)


def test_what_a_sandbox_holds_is_moved_aside_until_it_ends(tmp_path: Path) -> None:
    image, before = tmp_path / "light", tmp_path / ".before"
    install(image, "1")
    assert set_aside(image) is None, "nothing runs in it: it is changed in place"
    # As in a notebook's sandbox the place of the mount is in a file system of its own.
    view = ["bwrap", "--ro-bind", "/", "/", "--tmpfs", str(tmp_path), "--ro-bind", str(image), str(image)]
    reads = f"echo begun; read -r _; cat {image}/package.py"
    with subprocess.Popen(
        [*view, "sh", "-c", reads], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "begun\n"
        moved = set_aside(image)
        assert moved is not None
        assert moved.parent == before
        install(image, "2")
        assert set_aside(image) is None, "nothing runs in the new one"
        assert moved.exists(), "the notebook still runs in the old one"
        assert notebook.communicate("\n")[0] == "1"
    assert set_aside(image) is None
    assert not moved.exists()
    assert (image / "package.py").read_text() == "2"


def test_an_environment_of_other_checkouts_stays_where_it_is(tmp_path: Path) -> None:
    install(tmp_path / "shared", "1")
    (tmp_path / "torch").symlink_to(tmp_path / "shared")
    assert set_aside(tmp_path / "torch") is None
    assert (tmp_path / "torch").is_symlink()
    assert set_aside(tmp_path / "never-installed") is None
