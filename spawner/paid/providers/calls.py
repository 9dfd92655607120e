"""Blocking SDKs from an event loop: bounded threads, and short sessions of people's roles, kept in memory only."""

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
"""The longest that a role allows unless its owner says otherwise."""
REFRESH_SECONDS = 300
"""A session with less than this left is replaced before it is used."""
BULK_THREADS = 8
MAX_SESSIONS = 4096
"""The one that was not used for longest goes first."""


class Use(StrEnum):
    """What a session is for: each has a policy of its own, and none has all of a role's rights."""

    READ = "read"
    ACT = "act"
    OPEN = "open"
    EXCESS = "excess"


class Expired(Exception):
    """The cloud says that the session has ended: it is asked for anew, once. Never leaves a provider."""


class Session(Protocol):
    """What AssumeRole gave. `until`: when it ends, on this machine's own steady clock."""

    @property
    def until(self) -> float:
        """Seconds of that clock."""
        ...


S = TypeVar("S", bound=Session)
T = TypeVar("T")
Key = tuple[str, ...]


class Calls(Generic[S]):
    """Runs calls in sessions. Those that change something have threads of their own: reading never holds up a stop.
    So have looks through whole accounts (`in_bulk`), which nobody waits for.

    `ask` asks the cloud for a session that ends at a time; it blocks. Cancelling whoever waits does not undo a call
    that is under way.
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
        self._bulk = ThreadPoolExecutor(BULK_THREADS, thread_name_prefix=f"{name}-sweep")
        self._kept: OrderedDict[Key, S] = OrderedDict()
        self._locks: dict[Key, asyncio.Lock] = {}

    async def run(self, account: Account, use: Use, act: Callable[[S], T], *, in_bulk: bool = False) -> T:
        """What `act` returns, in a thread. If the session has ended, once more in a new one: so `act` changes only
        one thing, if any."""
        for _ in range(2):
            session = await self._session(account, use, in_bulk=in_bulk)
            try:
                return await self.thread(use, lambda session=session: act(session), in_bulk=in_bulk)  # type: ignore[misc]
            except Expired:
                self._forget(session)
        raise say(Unavailable, code="SessionExpired")

    async def thread(self, use: Use, act: Callable[[], T], *, in_bulk: bool = False) -> T:
        """What `act` returns, in a thread."""
        threads = self._actors if use is Use.ACT else self._bulk if in_bulk else self._readers
        return await asyncio.get_running_loop().run_in_executor(threads, act)

    async def close(self) -> None:
        """End the threads, once what they do is done."""
        for threads in (self._readers, self._actors, self._bulk):
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    async def _session(self, account: Account, use: Use, *, in_bulk: bool) -> S:
        key = (account.account_id, account.region, account.role, account.external_id, use.value)
        # One at a time: who comes second finds what the first one got.
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
