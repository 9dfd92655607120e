"""Puts the files of a bundle into a workspace, without replacing what its user has written there."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spawner.instance.save.changes import Manifest

KEPT_MARK = "kept"


@dataclass
class Restored:
    """Numbers of files: put where they were, put beside a file of the same name, and not put."""

    files: int = 0
    beside: int = 0
    refused: int = 0


def restore(archive: zipfile.ZipFile, root: Path, manifest: Manifest) -> Restored:
    """Unpack. A file that is there and was laid out unchanged is replaced; beside any other the kept one gets a name
    of its own. Raises `OSError`, such as for a full disk."""
    done = Restored()
    for info in archive.infolist():
        path = _inside(info)
        if path is None or not _has_plain_parents(root, path):
            done.refused += not info.is_dir()
            continue
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target) and not _is_as_laid_out(target, path, manifest):
            target = next(name for name in _names_beside(target) if not os.path.lexists(name))
            done.beside += 1
        else:
            done.files += 1
        _write(archive, info, target)
    return done


def _inside(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """The path of a regular file below the workspace; None for what is none."""
    path = PurePosixPath(info.filename)
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if info.is_dir() or is_link or path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    return path


def _has_plain_parents(root: Path, path: PurePosixPath) -> bool:
    """Whether no folder on the way is a link or a file."""
    folder = root
    for part in path.parts[:-1]:
        folder = folder / part
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
            return False
    return True


def _is_as_laid_out(target: Path, path: PurePosixPath, manifest: Manifest) -> bool:
    there = target.lstat()
    return stat.S_ISREG(there.st_mode) and manifest.get(str(path)) == (there.st_size, there.st_mtime_ns)


def _names_beside(target: Path) -> Iterator[Path]:
    yield target.with_name(f"{target.stem} ({KEPT_MARK}){target.suffix}")
    number = 2
    while True:
        yield target.with_name(f"{target.stem} ({KEPT_MARK} {number}){target.suffix}")
        number += 1


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """By a name of its own first, so that a full disk leaves no half file."""
    part = target.with_name(f".{target.name[:100]}.part")
    try:
        with archive.open(info) as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        if info.external_attr >> 16 & stat.S_IXUSR:
            part.chmod(part.stat().st_mode | stat.S_IXUSR)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
