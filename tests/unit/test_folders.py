"""The state folder is its owner's alone, also one that an older version left open, and sockets find a short place."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.errors import SetupError
from spawner.local import folders


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Locks to give back."""
    held: list[int] = []
    yield held
    for descriptor in held:
        os.close(descriptor)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_folder_is_made_for_its_owner_alone(tmp_path: Path, descriptors: list[int]) -> None:
    state = tmp_path / "a" / "state"
    descriptors.append(folders.take_state_folder(state))
    assert mode(state) == 0o700


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_state_folder_that_cannot_be_written_is_named_with_a_way_out(inside: str, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(SetupError, match=r"The state folder .* cannot be written: .*\. Choose another with STATE="):
        folders.take_state_folder(tmp_path / "state" / inside)


def test_one_state_folder_serves_one_freepool(tmp_path: Path, descriptors: list[int]) -> None:
    descriptors.append(folders.take_state_folder(tmp_path))
    with pytest.raises(SetupError, match=r"already runs on the state folder .*\. Use that one, stop it, or choose"):
        folders.take_state_folder(tmp_path)
    fcntl.flock(descriptors[0], fcntl.LOCK_UN)
    descriptors.append(folders.take_state_folder(tmp_path))


def test_a_state_folder_that_others_could_read_is_closed_with_all_that_is_in_it(
    tmp_path: Path, descriptors: list[int]
) -> None:
    state = tmp_path / "state"
    names = ("ledger.sqlite", "ledger.sqlite-wal", "jupyterhub.sqlite", "settings.json", "logs/hub.log", "secrets/link")
    for name in names:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).touch()
        (state / name).chmod(0o644)
    state.chmod(0o755)
    descriptors.append(folders.take_state_folder(state))
    assert mode(state) == 0o700
    assert {name: mode(state / name) for name in names} == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize(("rights", "content"), [(0o755, "letter.txt"), (0o1777, "ledger.sqlite")])
def test_a_folder_that_is_not_freepools_alone_keeps_its_rights_and_is_refused(
    rights: int, content: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / content).touch()
    state.chmod(rights)
    with pytest.raises(SetupError, match=r"is open to other users and has other things in it\. Choose a folder of its"):
        folders.take_state_folder(state)
    assert mode(state) == rights


def test_sockets_lie_in_the_state_folder(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as state:
        folder = folders.make_socket_folder(Path(state))
        assert folder == Path(state) / "sockets"
        assert mode(folder) == 0o700


def test_a_path_that_is_too_long_for_sockets_is_replaced_by_a_short_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        state = tmp_path / ("a" * 100)
        folder = folders.make_socket_folder(state)
        assert folder.parent == Path(short)
        assert mode(folder) == 0o700
        assert folders.make_socket_folder(state) == folder
        assert folders.make_socket_folder(tmp_path / ("b" * 100)) != folder


@pytest.mark.parametrize("what", ["open", "link", "file"])
def test_a_short_folder_that_another_user_has_prepared_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        state = tmp_path / ("a" * 100)
        folder = folders.make_socket_folder(state)
        if what == "open":
            folder.chmod(0o777)
        else:
            folder.rmdir()
            folder.symlink_to(tmp_path) if what == "link" else folder.touch()
        with pytest.raises(SetupError, match=r"too long for Unix sockets, and the folder .* cannot be used: .+"):
            folders.make_socket_folder(state)
