"""The steward's part of the paid path: begins what is due, for orders and for whole accounts.

What is kept here may be lost at any moment: which accounts were looked through since we began, and what is under way.
Everything else is in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from spawner.errors import FreepoolError, LostRace
from spawner.ledger import bindings, consents, leases, orders
from spawner.ledger.paid_model import Binding, Order
from spawner.paid.fulfil import step
from spawner.paid.paid import Paid
from spawner.paid.providers.base import AuthLost, ProviderError
from spawner.paid.sweep import lose_access, sweep

log = logging.getLogger("freepool.paid")
LEASE = "paid"
EXPIRE_EVERY = timedelta(minutes=1)

Place = tuple[str, str]
"""A binding's id and a region."""


class Keeper:
    """Keeps every paid order's promises. `holder` names this process; one of them works at a time, by a lease.

    `at_once` bounds how many calls to clouds are under way.
    """

    def __init__(self, paid: Paid, *, holder: str, at_once: int = 16) -> None:
        self.paid = paid
        self.holder = holder
        self.at_once = at_once
        self._swept_at: dict[Place, datetime] = {}
        self._retry_at: dict[Place, datetime] = {}
        self._failures: dict[Place, int] = {}
        self._held_until: datetime | None = None
        self._since = paid.now()
        self._expired_at: datetime | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def tick(self, *, patience: float | None = None) -> bool:
        """Begin what is due and wait for it, `patience` seconds at most. False where another steward does this.

        May be cancelled at any point. What takes longer goes on, and is not begun twice; `rest` ends it.
        """
        if not await self._hold():
            return False
        now = self.paid.now()
        room = max(0, self.at_once - len(self._tasks))
        due, linked, alive = await self.paid.ledger.aread(_due, now=now, at_most=room)
        known = {binding.id: binding for binding in linked}
        for order in due:
            may_create = order.binding_id in known and self.has_swept(known[order.binding_id])
            self._begin(f"order {order.id}", partial(step, self.paid, order, has_swept=may_create, since=self._since))
        busy = {order.binding_id for order in alive}
        for binding, region in self._to_sweep(linked, busy, now)[: self.at_once]:
            self._begin(f"sweep {binding.id} {region}", partial(self._sweep, binding, region))
        await self._expire(now)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=patience)
        return True

    async def rest(self) -> None:
        """End what is under way. It is in the ledger, and whoever comes next goes on with it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def has_swept(self, binding: Binding) -> bool:
        """Whether all that is in an account was looked at since we began, in every region."""
        return all((binding.id, region) in self._swept_at for region in self.paid.regions_of(binding))

    async def _hold(self) -> bool:
        now, duration = self.paid.now(), self.paid.rules.lease
        if not await self.paid.ledger.awrite(leases.hold, LEASE, holder=self.holder, now=now, duration=duration):
            self._held_until = None
            return False
        if self._held_until is None or now > self._held_until:
            # Somebody else may have acted meanwhile, or the ledger may have come back from a backup.
            self._since = now
            self._swept_at.clear()
            self._retry_at.clear()
        self._since = min(self._since, now)  # where the clock was set back, nobody who agrees now did so long ago
        self._held_until = now + duration
        return True

    def _to_sweep(self, linked: list[Binding], busy: set[str], now: datetime) -> list[tuple[Binding, str]]:
        """Where to look: first where we never did since we began, then where it is longest due."""
        due = [
            (self._due_at((binding.id, region), binding.id in busy, now), binding.id, region, binding)
            for binding in linked
            if binding.provider in self.paid.providers
            for region in self.paid.regions_of(binding)
        ]
        return [(binding, region) for at, _, region, binding in sorted(due, key=lambda one: one[:3]) if at <= now]

    def _due_at(self, place: Place, is_busy: bool, now: datetime) -> datetime:
        rules, never = self.paid.rules, datetime.min.replace(tzinfo=now.tzinfo)
        swept_at = self._swept_at.get(place)
        pause = timedelta(seconds=rules.sweep if is_busy else rules.sweep_seldom)
        return max(never if swept_at is None else swept_at + pause, self._retry_at.get(place, never))

    async def _sweep(self, binding: Binding, region: str) -> None:
        rules, place = self.paid.rules, (binding.id, region)
        failures = self._failures.get(place, 0)
        # Written before, so that what is cancelled or fails otherwise is not tried in every tick.
        self._retry_at[place] = self.paid.now() + timedelta(seconds=rules.pause(failures + 1, self.paid.dice()))
        try:
            await sweep(self.paid, binding, region)
        except ProviderError as error:
            # Nothing follows from it: what could not be listed is not known to be empty.
            self._failures[place] = failures + 1
            log.warning("the account of binding %s could not be looked through: %s", binding.id, error.message)
            if isinstance(error, AuthLost):
                await self.paid.ledger.awrite(lose_access, binding.id, now=self.paid.now())
            return
        self._failures.pop(place, None)
        self._swept_at[place] = self.paid.now()

    async def _expire(self, now: datetime) -> None:
        if self._expired_at is None or now - self._expired_at >= EXPIRE_EVERY:
            self._expired_at = now
            await self.paid.ledger.awrite(consents.expire, now=now)

    def _begin(self, subject: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if subject not in self._tasks:
            task = asyncio.create_task(_guarded(subject, work), name=f"freepool-{subject}")
            self._tasks[subject] = task
            task.add_done_callback(lambda _: self._tasks.pop(subject, None))


async def _guarded(subject: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except LostRace as error:
        log.info("%s: %s", subject, error.message)  # somebody else was first: the ledger has what is true now
    except FreepoolError as error:
        log.warning("%s failed, and is tried again: %s", subject, error.message)
    except Exception:
        log.exception("%s failed, which nobody foresaw, and is tried again", subject)


def _due(connection: Connection, *, now: datetime, at_most: int) -> tuple[list[Order], list[Binding], list[Order]]:
    return orders.due(connection, now=now, at_most=at_most), bindings.linked(connection), orders.alive(connection)
