"""A slot's folder: its lock, which lives as long as its keeper, and the files that the keeper and the backend write."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def new_lock(folder: Path) -> Iterator[int]:
    """The descriptor of a locked file in the folder. The keeper inherits it, and with it the lock."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def move_into_place(draft: Path, final: Path) -> bool:
    """Rename the draft. False where another process has created the same slot meanwhile."""
    try:
        draft.rename(final)
    except OSError:
        if not final.exists():
            raise
        shutil.rmtree(draft, ignore_errors=True)
        return False
    return True


def remove_drafts(slots: Path) -> None:
    """Delete the folders that a killed program was still writing. Only for when no program creates slots."""
    for draft in slots.glob(".*"):
        shutil.rmtree(draft, ignore_errors=True)


def status_of(folder: Path) -> dict[str, Any]:
    """What the keeper has written last; empty where nothing can be read."""
    return _json(folder / "status.json")


def orders_of(folder: Path) -> dict[str, Any]:
    """The part of the keeper's orders that is kept; empty where nothing can be read."""
    return _json(folder / "orders.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def is_locked(folder: Path) -> bool:
    """Whether the keeper lives."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
