"""The one command that the terminal behind a gate knows: to unpack an archive, as people are told to do it there."""

from __future__ import annotations

import io
import shlex
import zipfile
from datetime import datetime

from spawner.demo_cloud.notebooks.files import Files

COMMAND = "python -m zipfile -e freepool-files.zip freepool-files/"
PROGRAMS = ("python", "python3")
LARGEST = 256 * 1024 * 1024
"""Bytes, unpacked: files are kept in memory."""


class Failed(Exception):
    """What a command says that could not be done."""


def run(files: Files, instance: str, command: str, now: datetime) -> str:
    """Do it, and say what was done. Raises `Failed`."""
    try:
        program, *words = shlex.split(command)
        dash_m, module, dash_e, archive, folder = words
    except ValueError:
        raise Failed(f"This terminal knows one command: {COMMAND}") from None
    if program not in PROGRAMS or (dash_m, module, dash_e) != ("-m", "zipfile", "-e"):
        raise Failed(f"This terminal knows one command: {COMMAND}")
    count = unpack(files, instance, "/".join(_parts(archive)), _parts(folder), now)
    return f"{count} ✓"


def unpack(files: Files, instance: str, archive: str, folder: list[str], now: datetime) -> int:
    """Put all files of an archive into a folder, as Python's own `zipfile` does: never beside it. How many."""
    packed = files.get(instance, archive)
    if packed is None or packed.data is None:
        raise Failed(f"No such file: {archive}")
    try:
        with zipfile.ZipFile(io.BytesIO(packed.data)) as opened:
            members = [one for one in opened.infolist() if not one.is_dir()]
            if sum(one.file_size for one in members) > LARGEST:
                raise Failed("It is too large for a demonstration.")
            for one in members:
                parts = [*folder, *_parts(one.filename)]
                for depth in range(1, len(parts)):
                    files.put(instance, "/".join(parts[:depth]), None, now)
                files.put(instance, "/".join(parts), opened.read(one), now)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Failed(f"{type(error).__name__}: {error}") from None
    return len(members)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]
