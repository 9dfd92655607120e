"""Looks every minute at how instances are used, writes that down, sends the notice of being idle, and stops.

One look is one answer of the backend, one read and one write of the ledger, and a question to those few instances whose
own report can change something. No instance is stopped without a notice that has stood for five minutes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import BackendUnavailable, BadOption, LostRace
from spawner.ledger import EndReason, Instance, InstanceState
from spawner.ledger.pool import instances
from spawner.ledger.time import notices, use
from spawner.ledger.time.rows import Answer, InstanceUse, NoticeKind, SessionNotice
from spawner.ledger.transitions import touch
from spawner.pool.backends.base import SlotUse
from spawner.pool.pool import Pool
from spawner.pool.time.idle.judge import Judgement, Look, judge, should_ask
from spawner.pool.time.idle.report import Report
from spawner.pool.time.idle.rules import Limits, Rules, limits_of
from spawner.pool.time.idle.state import State
from spawner.steward.notice_messages import tell_notice
from spawner.steward.readings import Readings

log = logging.getLogger("freepool.steward")
EVERY = timedelta(seconds=60)
CPU_OFFER_MARK = "cpu_offer"


class Asks(Protocol):
    """Asks instances how they are used."""

    async def ask(self, asked: Sequence[Instance]) -> Mapping[str, Report]:
        """The reports of those that answered in time, by instance."""
        ...


@dataclass(frozen=True)
class Seen:
    """What a look begins with."""

    running: list[Instance]
    states: dict[str, State]
    rows: dict[str, InstanceUse]
    notices: dict[str, list[SessionNotice]]


def read_seen(connection: Connection) -> Seen:
    """In one transaction."""
    running = [
        one for one in instances.unended(connection) if one.state is InstanceState.RUNNING and one.slot_id is not None
    ]
    ids = [one.id for one in running]
    rows = use.of_instances(connection, ids)
    found = {one: State.from_json(row.samples) for one, row in rows.items()}
    return Seen(
        running=running,
        states={one: state for one, state in found.items() if state is not None},
        rows=rows,
        notices=notices.of_instances(connection, ids, [NoticeKind.IDLE, NoticeKind.CPU_OFFER]),
    )


@dataclass(frozen=True)
class Outcome:
    """What follows from one instance's look. At most one of `notice`, `withdrawn` and `is_over` is set."""

    instance: Instance
    judgement: Judgement
    stops_at: datetime | None = None
    notice: SessionNotice | None = None
    withdrawn: str | None = None
    """The id of the notice that renewed use answers."""
    offer: SessionNotice | None = None
    is_over: bool = False


