"""Fetches what is kept of an instance before its slot is destroyed, and deletes what is kept no longer.

The row is written with the end (`pool/keeping.py`), so a steward that takes over goes on with it. The wipe waits at
most `MAKE_SECONDS` after that, whatever happens here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import aiohttp
from sqlalchemy import Connection

from spawner.bundles.cipher import Encryptor
from spawner.bundles.store import FOLDER, Store, StoreRefused
from spawner.errors import BackendUnavailable, FreepoolError
from spawner.instance.report_key import HEADER, report_key
from spawner.instance.save.paths import BUNDLE, BUNDLE_HEADER
from spawner.instance.sealing import slot_key
from spawner.ledger.bundles import bundles
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.pool import instances, slots
from spawner.pool.backends.base import Phase
from spawner.pool.pool import Pool

log = logging.getLogger("freepool.steward")
MAKE_SECONDS = 60.0
AT_ONCE = 8
"""Bundles that are fetched at the same time: at a maintenance all instances end at once."""
CLEAN_EVERY = timedelta(minutes=1)
PIECE = 256 * 1024
OVERHEAD = 16 * 1024 * 1024
"""Bytes that a zip may have beside its files: their names, and what compression adds to random data."""
PART = ".part"
LEAST_FREE = 1024**3
"""Bytes that are left free on the disk of the state folder, where the ledger lies, too."""
MOST_FILES = 10**9


class BundleFailed(Exception):
    """Why nothing is kept: `code` is one of the texts of `desk/user/save_texts.py`."""

    def __init__(self, code: str, why: str = "") -> None:
        super().__init__(f"{code} {why}".strip())
        self.code = code


@dataclass(frozen=True)
class Made:
    """A bundle that is stored. `left_out` has names of some of the files that the limit left out."""

    files: int
    bytes: int
    left_out: tuple[str, ...]
    left_out_count: int

    @property
    def detail(self) -> str | None:
        """For the row."""
        if not self.left_out_count:
            return None
        return json.dumps({"code": "left_out", "count": self.left_out_count, "names": self.left_out})


class Bundles:
    """The bundles of one steward. `folder` is where they are written; `store` is None where it cannot be used."""

    def __init__(self, pool: Pool, store: Store | None, folder: Path) -> None:
        self.pool = pool
        self._store = store
        self._folder = folder
        self._making: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._cleaned_at: datetime | None = None

    async def before_destroy(self, slot_id: str) -> None:
        """Make the bundle of a slot's instance, where one is intended. Two callers wait for the same."""
        if not self.pool.catalog.keep.enabled:
            return
        task = self._making.get(slot_id)
        if task is None:
            task = asyncio.create_task(self._keep(slot_id), name=f"freepool-bundle-{slot_id}")
            self._making[slot_id] = task
            task.add_done_callback(lambda _: self._making.pop(slot_id, None))
        await asyncio.shield(task)

    async def _keep(self, slot_id: str) -> None:
        try:
            bundle = await self.pool.ledger.aread(_bundle_of_slot, slot_id)
            if bundle is not None and bundle.state is BundleState.MAKING:
                await self._make(bundle, slot_id)
        except FreepoolError as error:
            log.warning("the bundle of slot %s is not made: %s", slot_id, error)
        except Exception:  # the wipe goes on, whatever it is; `clean_up` then writes that nothing is kept
            log.exception("the bundle of slot %s is not made", slot_id)

    async def _make(self, bundle: Bundle, slot_id: str) -> None:
        pool = self.pool
        seconds = MAKE_SECONDS - (pool.now() - bundle.made_at).total_seconds()
        part = self._folder / f"{bundle.id}{PART}"
        try:
            async with asyncio.timeout(seconds), self._room:
                made = await self._fetch(bundle, slot_id, part)
                if made is not None:
                    await asyncio.to_thread(self._stored.put, bundle.id, part)
        except BundleFailed as error:
            await self._fail(bundle, error.code, str(error))
        except TimeoutError:
            await self._fail(bundle, "timed_out", f"after {MAKE_SECONDS:.0f} s")
        except StoreRefused as error:
            await self._fail(bundle, "store", str(error))
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            await self._fail(bundle, "disk_full" if is_full else "store", str(error))
        else:
            await self._finish(bundle, made)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    @property
    def _stored(self) -> Store:
        if self._store is None:
            raise BundleFailed("store", "it is not set up")
        return self._store

    async def _finish(self, bundle: Bundle, made: Made | None) -> None:
        ledger = self.pool.ledger
        if made is None:
            await ledger.awrite(bundles.drop, bundle.id)
            return
        log.info("%d files of instance %s are kept until %s", made.files, bundle.instance_id, bundle.expires_at)
        await ledger.awrite(
            bundles.finish,
            bundle.id,
            state=BundleState.KEPT,
            store=self._stored.kind,
            bytes=made.bytes,
            files=made.files,
            detail=made.detail,
        )

    async def _fail(self, bundle: Bundle, code: str, why: str) -> None:
        log.warning("no files of instance %s are kept: %s", bundle.instance_id, why)
        detail = json.dumps({"code": code})
        await self.pool.ledger.awrite(bundles.finish, bundle.id, state=BundleState.FAILED, detail=detail)

    async def _fetch(self, bundle: Bundle, slot_id: str, part: Path) -> Made | None:
        """Write the encrypted bundle to a file. None where nothing has changed. Raises `BundleFailed`."""
        if self._stored.kind == FOLDER and await asyncio.to_thread(_free_bytes, self._folder) < LEAST_FREE:
            raise BundleFailed("disk_full", "the disk of the state folder is nearly full")
        try:
            status = await self.pool.backend.find(slot_id)
        except BackendUnavailable as error:
            raise BundleFailed("unreachable", str(error)) from error
        if status is None or status.url is None or status.phase is Phase.DEAD:
            raise BundleFailed("gone")
        limit = int(self.pool.catalog.keep.limit)
        headers = {HEADER: report_key(slot_key(self.pool.master_key, slot_id)).hex()}
        timeout = aiohttp.ClientTimeout(total=MAKE_SECONDS)
        try:
            async with self.pool.session.post(
                status.url + BUNDLE, json={"limit": limit}, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise BundleFailed("refused", f"HTTP {answer.status}")
                made = read_summary(answer.headers.get(BUNDLE_HEADER, ""), limit)
                if not made.files and not made.left_out_count:
                    return None
                if not made.files:
                    raise BundleFailed("too_large")
                await _write(answer.content.iter_chunked(PIECE), part, bytes.fromhex(bundle.key), limit + OVERHEAD)
                return made
        except aiohttp.ClientError as error:
            raise BundleFailed("gone", type(error).__name__) from error

    async def rest(self) -> None:
        """Stop making bundles: their intents are in the ledger, and the next steward goes on with them."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_due(self) -> bool:
        """Whether it is time for `clean_up`."""
        return self._cleaned_at is None or self.pool.now() - self._cleaned_at >= CLEAN_EVERY

    async def clean_up(self) -> None:
        """Delete bundles whose time is over, bytes without a row, and what a killed steward has left half written."""
        pool, now = self.pool, self.pool.now()
        self._cleaned_at = now
        await pool.ledger.awrite(bundles.remove_expired, now=now)
        for bundle in await pool.ledger.aread(bundles.making):
            if (now - bundle.made_at).total_seconds() > 2 * MAKE_SECONDS:
                await self._fail(bundle, "timed_out", "its steward has ended")
        try:
            await asyncio.to_thread(_remove_parts, self._folder, now.timestamp() - 2 * MAKE_SECONDS)
            if self._store is None:
                return
            names = await asyncio.to_thread(self._store.names)  # before the rows: a row is written before its bytes
            for name in await pool.ledger.aread(bundles.without_row, names):
                await asyncio.to_thread(self._store.delete, name)
        except (OSError, StoreRefused) as error:
            log.warning("kept files whose time is over are not deleted yet: %s", error)


def read_summary(text: str, limit: int) -> Made:
    """What the instance says about its bundle. Raises `BundleFailed` where that is not valid: its user may have
    replaced the server."""
    try:
        fields = json.loads(text)
        names = tuple(str(name)[:200] for name in fields["left_out"][:20])
        made = Made(int(fields["files"]), int(fields["bytes"]), names, int(fields["left_out_count"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise BundleFailed("refused", "its summary is not valid") from error
    counts = made.files, made.left_out_count
    if min(*counts, made.bytes) < 0 or made.bytes > limit or max(counts) > MOST_FILES:
        raise BundleFailed("refused", "its summary is not valid")
    return made


async def _write(pieces: AsyncIterator[bytes], part: Path, key: bytes, at_most: int) -> None:
    """Encrypt into a new file with mode 0600. Raises `BundleFailed` for more than `at_most` bytes."""
    encryptor, total = Encryptor(key), 0
    with await asyncio.to_thread(_open_new, part) as sink:
        async for piece in pieces:
            total += len(piece)
            if total > at_most:
                raise BundleFailed("refused", "it is larger than was said")
            await asyncio.to_thread(_append, sink, encryptor.update(piece))
        await asyncio.to_thread(_append, sink, encryptor.end())


def _free_bytes(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


def _open_new(part: Path) -> BinaryIO:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _append(sink: BinaryIO, data: bytes) -> None:
    sink.write(data)


def _remove_parts(folder: Path, before: float) -> None:
    for path in folder.glob(f"*{PART}"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _bundle_of_slot(connection: Connection, slot_id: str) -> Bundle | None:
    slot = slots.find(connection, slot_id)
    bundle = None if slot is None or slot.holder_id is None else bundles.of_instance(connection, slot.holder_id)
    if bundle is None or instances.get(connection, bundle.instance_id).slot_id != slot_id:
        return None  # an earlier try of its start
    return bundle
