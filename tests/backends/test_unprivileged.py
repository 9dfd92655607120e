"""The local backend works and isolates without root, such as on a laptop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from spawner.instance.features import RUNTIME, WORKSPACE
from spawner.pool.backends.local.sandbox import HOME
from tests.backends.conftest import as_root, means
from tests.stack import PROJECT

NOBODY = 65534
SUITES = {
    "test_isolation.py": 20,
    "test_system_calls.py": 3,
    "test_local.py::TestLocalBackend": 11,
}
"""What else is run by a user without rights, and how many tests of it must have passed: some need root."""
SUITES_SECONDS = 900
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "xdist.plugin", "no:cacheprovider")
"""All that these suites need: others keep files in the working tree, where this user may not write."""
OUTCOMES = ("failure", "error", "skipped")
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


def run_as_nobody(folder: Path, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run this Python as a user without rights. All that it needs is shown to it, in mounts of its own."""
    hold = folder / "hold"
    hold.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "FREEPOOL_TEST_CACHE": str(folder / "cache"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        [
            "unshare", "--mount", "--propagation", "private",
            "sh", "-c", SHOW, "sh", str(hold), *shown_to_others(), "--", sys.executable, *arguments,
        ],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder of that user's."""
    made = Path(tempfile.mkdtemp(prefix="freepool-"))
    os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def seen(folder: Path, images: Path) -> dict[str, Any]:
    """What a user without rights saw."""
    images.chmod(0o755)
    program = ("-m", "tests.backends.unprivileged", str(folder / "slots"), str(images))
    done = run_as_nobody(folder, *program, seconds=200)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def suites(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Whole suites run by a user without rights: of each, its tests and what became of them."""
    report = folder / "report.xml"
    asked = [f"tests/backends/{suite}" for suite in SUITES]
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    run = ("-m", "pytest", "-q", "-n", "0", *plugins, f"--junit-xml={report}", *asked)
    done = run_as_nobody(folder, *run, seconds=SUITES_SECONDS)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        outcome = next((f"{part.tag}: {part.get('message')}" for part in case if part.tag in OUTCOMES), "passed")
        module, _, rest = case.get("classname", "").removeprefix("tests.backends.").partition(".")
        found.setdefault("::".join(filter(None, (f"{module}.py", rest))), []).append((case.get("name", ""), outcome))
    return found


@as_root
@pytest.mark.timeout(SUITES_SECONDS)
@pytest.mark.parametrize("suite", SUITES)
def test_the_suite_holds_for_an_ordinary_user(suite: str, suites: dict[str, list[tuple[str, str]]]) -> None:
    found = suites[suite]
    assert [one for one in found if one[1].startswith(("failure", "error"))] == []
    skipped = [one for one in found if one[1].startswith("skipped")]
    assert {outcome for _, outcome in skipped} <= {"skipped: needs root"}
    assert len(found) - len(skipped) >= SUITES[suite]


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
        assert inside == {"/tmp", HOME, WORKSPACE, RUNTIME}
        assert "/dev/shm" in writable
        assert not {target for target in writable if target.startswith("/proc/")}

    def test_an_image_that_cannot_start_dies_with_its_last_words(self, seen: dict[str, Any]) -> None:
        assert seen["broken"] == ["start_failed", "exit code 7: these are my last words"]

    def test_memory_has_an_end_where_no_control_group_counts_it(self, seen: dict[str, Any]) -> None:
        assert seen["hungry"] == ["out_of_memory", ""]
