"""Downloads a model into the store: what is there already is kept, what broke off goes on, and all of it is checked.

Nothing is visible before everything is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from spawner.catalog import Model
from spawner.errors import SetupError
from spawner.instance.model_links import FILES, MANIFEST
from spawner.models.hubs import Hub, Listing, RemoteFile
from spawner.models.store import Manifest, Store, StoredFile, digests

AT_ONCE = 4
TRIES = 5
"""Breaks in a row, without a byte in between, after which a download is given up."""
PAUSE_SECONDS = 2.0
INCOMPLETE = ".incomplete"


@dataclass(frozen=True)
class Pulled:
    """What a pull has done. `bytes` were downloaded; 0: everything was there. `size` is that of all files."""

    version: str
    size: int
    bytes: int
    seconds: float
    is_new: bool


class DamagedError(Exception):
    """A file's content is not what the hub says it is."""


@dataclass
class _Download:
    model: Model
    hub: Hub
    folder: Path
    reuse: dict[str, Path]
    pause: float
    downloaded: int = 0

    async def file(self, remote: RemoteFile) -> StoredFile:
        target = self.folder / remote.path
        target.parent.mkdir(parents=True, exist_ok=True)
        known = self.reuse.get(remote.sha256 or remote.git or "")
        if known is not None and not target.exists():
            os.link(known, target)
        found = await asyncio.to_thread(check, remote, target) if target.exists() else None
        if found is None:
            await self._fetch(remote, target)
            found = await asyncio.to_thread(check, remote, target)
        if found is None:
            raise DamagedError(remote.path)
        return found

    async def _fetch(self, remote: RemoteFile, target: Path) -> None:
        part = target.with_name(target.name + INCOMPLETE)
        breaks = 0
        while (start := part.stat().st_size if part.exists() else 0) < remote.size or not part.exists():
            try:
                await self._go_on(remote, part, start)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                breaks = breaks + 1 if part.exists() and part.stat().st_size == start else 1
                if breaks >= TRIES or (isinstance(error, aiohttp.ClientResponseError) and error.status < 500):
                    raise
                await asyncio.sleep(self.pause)  # the hub may be busy
            else:
                if part.stat().st_size < remote.size:
                    breaks += 1
                    if breaks >= TRIES:
                        raise DamagedError(remote.path)
        if part.stat().st_size > remote.size:
            part.unlink()
            raise DamagedError(remote.path)
        part.rename(target)

    async def _go_on(self, remote: RemoteFile, part: Path, start: int) -> None:
        with part.open("r+b" if start else "wb") as stream:
            if not remote.size:
                return
            async for offset, block in self.hub.content(remote, start):
                stream.seek(offset)
                stream.truncate()
                await asyncio.to_thread(stream.write, block)
                self.downloaded += len(block)
                if offset + len(block) > remote.size:
                    return


def check(remote: RemoteFile, target: Path) -> StoredFile | None:
    """The file, if its content is what the hub says; else it is removed."""
    sha256, git = digests(target)
    size = target.stat().st_size
    if size != remote.size or remote.sha256 not in (None, sha256) or remote.git not in (None, git):
        target.unlink()
        return None
    return StoredFile(remote.path, size, sha256, git)


