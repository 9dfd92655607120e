"""Looks every few minutes at what instances use, writes notes for administrators, and takes the steps they have set.

A look is one answer of the backend, one read of the ledger, and a question to JupyterHub for each instance that is
busy for hours: few, whatever the number of instances. What was sampled is kept in memory, so a new steward begins
anew, in favour of the users.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.errors import FreepoolError
from spawner.guard_settings import GuardSettings
from spawner.hub_client import HubClient
from spawner.hub_settings import MAIN_HUB
from spawner.ledger import EndReason, Instance, InstanceState
from spawner.ledger.people import people
from spawner.ledger.pool import guard_notes, instances
from spawner.ledger.pool.rows import GuardLook, GuardNote
from spawner.pool.backends.base import SlotUse, Usage
from spawner.pool.backends.local import traffic
from spawner.pool.pool import Pool
from spawner.settings import Settings
from spawner.steward import guard_rules
from spawner.steward.guard_known import PORTS
from spawner.steward.guard_rules import Finding, Sample
from spawner.steward.readings import Readings

log = logging.getLogger("freepool.steward")


class Guard:
    """The guard of one steward."""

    def __init__(
        self,
        pool: Pool,
        rules: GuardSettings,
        *,
        hub: HubClient,
        hub_token: str,
        readings: Readings | None = None,
        hub_name: str = MAIN_HUB,
    ) -> None:
        self._hub_name = hub_name
        self.pool = pool
        self._readings = readings or Readings(pool)
        self.rules = rules
        self._hub = hub
        self._hub_token = hub_token
        self._looked_at: datetime | None = None
        self._before: dict[str, tuple[datetime, SlotUse]] = {}
        self._samples: dict[str, list[Sample]] = {}
        self._ports = PORTS | frozenset(rules.ports)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look."""
        pause = timedelta(minutes=self.rules.every_minutes)
        return self.rules.note and (self._looked_at is None or self.pool.now() - self._looked_at >= pause)

    async def look(self) -> None:
        """One look at all instances of this hub's people that run: only their hub knows when they were last used."""
        pool, now = self.pool, self.pool.now()
        self._looked_at = now
        running = await pool.ledger.aread(_running, self._hub_name)
        slot_ids = [str(one.slot_id) for one in running]
        at, usage = await self._readings.read("guard", slot_ids, ports=self._ports)
        earlier = await pool.ledger.aread(guard_notes.of_instances, [one.id for one in running])
        self._take(running, usage, at, slowed={one.instance_id for one in earlier if one.slowed_at})
        notes = [
            await pool.ledger.awrite(guard_notes.put, self._note(one, finding, now))
            for one in running
            for finding in await self._findings(one, now)
        ]
        await pool.ledger.awrite(guard_notes.note_look, _look_of(usage, len(running), now))
        await self._take_steps(running, [*earlier, *notes], now)

    def _take(self, running: Sequence[Instance], usage: Usage, now: datetime, *, slowed: Collection[str]) -> None:
        """Add a sample for each instance, and forget those that are gone. A slowed one is measured by what it has."""
        cpus = {flavor.id: flavor.cpu for flavor in self.pool.catalog.flavors}
        samples: dict[str, list[Sample]] = {}
        before: dict[str, tuple[datetime, SlotUse]] = {}
        for one in running:
            use = usage.slots.get(one.slot_id or "")
            if use is None:
                continue
            cpu = cpus.get(one.flavor, 1.0) * (self.rules.slower_share if one.id in slowed else 1)
            new = guard_rules.sample(use, now, cpu=cpu, before=self._before.get(one.id))
            samples[one.id] = guard_rules.keep(self._samples.get(one.id, []), new, self.rules)
            before[one.id] = (now, use)
        self._samples, self._before = samples, before

    async def _findings(self, one: Instance, now: datetime) -> list[Finding]:
        samples = self._samples.get(one.id, [])
        found = guard_rules.seen_inside(samples, self.rules)
        busy = guard_rules.busy(samples, self.rules)
        if busy is not None and guard_rules.is_away(await self._last_activity(one), now, self.rules):
            found.append(busy)
        return found

    async def _last_activity(self, one: Instance) -> datetime | None:
        """When JupyterHub last saw the server used. None where it does not say."""
        name = (await self.pool.ledger.aread(people.names, [one.person_id])).get(one.person_id, one.user_name)
        try:
            return await self._hub.last_activity(name, self._hub_token, server_name=one.server_name)
        except FreepoolError as error:
            log.info("the guard does not know whether %s is used: %s", one.id, error)
            return None

    def _note(self, one: Instance, finding: Finding, now: datetime) -> GuardNote:
        return GuardNote(
            id=self.pool.new_id(),
            person_id=one.person_id,
            instance_id=one.id,
            kind=finding.kind,
            evidence=finding.evidence,
            since=finding.since,
            noted_at=now,
            seen_at=now,
        )

    async def _take_steps(self, running: Sequence[Instance], notes: Sequence[GuardNote], now: datetime) -> None:
        """`notes` may have a note twice: the later one is as it is now."""
        pool = self.pool
        slot_of = {one.id: str(one.slot_id) for one in running}
        steps = guard_rules.steps(list({note.id: note for note in notes}.values()), now, self.rules)
        for note in steps.slower:
            if await pool.backend.slow(slot_of[note.instance_id], self.rules.slower_share):
                log.info("instance %s gets less processor: %s %s", note.instance_id, note.kind, note.evidence)
                await pool.ledger.awrite(guard_notes.mark_slowed, note.id, now)
        for note in steps.faster:
            if await pool.backend.slow(slot_of[note.instance_id], 1):
                await pool.ledger.awrite(guard_notes.mark_slowed, note.id, None)
        for note in steps.stop:
            log.info("instance %s ends: %s %s", note.instance_id, note.kind, note.evidence)
            await pool.ledger.awrite(guard_notes.mark_stopped, note.id, now)
            await pool.end_soon(note.instance_id, EndReason.GUARD)


def _running(connection: Connection, hub: str) -> list[Instance]:
    found = [
        one for one in instances.unended(connection) if one.state is InstanceState.RUNNING and one.slot_id is not None
    ]
    on_others = people.on_other_hubs(connection, [one.person_id for one in found], hub)
    return [one for one in found if one.person_id not in on_others]


def _look_of(usage: Usage, count: int, now: datetime) -> GuardLook:
    sight = {
        "unseen": usage.unseen.value if usage.unseen else None,
        "inside": usage.sees_inside,
        "slows": usage.can_slow,
    }
    return GuardLook(at=now, instances=count, sight=sight)


def prune_traffic(settings: Settings) -> None:
    """Delete logs of connections whose time is over, and the oldest where they are too large together."""
    folder = settings.traffic_dir
    if not folder.is_dir():
        return
    before = time.time() - settings.network.log_days * 86400
    early = traffic.prune(folder, before=before, most_bytes=int(settings.network.log_megabytes * 1e6))
    if early:
        log.warning(
            "the logs of connections of %d slots are deleted before their time: raise network.log_megabytes", len(early)
        )
