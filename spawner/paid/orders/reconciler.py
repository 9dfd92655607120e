"""The steward's loop for paid instances: starts the due actions of orders and the due discovery of accounts.

In memory it keeps the times of discoveries since it started and the tasks under way, which may be lost at any time.
All other state is in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from spawner.errors import FreepoolError, LostRace
from spawner.ledger import leases
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import Binding, Order
from spawner.paid.orders.discovery import discover, is_lost, lose_access, regain_access
from spawner.paid.orders.executor import execute
from spawner.paid.paid import Paid
from spawner.paid.providers.base import AuthLost, ProviderError, Throttled

log = logging.getLogger("freepool.paid")
LEASE = "paid"
MAX_DISCOVERIES = 8
"""Concurrent discoveries. They are slow, so they do not share the limit of the orders' actions."""
EXPIRE_EVERY = timedelta(minutes=1)

AccountRegion = tuple[str, str]
"""Binding id and region."""
K = TypeVar("K", str, AccountRegion)
NEVER = datetime.min.replace(tzinfo=UTC)


class Reconciler:
    """Reconciles paid orders with the cloud. One process (`holder`) at a time works, by a lease.

    `at_once`: maximum number of orders worked on concurrently.
    """

    def __init__(self, paid: Paid, *, holder: str, at_once: int = 16) -> None:
        self.paid = paid
        self.holder = holder
        self.at_once = at_once
        self._discovered_at: dict[AccountRegion, datetime] = {}
        self._retry_at: dict[AccountRegion, datetime] = {}
        self._failures: dict[AccountRegion, int] = {}
        self._held_until: datetime | None = None
        self._since = paid.now()
        self._expired_at: datetime | None = None
        self._idle: dict[str, tuple[str, datetime]] = {}  # by order id: binding id, end of the pause
        self._ticked_at: datetime | None = None
        self._order_tasks: dict[str, asyncio.Task[None]] = {}
        self._discovery_tasks: dict[AccountRegion, asyncio.Task[None]] = {}
        self._left_out: set[tuple[str, str]] = set()

    async def tick(self, *, patience: float | None = None) -> bool:
        """Start the due tasks and wait at most `patience` seconds for them. False while another process has the lease.

        May be cancelled at any point. Tasks that take longer go on and are not started twice; `rest` cancels them.
        """
        if not await self._hold_lease():
            return False
        now = self._current_time()
        self._idle = {order_id: idle for order_id, idle in self._idle.items() if idle[1] > now}
        room = max(0, self.at_once - len(self._order_tasks))
        excluded = {*self._order_tasks, *self._idle}
        due, linked, busy = await self.paid.ledger.aread(
            _due, now=now, at_most=room, excluded=excluded, watch_for=self.paid.rules.watch_for
        )
        known = {binding.id: binding for binding in linked}
        for order in due:
            self._start_task(self._order_tasks, order.id, partial(self._execute, order, known.get(order.binding_id)))
        room = max(0, MAX_DISCOVERIES - len(self._discovery_tasks))
        for binding, region in self._due_for_discovery(linked, busy, now)[:room]:
            self._start_task(self._discovery_tasks, (binding.id, region), partial(self._discover, binding, region))
        await self._expire(now)
        under_way = [*self._order_tasks.values(), *self._discovery_tasks.values()]
        if under_way:
            await asyncio.wait(under_way, timeout=patience)
        return True

    def _current_time(self) -> datetime:
        """Now. If the clock was set back, forget all times kept in memory: they lie too far ahead."""
        now = self.paid.now()
        if self._ticked_at is not None and now < self._ticked_at:
            self._discovered_at.clear()
            self._retry_at.clear()
            self._idle.clear()
            self._expired_at = None
        self._ticked_at = now
        return now

    async def _execute(self, order: Order, binding: Binding | None) -> None:
        may_create = binding is not None and self.has_discovered(binding)
        if await execute(self.paid, order, has_discovered=may_create, since=self._since):
            return
        if binding is None or self.has_discovered(binding) == may_create:
            # It waits for discovery or its cloud: skip it for a while, so that other orders get its place.
            self._idle[order.id] = order.binding_id, self.paid.now() + timedelta(seconds=self.paid.rules.poll)

    async def rest(self) -> None:
        """Cancel all tasks. The ledger holds their state; the next process continues."""
        tasks = [*self._order_tasks.values(), *self._discovery_tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def has_discovered(self, binding: Binding) -> bool:
        """Whether every region of the account was discovered since this process started."""
        return all((binding.id, region) in self._discovered_at for region in self.paid.regions_of(binding))

    async def _hold_lease(self) -> bool:
        now, duration = self.paid.now(), self.paid.rules.lease
        if self._held_until is not None and now + duration * 5 / 6 < self._held_until <= now + duration:
            return True  # it was renewed a moment ago
        if not await self.paid.ledger.awrite(leases.hold, LEASE, holder=self.holder, now=now, duration=duration):
            self._held_until = None
            return False
        if self._held_until is None or now > self._held_until:
            # Another process may have worked meanwhile, or the ledger may have been restored from a backup.
            self._since = now
            self._discovered_at.clear()
            self._retry_at.clear()
        # After the clock was set back, new consents must not count as older than this process.
        self._since = min(self._since, now)
        self._held_until = now + duration
        return True

    def _due_for_discovery(self, linked: list[Binding], busy: set[str], now: datetime) -> list[tuple[Binding, str]]:
        """Account regions due for discovery: first those never discovered by this process, then the longest due."""
        due = [
            (self._due_at((binding.id, region), binding.id in busy or is_lost(binding)), binding.id, region, binding)
            for binding in linked
            if binding.provider in self.paid.providers
            for region in self._regions_of(binding)
            if (binding.id, region) not in self._discovery_tasks
        ]
        return [(binding, region) for at, _, region, binding in sorted(due, key=lambda row: row[:3]) if at <= now]

    def _regions_of(self, binding: Binding) -> list[str]:
        for region in sorted(self.paid.left_out(binding)):
            if (binding.provider, region) not in self._left_out:
                self._left_out.add((binding.provider, region))
                log.error(
                    "accounts of %s are linked for the region %s, which the settings do not name any more: "
                    "Freepool neither discovers nor stops instances there",
                    binding.provider,
                    region,
                )
        return self.paid.regions_of(binding)

    def _due_at(self, place: AccountRegion, is_busy: bool) -> datetime:
        rules = self.paid.rules
        discovered_at = self._discovered_at.get(place)
        pause = timedelta(seconds=rules.discovery_interval if is_busy else rules.idle_discovery_interval)
        return max(NEVER if discovered_at is None else discovered_at + pause, self._retry_at.get(place, NEVER))

    async def _discover(self, binding: Binding, region: str) -> None:
        rules, place = self.paid.rules, (binding.id, region)
        failures = self._failures.get(place, 0)
        # Set before the call, so that a cancelled or failed discovery is not retried in every tick.
        self._retry_at[place] = self.paid.now() + timedelta(seconds=rules.pause(failures + 1, self.paid.dice()))
        try:
            await discover(self.paid, binding, region)
        except ProviderError as error:
            # A failed listing says nothing about the account's instances.
            self._failures[place] = failures + 1
            if isinstance(error, Throttled) and error.after is not None:
                pause = max(rules.pause(failures + 1, self.paid.dice()), min(error.after, rules.longest_pause))
                self._retry_at[place] = self.paid.now() + timedelta(seconds=pause)
            log.warning("the account of binding %s could not be listed: %s", binding.id, error.message)
            if isinstance(error, AuthLost):
                await self.paid.ledger.awrite(lose_access, binding.id, now=self.paid.now())
            return
        self._failures.pop(place, None)
        self._discovered_at[place] = self.paid.now()
        self._idle = {order_id: idle for order_id, idle in self._idle.items() if idle[0] != binding.id}
        if is_lost(binding):
            regions = self.paid.regions_of(binding)
            discovered = (self._discovered_at.get((binding.id, each), NEVER) for each in regions)
            seen_at = min(discovered, default=NEVER)
            await self.paid.ledger.awrite(regain_access, binding.id, seen_at=seen_at)

    async def _expire(self, now: datetime) -> None:
        if self._expired_at is None or now - self._expired_at >= EXPIRE_EVERY:
            self._expired_at = now
            await self.paid.ledger.awrite(consents.expire, now=now)

    def _start_task(
        self, tasks: dict[K, asyncio.Task[None]], key: K, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        if key not in tasks:
            subject = f"order {key}" if isinstance(key, str) else f"discovery {' '.join(key)}"
            tasks[key] = asyncio.create_task(_guarded(subject, work), name=f"freepool-{subject}")
            tasks[key].add_done_callback(lambda _: tasks.pop(key, None))


async def _guarded(subject: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except LostRace as error:
        log.info("%s: %s", subject, error.message)  # another process changed the row first
    except FreepoolError as error:
        log.warning("%s failed and is retried: %s", subject, error.message)
    except Exception:
        log.exception("%s failed unexpectedly and is retried", subject)


def _due(
    connection: Connection, *, now: datetime, at_most: int, excluded: Collection[str], watch_for: timedelta
) -> tuple[list[Order], list[Binding], set[str]]:
    """Due orders, all linked bindings, and the ids of those that may have instances, lately closed orders included."""
    due = orders.due(connection, now=now, at_most=at_most, but=excluded)
    return due, bindings.linked(connection), orders.watched_bindings(connection, since=now - watch_for)
