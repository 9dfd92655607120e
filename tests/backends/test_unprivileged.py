"""The local backend works and isolates without root, such as on a laptop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from spawner.pool.backends.local.sandbox import HOME, WORKSPACE
from tests.backends.conftest import as_root, means
from tests.stack import PROJECT

NOBODY = 65534
SHOW = """
set -e
hold=$1; shift
while [ "$1" != -- ]; do
    # A folder that only root may enter is covered by an empty one, in which what is needed is shown again.
    closed=$1 needed=$2; shift 2
    mount --bind "$needed" "$hold"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    mkdir -p "$needed"
    mount --bind "$hold" "$needed"
    umount "$hold"
done
shift
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


def closed_above(path: Path) -> Path | None:
    """The uppermost folder on the way to `path` that others may not enter."""
    for parent in reversed(path.parents):
        if parent.stat().st_mode & 0o005 != 0o005:
            return parent
    return None


def shown_to_others() -> list[str]:
    """For `SHOW`: pairs of a closed folder, and what of it this Python needs."""
    needed = {Path(sys.base_prefix).resolve(), PROJECT.resolve()}
    return [str(path) for one in needed if (closed := closed_above(one)) for path in (closed, one)]


@pytest.fixture(scope="module")
def seen(images: Path) -> dict[str, Any]:
    """What a user without rights saw. Everything that this Python needs is shown to it, in mounts of its own."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    os.chown(folder, NOBODY, NOBODY)
    (folder / "hold").mkdir()
    images.chmod(0o755)
    done = subprocess.run(
        [
            "unshare", "--mount", "--propagation", "private",
            "sh", "-c", SHOW, "sh", str(folder / "hold"), *shown_to_others(), "--",
            sys.executable, "-m", "tests.backends.unprivileged", str(folder / "slots"), str(images),
        ],
        cwd=PROJECT, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@as_root  # without root, all other suites run unprivileged anyway
class TestWithoutRights:
    """One run, looked at from several sides."""

    def test_the_run_has_no_root_rights(self, seen: dict[str, Any]) -> None:
        assert seen["me"] == NOBODY
        assert not seen["groups"]
        assert seen["means"] == means().value, "a user has the networks that root has"

    def test_a_slot_becomes_ready_and_is_gone_when_destroyed(self, seen: dict[str, Any]) -> None:
        lives = seen["lives"]
        assert lives["health"] == "warm"
        assert lives["ended"]
        assert lives["left"] == lives["listed"] == []
        assert lives["port_free"]

    def test_an_instance_has_no_rights_either(self, seen: dict[str, Any]) -> None:
        lives = seen["lives"]
        assert lives["user"] == NOBODY
        assert [int(text, 16) for text in lives["capabilities"]] == [0, 0, 0]
        assert lives["no_new_privileges"] == "1"
        assert lives["filter"] == "2"

    def test_only_what_is_wiped_is_mounted_writable(self, seen: dict[str, Any]) -> None:
        writable = {target for target, options in seen["lives"]["mounts"] if "rw" in options.split(",")}
        inside = {target for target in writable if not target.startswith(("/proc", "/dev/"))}
        assert inside == {"/tmp", HOME, WORKSPACE}
        assert "/dev/shm" in writable
        assert not {target for target in writable if target.startswith("/proc/")}

    def test_an_image_that_cannot_start_dies_with_its_last_words(self, seen: dict[str, Any]) -> None:
        assert seen["broken"] == ["start_failed", "exit code 7: these are my last words"]

    def test_memory_has_an_end_where_no_control_group_counts_it(self, seen: dict[str, Any]) -> None:
        assert seen["hungry"] == ["out_of_memory", ""]
