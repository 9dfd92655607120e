"""Logs of bounded size: they are turned over while the programs write, so that no stream of requests fills the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

LOOK_SECONDS = 1.0
"""Between looks at the sizes. The programs write to the files themselves: they go on if the supervisor stands still."""


def open_log(file: Path) -> BinaryIO:
    """For a program to append to, so that it goes on at the beginning of a file that was turned over."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


async def keep_small(files: Sequence[Path], *, largest: int) -> None:
    """Turn over each file that is larger (bytes). Runs until it is cancelled."""
    while True:
        for file in files:
            with contextlib.suppress(OSError):
                if file.stat().st_size > largest:
                    await asyncio.to_thread(turn_over, file)
        await asyncio.sleep(LOOK_SECONDS)  # a file that grows wakes nobody


def turn_over(file: Path) -> None:
    """Keep the content as `….log.1`, in place of an older one, and empty the file.

    Its writer has it open, so it is copied and not renamed: lines of these few milliseconds are lost. Where there is no
    room for the copy, it is emptied all the same.
    """
    older = file.with_name(f"{file.name}.1")
    older.unlink(missing_ok=True)
    try:
        older.touch(mode=0o600)
        shutil.copyfile(file, older)
    except OSError:
        older.unlink(missing_ok=True)
    os.truncate(file, 0)
