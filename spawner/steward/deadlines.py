"""Carries out what is due for the ends of running instances: notices, later ends, and grace.

`spawner.pool.time.deadlines` decides. What it says about ends, `reconcile` carries out with all other ends.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from spawner.aio import KeyedTaskSet
from spawner.errors import LostRace
from spawner.ledger import Instance, InstanceState, Ticket, TicketState
from spawner.ledger.pool import instances
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import SessionNotice
from spawner.pool.pool import Pool
from spawner.pool.time.deadlines import DueNotice, Run, decide, is_near
from spawner.pool.time.extensions import Extensions
from spawner.pool.time.metered import Metered
from spawner.pool.time.notices import OF_AN_END
from spawner.steward.notice_messages import tell_notice

log = logging.getLogger("freepool.steward")
Ask = Callable[[Instance], Awaitable[bool | None]]
Tell = Callable[[Connection, SessionNotice], None]
"""Sends a notice to its person's own channel, in the transaction that writes it."""


class DeadlineKeeper:
    """Keeps the ends of one pool's instances. `tasks` run the requests to instances.

    `ask`: whether a kernel of an instance runs a cell; None where it does not say. The user controls the instance, so
    this may be a lie: nothing but a few minutes may depend on it. `tell`: see `Tell`.
    """

    def __init__(self, pool: Pool, tasks: KeyedTaskSet, *, ask: Ask, tell: Tell = tell_notice) -> None:
        self._pool = pool
        self._tasks = tasks
        self._ask_instance = ask
        self._tell = tell
        self._rules = Extensions(pool.catalog, pool.people, Metered(pool.catalog, pool.new_id), pool.now, pool.new_id)
        self._busy: dict[str, bool | None] = {}

    async def round(
        self, running: Iterable[Instance], tickets: Iterable[Ticket], closes_at: datetime | None
    ) -> set[str]:
        """One round. Returns the ids of instances that end at their deadline now."""
        pool, rules = self._pool, self._pool.catalog.sessions
        near = {one.id: one for one in running if is_near(one, rules, now=pool.now(), closes_at=closes_at)}
        self._busy = {instance_id: answer for instance_id, answer in self._busy.items() if instance_id in near}
        if not near:
            return set()
        runs = await pool.ledger.aread(read_runs, near.values())
        due = decide(
            runs,
            rules,
            now=pool.now(),
            closes_at=closes_at,
            wanted=self._wanted(near.values(), tickets),
            busy=self._busy,
        )
        for one in due.notices:
            with contextlib.suppress(LostRace):  # it was extended, or has ended
                await pool.ledger.awrite(self._write, one)
        for grace in due.graces:
            with contextlib.suppress(LostRace):
                await pool.ledger.awrite(self._give_grace, grace.instance)
        for instance in due.ask:
            self._tasks.begin(f"busy:{instance.id}", partial(self._ask, instance))
        return due.may_end

    def _wanted(self, near: Iterable[Instance], tickets: Iterable[Ticket]) -> set[str]:
        """The flavors of these instances that somebody waits for."""
        waiting = {one.flavor for one in tickets if one.state is TicketState.WAITING}
        return {one.flavor for one in near if waiting & self._rules.metering.rivals(one.flavor)}

    def _write(self, connection: Connection, due: DueNotice) -> None:
        pool, now, instance = self._pool, self._pool.now(), due.instance
        assert instance.ends_at is not None
        if due.moves_end:
            log.info("instance %s ends later, at %s: its user was not told in time", instance.id, due.due_at)
            instances.move_end(connection, instance.id, expected=instance.ends_at, ends_at=due.due_at)
        else:
            current = instances.get(connection, instance.id)
            if (current.state, current.ends_at) != (InstanceState.RUNNING, instance.ends_at):
                raise LostRace("The end of {instance} has changed.", instance=instance.id)
        notice = SessionNotice(
            id=pool.new_id(),
            instance_id=instance.id,
            person_id=instance.person_id,
            kind=due.kind,
            mark=due.mark,
            due_at=due.due_at,
            written_at=now,
            params=dict(due.params),
        )
        if notices.write(connection, notice):
            self._tell(connection, notice)

    def _give_grace(self, connection: Connection, instance: Instance) -> None:
        assert instance.ends_at is not None
        notice = self._rules.give_grace(connection, instance.id, expected=instance.ends_at)
        if notice is None:  # somebody waits now: it ends in the next round
            self._busy[instance.id] = False
        else:
            self._tell(connection, notice)

    async def _ask(self, instance: Instance) -> None:
        self._busy[instance.id] = await self._ask_instance(instance)


def read_runs(connection: Connection, near: Iterable[Instance]) -> list[Run]:
    """The instances with their notices and extensions."""
    near = list(near)
    ids = [one.id for one in near]
    said, moved = notices.of_instances(connection, ids, OF_AN_END), extensions.of_instances(connection, ids)
    return [Run(one, tuple(said.get(one.id, ())), tuple(moved.get(one.id, ()))) for one in near]
