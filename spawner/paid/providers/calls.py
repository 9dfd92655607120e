"""Call blocking SDKs from an event loop: thread pools, and short sessions of users' roles, kept in memory only."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from spawner.paid.providers.base import Account, Unavailable
from spawner.paid.providers.messages import say

SESSION_SECONDS = 3600
"""The default maximum session duration of a role."""
REFRESH_SECONDS = 300
"""A session that ends sooner than this is replaced before it is used."""
BULK_THREADS = 8
MAX_SESSIONS = 4096
"""Beyond this the least recently used session is dropped."""


class Use(StrEnum):
    """Purpose of a session. Each has its own session policy; none has all rights of the role."""

    READ = "read"
    ACT = "act"
    OPEN = "open"
    EXCESS = "excess"


class Expired(Exception):
    """The cloud reports that the session has expired. `Calls` retries once with a new one; callers never see this."""


class Session(Protocol):
    """Result of AssumeRole."""

    @property
    def until(self) -> float:
        """Expiry, as a value of `time.monotonic()`."""
        ...


S = TypeVar("S", bound=Session)
T = TypeVar("T")
Key = tuple[str, ...]


class Calls(Generic[S]):
    """Runs calls in sessions. Mutating calls have their own thread pool, so that reads do not delay a stop, and so do
    listings of whole accounts (`in_bulk`), which are slow.

    `ask` requests a session that ends at a given time; it blocks. Cancelling a caller does not undo a call that is
    under way.
    """

    def __init__(
        self,
        ask: Callable[[Account, Use, float], S],
        *,
        name: str,
        readers: int,
        actors: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._monotonic = ask, monotonic
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{name}-read")
        self._actors = ThreadPoolExecutor(actors, thread_name_prefix=f"{name}-act")
        self._bulk = ThreadPoolExecutor(BULK_THREADS, thread_name_prefix=f"{name}-bulk")
        self._kept: OrderedDict[Key, S] = OrderedDict()
        self._locks: dict[Key, asyncio.Lock] = {}

    async def run(self, account: Account, use: Use, act: Callable[[S], T], *, in_bulk: bool = False) -> T:
        """Run `act` in a thread. If the session has expired it is run once more, in a new session, so it must contain
        at most one mutating call."""
        for _ in range(2):
            session = await self._session(account, use, in_bulk=in_bulk)
            try:
                return await self.thread(use, lambda session=session: act(session), in_bulk=in_bulk)  # type: ignore[misc]
            except Expired:
                self._forget(session)
        raise say(Unavailable, code="SessionExpired")

    async def thread(self, use: Use, act: Callable[[], T], *, in_bulk: bool = False) -> T:
        """Run `act` in a thread of the pool for `use`."""
        threads = self._actors if use is Use.ACT else self._bulk if in_bulk else self._readers
        return await asyncio.get_running_loop().run_in_executor(threads, act)

    async def close(self) -> None:
        """Cancel queued calls, wait for running ones, and end the threads."""
        for threads in (self._readers, self._actors, self._bulk):
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    async def _session(self, account: Account, use: Use, *, in_bulk: bool) -> S:
        key = (account.account_id, account.region, account.role, account.external_id, use.value)
        # One request per key at a time: later callers use the session of the first.
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or kept.until - self._monotonic() < REFRESH_SECONDS:
                until = self._monotonic() + SESSION_SECONDS
                kept = await self.thread(use, lambda: self._ask(account, use, until), in_bulk=in_bulk)
                self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_SESSIONS:
                oldest, _ = self._kept.popitem(last=False)
                self._locks.pop(oldest, None)
            return kept

    def _forget(self, session: S) -> None:
        for key in [key for key, kept in self._kept.items() if kept is session]:
            del self._kept[key]
