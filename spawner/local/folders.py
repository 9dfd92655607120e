"""The state folder, which only its owner may read, and the folder of the Unix sockets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from spawner.errors import SetupError

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path that Linux takes."""
LONGEST_NAME = "/proxy.sock"
OTHERS = 0o077
PRIVATE_FILES = ("*.sqlite", "*.sqlite-*", "*.json", "secrets/*", "logs/*")
OURS = ("secrets", "ledger.sqlite", "settings.json")
"""At least one of these is in every state folder that was used before."""


def take_state_folder(state: Path) -> int:
    """Make the state folder, or close one that others can read, and lock it. Returns the lock's descriptor."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        close_to_others(state)
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with tempfile.TemporaryFile(dir=state) as probe:
            probe.write(b"x" * 65536)
    except OSError as error:
        raise SetupError(
            "The state folder {state} cannot be written: {why}.",
            next_step="Choose another with STATE=/path make run (or --state).",
            state=state,
            why=error.strerror,
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SetupError(
            "Freepool already runs on the state folder {state}.",
            next_step="Use that one, stop it, or choose another with STATE=/path make run.",
            state=state,
        ) from None
    return lock


def close_to_others(state: Path) -> None:
    """Take the rights of group and others away: databases were made with 0644 in folders that others could enter.

    Raises `SetupError` for a folder that is not Freepool's alone: its rights are not ours to change.
    """
    mode = state.stat().st_mode
    if mode & OTHERS:
        names = {entry.name for entry in state.iterdir()}
        if mode & stat.S_ISVTX or (names and not names.intersection(OURS)):
            raise SetupError(
                "The folder {state} is open to other users and has other things in it.",
                next_step="Choose a folder of its own with STATE=/path make run (or --state).",
                state=state,
            )
        state.chmod(mode & 0o700)
    for pattern in PRIVATE_FILES:
        for file in state.glob(pattern):
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & OTHERS:
                file.chmod(stat.S_IMODE(mode) & ~OTHERS)


def make_private_file(file: Path) -> None:
    """Make an empty file that only its owner may read, unless it is there. SQLite would make it with 0644."""
    file.touch(mode=0o600)


def make_socket_folder(state: Path) -> Path:
    """A folder (mode 0700) for Unix sockets: in the state folder, or in a short place where that path is too long."""
    inside = state / "sockets"
    if len(os.fsencode(inside)) + len(LONGEST_NAME) <= LONGEST_SOCKET:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    name = f"freepool-{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}"
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / name  # noqa: S108  (checked below)
    try:
        if len(os.fsencode(folder)) + len(LONGEST_NAME) > LONGEST_SOCKET:
            raise OSError(0, "its path is too long")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS:
            raise OSError(0, "it belongs to somebody else, or others may use it")
    except OSError as error:
        raise SetupError(
            "The path of the state folder is too long for Unix sockets, and the folder {folder} cannot be used: {why}.",
            next_step="Choose a state folder with a shorter path: STATE=/path make run (or --state).",
            folder=folder,
            why=error.strerror,
        ) from None
    return folder