class IdleWatch:
    """The watch of one steward."""

    def __init__(
        self,
        pool: Pool,
        readings: Readings,
        asks: Asks,
        rules: Rules | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self._monotonic = monotonic
        self._read_at: float | None = None
        self.rules = rules or Rules()
        self._readings = readings
        self._asks = asks
        self._looked_at: datetime | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look. A clock that was set back is no reason to wait."""
        if self._looked_at is None:
            return True
        return not timedelta() <= self.pool.now() - self._looked_at < EVERY

    async def look(self) -> None:
        """One look at all instances that run."""
        pool = self.pool
        self._looked_at = pool.now()
        seen = await pool.ledger.aread(read_seen)
        if not seen.running:
            return
        at, slots = await self._slots(seen.running)
        before, self._read_at = self._read_at, self._monotonic()
        elapsed = None if before is None else self._read_at - before
        looks = {one.id: Look(at, slots.get(str(one.slot_id)), elapsed=elapsed) for one in seen.running}
        limits = _limits(pool.catalog, seen.running)
        judged = {
            one.id: judge(seen.states.get(one.id), looks[one.id], limits[one.flavor], self.rules)
            for one in seen.running
        }
        wanted = [one for one in seen.running if one.url and should_ask(judged[one.id], self.rules)]
        reports = await self._asks.ask(wanted)
        for one in wanted:
            look = replace(looks[one.id], report=reports.get(one.id))
            after = judge(seen.states.get(one.id), look, limits[one.flavor], self.rules)
            judged[one.id] = replace(after, state=replace(after.state, asked=0.0))
        outcomes = [
            decide(one, judged[one.id], seen.notices.get(one.id, ()), at, pool.new_id, self.rules)
            for one in seen.running
        ]
        signs = {one for one in judged if looks[one].use is not None or one in reports}

        def write(connection: Connection) -> list[str]:
            return write_down(connection, outcomes, seen.rows, signs, at, pool.intend_end_in)

        ended = await pool.ledger.awrite(write)
        for instance_id in ended:
            log.info("instance %s ends: nobody used it", instance_id)
            await pool.end_soon(instance_id, EndReason.IDLE)

    async def _slots(self, running: Sequence[Instance]) -> tuple[datetime, Mapping[str, SlotUse]]:
        """What the slots use. Without an answer nothing is known of any, which is not idle."""
        try:
            at, usage = await self._readings.read("idle", [str(one.slot_id) for one in running])
        except BackendUnavailable as error:
            log.info("how instances are used is not known now: %s", error)
            return self.pool.now(), {}
        return at, usage.slots


def _limits(catalog: Catalog, running: Sequence[Instance]) -> dict[str, Limits]:
    """By flavor. An instance whose flavor has left the catalog has no limit: nobody can say which it would be."""
    found: dict[str, Limits] = {}
    for name in {one.flavor for one in running}:
        found[name] = limits_of(None, has_gpu=False)
        with contextlib.suppress(BadOption):
            flavor = catalog.flavor(name)
            found[name] = limits_of(flavor.idle_rules, has_gpu=flavor.accelerator is not None)
    return found


def decide(
    instance: Instance,
    judgement: Judgement,
    sent: Sequence[SessionNotice],
    now: datetime,
    new_id: Callable[[], str],
    rules: Rules,
) -> Outcome:
    """What follows from a judgement. `sent` are the notices that were written of this instance's use, oldest first."""
    outcome = _about_idleness(
        instance, judgement, [one for one in sent if one.kind is NoticeKind.IDLE], now, new_id, rules
    )
    if not judgement.offers_cpu or any(one.kind is NoticeKind.CPU_OFFER for one in sent):
        return outcome
    params = {"minutes": round(rules.cpu_only * rules.bucket / 60), "flavor": instance.flavor}
    offer = _notice(instance, NoticeKind.CPU_OFFER, CPU_OFFER_MARK, now, now, params, new_id())
    return replace(outcome, offer=offer)


def _about_idleness(
    instance: Instance,
    judgement: Judgement,
    sent: Sequence[SessionNotice],
    now: datetime,
    new_id: Callable[[], str],
    rules: Rules,
) -> Outcome:
    last = sent[-1] if sent else None
    state = judgement.state
    if last is not None and last.answered_at is not None and state.prompted is not None:
        # An answer is use, whatever the samples say.
        return Outcome(instance, replace(judgement, state=state.used_now(), remaining=None))
    stands = last is not None and last.answered_at is None
    if stands and state.prompted is None:  # of a state that is lost: the five minutes begin anew
        state = replace(state, prompted=0.0)
        judgement = replace(judgement, state=state)
    if not judgement.is_known:
        # Nothing is sent, withdrawn or ended.
        return Outcome(instance, judgement, max(last.due_at, now) if last is not None and stands else None)
    remaining = judgement.remaining
    if last is not None and stands:
        if remaining is None or remaining > rules.prompt * 2:  # used again: the time without use has begun anew
            calmed = replace(judgement, state=replace(state, prompted=None))
            return Outcome(instance, calmed, judgement.stops_at, withdrawn=last.id)
        return _while_it_stands(instance, judgement, last, now, rules)
    if remaining is None or remaining > rules.prompt:
        return Outcome(instance, judgement, judgement.stops_at)
    due = now + timedelta(seconds=rules.prompt)
    number = max(state.notices, len(sent)) + 1
    params = {"minutes": round((state.quiet + rules.prompt) / 60), "activity": state.activity.value}
    notice = _notice(instance, NoticeKind.IDLE, f"idle-{number}", due, now, params, new_id())
    prompted = replace(judgement, state=replace(state, prompted=0.0, notices=number))
    return Outcome(instance, prompted, due, notice=notice)


def _notice(
    instance: Instance,
    kind: NoticeKind,
    mark: str,
    due: datetime,
    now: datetime,
    params: dict[str, Any],
    notice_id: str,
) -> SessionNotice:
    return SessionNotice(
        id=notice_id,
        instance_id=instance.id,
        person_id=instance.person_id,
        kind=kind,
        mark=mark,
        due_at=due,
        written_at=now,
        params=params,
    )


def _while_it_stands(
    instance: Instance, judgement: Judgement, last: SessionNotice, now: datetime, rules: Rules
) -> Outcome:
    left = judgement.remaining or 0.0
    stood = judgement.state.prompted or 0.0
    # Three conditions: the sum of seconds that were seen, which no clock step lengthens; the row, which another steward
    # may have written; and the time without use.
    known = judgement.state.known
    is_heard = known is None or known.age == 0 or known.age > rules.stale  # else there may be input since
    is_over = stood >= rules.prompt and now >= last.due_at and left <= 0 and is_heard
    stops_at = max(last.due_at, now + timedelta(seconds=max(0.0, rules.prompt - stood, left)))
    return Outcome(instance, judgement, stops_at, is_over=is_over)


def write_down(
    connection: Connection,
    outcomes: Sequence[Outcome],
    before: Mapping[str, InstanceUse],
    signs: set[str],
    now: datetime,
    end: Callable[[Connection, str, EndReason], None],
) -> list[str]:
    """Write a look. Returns the instances that are over: their notice is still unanswered in this very transaction."""
    rows, over, is_changed = [], [], False
    for one in outcomes:
        row = _row(one, before.get(one.instance.id), one.instance.id in signs, now)
        old = before.get(row.instance_id)
        is_changed |= old is None or (old.activity, old.stops_at is None) != (row.activity, row.stops_at is None)
        rows.append(row)
        if one.notice is not None and notices.write(connection, one.notice):
            tell_notice(connection, one.notice)
        if one.withdrawn is not None:
            notices.answer(connection, one.withdrawn, Answer.STILL_HERE, now)
        if one.offer is not None:
            notices.write(connection, one.offer)
        if one.is_over:
            over.append(one.instance.id)
    use.put(connection, rows)
    standing = notices.of_instances(connection, over, [NoticeKind.IDLE])
    over = [one for one in over if standing[one][-1].answered_at is None]
    for instance_id in over:
        with contextlib.suppress(LostRace):  # it is ending already, for another reason
            end(connection, instance_id, EndReason.IDLE)
    if is_changed:
        touch(connection)
    return over


def _row(one: Outcome, before: InstanceUse | None, is_seen: bool, now: datetime) -> InstanceUse:
    state = one.judgement.state
    seen_at = now if is_seen or before is None else before.seen_at
    since = now - timedelta(seconds=state.activity_seconds)
    return InstanceUse(one.instance.id, seen_at, state.activity, since, one.stops_at, state.to_json())
