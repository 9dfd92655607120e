"""A shallow copy of a Git repository. Its size is watched while it comes, and read from its tree before files are
written. Nothing of it is run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from spawner.instance.fetch.git import run_git
from spawner.instance.fetch.wanted import FetchFailed, Limits, Wanted

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MARK = "freepool.link"
"""Key in a copy's configuration: what it was fetched for."""
LOOK_SECONDS = 0.2
"""Between two looks at the size of what has come: a folder has no event for it."""


async def fetch_repository(root: Path, wanted: Wanted, limits: Limits, certificates: Path | None = None) -> str:
    """The path to open, relative to `root`. Raises `FetchFailed`."""
    if shutil.which("git") is None:
        raise FetchFailed("no_git")
    place = await _copy_of(root, wanted)
    if place is None:
        _free_place(root, wanted.name)  # before anything is downloaded
        with tempfile.TemporaryDirectory(prefix=".freepool-open-", dir=root) as folder:
            copy = Path(folder) / "copy"
            await _copy_from_either(copy, wanted, limits, certificates)
            place = _free_place(root, wanted.name, is_package=_is_package(copy))
            copy.rename(place)
    return _path_in(root, place, wanted.path)


def _path_in(root: Path, place: Path, path: str) -> str:
    """Raises `FetchFailed` where the repository has no such file. Symbolic links are files here, so none leads out."""
    opened = place / path
    if path and not (opened.exists() and opened.resolve().is_relative_to(place.resolve())):
        raise FetchFailed("no_file")
    return opened.relative_to(root).as_posix()


def _places(root: Path, name: str) -> list[Path]:
    """Folders that a copy may have, the first that is free is used."""
    return [root / name, *(root / f"{name}-{number}" for number in range(2, 100))]


async def _copy_of(root: Path, wanted: Wanted) -> Path | None:
    """The folder of this link's copy; None where it is not there."""
    for place in _places(root, wanted.name):
        config = place / ".git" / "config"
        if config.is_file():
            with contextlib.suppress(FetchFailed):
                if await run_git(root, "config", "--no-includes", "--file", str(config), "--get", MARK) == wanted.mark:
                    return place
    return None


def _free_place(root: Path, name: str, *, is_package: bool = False) -> Path:
    """A folder for a new copy. Raises `FetchFailed`.

    That of a Python package has no name that Python imports: a repository called `numpy` would be the numpy of every
    notebook beside it, and run there.
    """
    for place in _places(root, name):
        can_be_imported = is_package and place.name.isidentifier()
        if not can_be_imported and not place.exists() and not place.is_symlink():
            return place
    raise FetchFailed("too_many")


def _is_package(copy: Path) -> bool:
    return any(path.name.startswith("__init__.") for path in copy.iterdir())


async def _copy_from_either(copy: Path, wanted: Wanted, limits: Limits, certificates: Path | None) -> None:
    """From the address, or, as GitLab leads there, from the one with `.git`. Raises `FetchFailed`."""
    try:
        await _copy(copy, wanted, wanted.git, limits, certificates)
    except FetchFailed as first:
        if first.code != "redirected" or wanted.git.endswith(".git"):
            raise
        shutil.rmtree(copy, ignore_errors=True)
        try:
            await _copy(copy, wanted, f"{wanted.git}.git", limits, certificates)
        except FetchFailed as second:
            raise (first if second.code == "not_found" else second) from None


async def _copy(copy: Path, wanted: Wanted, address: str, limits: Limits, certificates: Path | None) -> None:
    watched = asyncio.create_task(_download(copy, wanted, address, certificates))
    try:
        while not (await asyncio.wait([watched], timeout=LOOK_SECONDS))[0]:
            if await asyncio.to_thread(_size_of, copy) > limits.bytes:
                raise FetchFailed("too_large")
        await watched
    finally:
        watched.cancel()
        await asyncio.wait([watched])
    listed = await run_git(copy, "ls-tree", "-r", "-l", "--full-tree", "HEAD")
    sizes = [int(size) if size.isdigit() else 0 for size in (line.split()[3] for line in listed.splitlines())]
    if len(sizes) > limits.files:
        raise FetchFailed("too_many")
    if sum(sizes) + _size_of(copy) > limits.bytes:
        raise FetchFailed("too_large")
    await run_git(copy, "checkout", "--quiet", "--force", "HEAD", "--")
    await run_git(copy, "config", MARK, wanted.mark)


async def _download(copy: Path, wanted: Wanted, address: str, certificates: Path | None) -> None:
    shallow = ("--quiet", "--depth=1", "--no-tags")
    if not COMMIT.fullmatch(wanted.ref):
        branch = (f"--branch={wanted.ref}",) if wanted.ref else ()
        options = (*shallow, "--no-checkout", "--single-branch", "--template=", "--no-recurse-submodules")
        arguments = (*options, "--config=core.symlinks=false", *branch, "--", address, str(copy))
        await run_git(copy.parent, "clone", *arguments, certificates=certificates)
        return
    await run_git(copy.parent, "init", "--quiet", "--template=", str(copy))
    await run_git(copy, "config", "core.symlinks", "false")
    await run_git(copy, "remote", "add", "origin", address)
    arguments = (*shallow, "--no-recurse-submodules", "origin", wanted.ref)
    await run_git(copy, "fetch", *arguments, certificates=certificates)
    await run_git(copy, "update-ref", "--no-deref", "HEAD", "FETCH_HEAD")


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total