async def pull(
    model: Model, store: Store, hub: Hub, *, now: datetime, clock: Callable[[], float], pause: float = PAUSE_SECONDS
) -> Pulled:
    """Have the store show what the catalog asks for. The store must be locked. Raises `SetupError`.

    `clock`: seconds that only grow. `pause`: seconds between a break and the next try.
    """
    began = clock()
    listing = await hub.listing(model)
    files = listing.only(model.files)
    if not files:
        raise SetupError(
            "No file of {repository} matches {patterns}.",
            next_step="Check `files` of {id} in the catalog.",
            repository=model.repository,
            patterns=", ".join(model.files),
            id=model.id,
        )
    version, size = version_of(model, files), sum(file.size for file in files)
    if (store.folder / model.id / version / MANIFEST).exists():
        store.publish(model.id, version)
        return Pulled(version, size, 0, clock() - began, is_new=False)
    part = store.part(model.id, version)
    (part / FILES).mkdir(parents=True, exist_ok=True)
    part.parent.chmod(0o700)
    reuse = _reusable(store, model.id)
    _require_room(store, part / FILES, files, reuse)
    download = _Download(model, hub, part / FILES, reuse, pause)
    stored = await _all(download, files, store)
    seconds = clock() - began
    _finish(part)
    Manifest(
        source=str(model.source), repository=model.repository, revision=model.wanted_revision, commit=listing.commit,
        licence=model.licence, libraries=tuple(map(str, model.libraries)), patterns=model.files, files=stored,
        seconds=round(seconds, 1), pulled_at=now.isoformat(timespec="seconds"),
    ).write(part / MANIFEST)  # fmt: skip
    if download.downloaded:
        store.note_pull(download.downloaded, seconds)
    store.publish(model.id, version)
    return Pulled(version, size, download.downloaded, seconds, is_new=True)


def version_of(model: Model, files: tuple[RemoteFile, ...]) -> str:
    """A name for this content, shown to these libraries as this revision."""
    asked = [str(model.source), model.repository, model.wanted_revision, model.licence, *model.files]
    asked += map(str, model.libraries)
    contents = sorted(f"{file.path}\0{file.size}\0{file.sha256}\0{file.git}" for file in files)
    return hashlib.sha256("\n".join([*asked, *contents]).encode()).hexdigest()[:12]


async def is_newer(model: Model, store: Store, hub: Hub) -> bool:
    """Whether the hub has another content of what is there. Raises `SetupError`."""
    listing: Listing = await hub.listing(model)
    return version_of(model, listing.only(model.files)) != store.version(model.id)


async def _all(download: _Download, files: tuple[RemoteFile, ...], store: Store) -> tuple[StoredFile, ...]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(file: RemoteFile) -> StoredFile:
        async with turn:
            return await download.file(file)

    tasks = [asyncio.ensure_future(one(file)) for file in files]
    try:
        return tuple(await asyncio.gather(*tasks))
    except (DamagedError, aiohttp.ClientError, TimeoutError, OSError) as error:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise _failed(error, download, store) from None


def _failed(error: Exception, download: _Download, store: Store) -> SetupError:
    if isinstance(error, DamagedError):
        return SetupError(
            "{path} of {repository} is not what {endpoint} says it is.",
            next_step="Run it again; where that does not help, the hub, or a proxy in between, is at fault.",
            path=error,
            repository=download.model.repository,
            endpoint=download.hub.endpoint,
        )
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError):
        return SetupError(
            "{folder} cannot be written: {why}.",
            next_step="Make room, then run it again: it goes on where it was.",
            folder=store.folder,
            why=error.strerror or error,
        )
    return SetupError(
        "The download of {repository} broke off: {why}.",
        next_step="Run it again: it goes on where it was.",
        repository=download.model.repository,
        why=str(error) or type(error).__name__,
    )


def _reusable(store: Store, model_id: str) -> dict[str, Path]:
    """Files of the version that is there, by their digests. Their contents are checked again."""
    manifest, folder = store.manifest(model_id), store.files(model_id).resolve()
    found = manifest.files if manifest else ()
    there = [one for one in found if (folder / one.path).exists()]
    return {digest: folder / one.path for one in there for digest in (one.sha256, one.git)}


def _require_room(store: Store, part: Path, files: tuple[RemoteFile, ...], reuse: dict[str, Path]) -> None:
    needed = sum(file.size for file in files if (file.sha256 or file.git or "") not in reuse)
    needed -= sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    free = shutil.disk_usage(store.folder).free
    if needed > free:
        raise SetupError(
            "{folder} has {free} MB free, and {needed} MB are needed.",
            next_step="Make room, such as by `freepool models remove`, or name another folder with `models`.",
            folder=store.folder,
            free=free // 10**6,
            needed=needed // 10**6,
        )


def _finish(part: Path) -> None:
    """All may read, nobody writes; what is on the disk is there after a power failure, too."""
    for path in (part, *part.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o444)
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
