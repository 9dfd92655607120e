"""The only command of an instance's terminal: unpack an archive, as Freepool instructs users to do."""

from __future__ import annotations

import io
import shlex
import zipfile
from datetime import datetime

from spawner.demo_cloud.notebooks.files import Files

COMMAND = "python -m zipfile -e freepool-files.zip freepool-files/"
PROGRAMS = ("python", "python3")
LARGEST = 256 * 1024 * 1024
"""Bytes, unpacked. The limit is needed because files are kept in memory."""


class Failed(Exception):
    """The command failed; with its error message."""


def run(files: Files, instance: str, command: str, now: datetime) -> str:
    """Run the command and return its output. Raises `Failed`."""
    try:
        program, *arguments = shlex.split(command)
        dash_m, module, dash_e, archive, folder = arguments
    except ValueError:
        raise Failed(f"This terminal knows one command: {COMMAND}") from None
    if program not in PROGRAMS or (dash_m, module, dash_e) != ("-m", "zipfile", "-e"):
        raise Failed(f"This terminal knows one command: {COMMAND}")
    count = unpack(files, instance, "/".join(_parts(archive)), _parts(folder), now)
    return f"{count} ✓"


def unpack(files: Files, instance: str, archive: str, folder: list[str], now: datetime) -> int:
    """Unpack an archive into a folder, and nowhere else, like Python's `zipfile`. Returns the number of files."""
    packed = files.get(instance, archive)
    if packed is None or packed.data is None:
        raise Failed(f"No such file: {archive}")
    try:
        with zipfile.ZipFile(io.BytesIO(packed.data)) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > LARGEST:
                raise Failed("It is too large for a demonstration.")
            for member in members:
                parts = [*folder, *_parts(member.filename)]
                for depth in range(1, len(parts)):
                    files.put(instance, "/".join(parts[:depth]), None, now)
                files.put(instance, "/".join(parts), opened.read(member), now)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Failed(f"{type(error).__name__}: {error}") from None
    return len(members)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]
