"""Asking the provider again about users who are logged in: never at their cost.

JupyterHub asks every few minutes, in the middle of a user's request, and fails the request where asking fails. Here a
request waits for at most a second; an answer that comes later counts at the next time. A provider that has failed is
not asked at all for a while; one account that it refuses is no failure of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from spawner.hub.login.http import ProviderFailed

PATIENCE = 1.0
PAUSE = 30.0
T = TypeVar("T")


class Refresher(Generic[T]):
    """One question at a time for each user."""

    def __init__(
        self,
        note_failure: Callable[[BaseException], None],
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note_failure = note_failure
        self._patience = patience
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[T | None]] = {}
        self._ask_again_at = 0.0

    def resume(self) -> None:
        """The provider has just answered somebody."""
        self._ask_again_at = 0.0

    async def ask(self, user: str, question: Callable[[], Awaitable[T | None]]) -> T | None:
        """The answer to `question`; None where there is none in time, and where the provider fails."""
        task = self._tasks.get(user)
        if task is None:
            if self._clock() < self._ask_again_at:
                return None
            task = self._tasks[user] = asyncio.create_task(self._run(question), name=f"login-refresh-{user}")
        done, _ = await asyncio.wait([task], timeout=self._patience)
        if not done:
            return None
        if self._tasks.get(user) is task:  # several requests of the user may have waited
            del self._tasks[user]
        return task.result()

    async def _run(self, question: Callable[[], Awaitable[T | None]]) -> T | None:
        try:
            answer = await question()
        except ProviderFailed as error:
            failure: BaseException = error
        except Exception as error:  # rubbish can make anything fail
            failure = error
        else:
            self._ask_again_at = 0.0
            return answer
        if self._clock() >= self._ask_again_at:
            self._note_failure(failure)
        if not (isinstance(failure, ProviderFailed) and failure.is_refusal):
            self._ask_again_at = self._clock() + PAUSE
        return None
