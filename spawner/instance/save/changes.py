"""Which files would be lost: those that differ from what was laid out before the user came, by size and time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = {".ipynb_checkpoints", "__pycache__", ".cache", ".local", ".jupyter", ".ipython", ".Trash-0"}
"""Folders that are neither counted nor saved: they can be made again."""
MANIFEST = "freepool_manifest"
"""Name of the manifest in the server's Tornado settings."""
MOST_NAMES = 200
SCAN_SECONDS = 1.5
"""The desk waits two seconds for the answer."""
CLOCK_EVERY = 256
"""Files between two looks at the clock."""

Manifest = Mapping[str, tuple[int, int]]
"""Size in bytes and time of change in nanoseconds, by path below the workspace."""


@dataclass(frozen=True)
class ChangedFile:
    """`path` is relative to the workspace. `is_new`: it was not laid out."""

    path: str
    bytes: int
    is_new: bool


@dataclass(frozen=True)
class Changes:
    """All that differs. `is_complete` is false where the time was over before all files were seen."""

    files: Sequence[ChangedFile]
    is_complete: bool = True

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)

    def shown(self) -> dict[str, object]:
        """For JSON: counts and bytes of all, and the names of the largest."""
        largest = sorted(self.files, key=lambda file: (-file.bytes, file.path))[:MOST_NAMES]
        return {
            "count": len(self.files),
            "bytes": self.bytes,
            "is_complete": self.is_complete,
            "files": [{"path": readable(one.path), "bytes": one.bytes, "is_new": one.is_new} for one in largest],
        }


def readable(path: str) -> str:
    """A path as text: on disk it may be any bytes."""
    return os.fsencode(path).decode(errors="replace")


def regular_files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files below a folder, without caches and without links. Files that vanish meanwhile are left out."""
    pending = [str(root)]
    while pending:
        try:
            entries = sorted(os.scandir(pending.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in LEFT_OUT:
                        pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield os.path.relpath(entry.path, root), entry.stat(follow_symlinks=False)
            except OSError:
                continue


def take_manifest(root: Path) -> Manifest:
    """What is laid out now."""
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in regular_files(root)}


def find_changes(
    root: Path,
    manifest: Manifest,
    *,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Changes:
    """What differs from the manifest. Stops after `seconds`; None: looks at all files."""
    until = None if seconds is None else clock() + seconds
    files: list[ChangedFile] = []
    for number, (path, stat) in enumerate(regular_files(root), 1):
        if until is not None and number % CLOCK_EVERY == 0 and clock() > until:
            return Changes(files, is_complete=False)
        laid_out = manifest.get(path)
        if laid_out != (stat.st_size, stat.st_mtime_ns):
            files.append(ChangedFile(path, stat.st_size, is_new=laid_out is None))
    return Changes(files)


@dataclass(frozen=True)
class Picked:
    """Files that go into a bundle, and those that the limit leaves out."""

    kept: Sequence[ChangedFile]
    left_out: Sequence[ChangedFile]

    @property
    def bytes(self) -> int:
        """Of the files that go in."""
        return sum(file.bytes for file in self.kept)


def pick(changes: Changes, limit: int) -> Picked:
    """The files that fit into `limit` bytes together: the largest are left out first, so that as many as possible
    are kept."""
    kept: list[ChangedFile] = []
    left_out: list[ChangedFile] = []
    total = 0
    for file in sorted(changes.files, key=lambda file: (file.bytes, file.path)):
        if total + file.bytes <= limit:
            kept.append(file)
            total += file.bytes
        else:
            left_out.append(file)
    return Picked(sorted(kept, key=lambda file: file.path), left_out[::-1])
