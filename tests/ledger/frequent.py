"""The ledger's frequent queries of the pool, each as an action on a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.errors import NoHours
from spawner.hub.running import read_running
from spawner.ledger.pool import instances, page_marks, run_history, slots, tickets
from spawner.ledger.pool.rows import StartStep
from spawner.ledger.pool.run_history import Cursor
from spawner.ledger.time import allowance_use, charges, grants
from spawner.pool.statistics import read_day
from spawner.pool.time.balance import balances
from spawner.pool.time.holds import refuse_without_hours
from spawner.pool.time.settle import settle
from spawner.pool.warm.demand import read_demand
from tests.unit import make

Action = Callable[[Connection], object]


GPU = make.flavor("gpu", allowance={"class": "gpu"})
METERED = make.catalog(GPU, allowances={"timezone": "UTC", "classes": [{"id": "gpu", "title": make.TEXT, "hours": 10}]})


def check_hours(connection: Connection, now: datetime, person_id: str = "p7") -> object:
    """What admission reads to see whether a person has hours left."""
    try:
        return refuse_without_hours(connection, METERED, person_id, GPU, timedelta(hours=4), now)
    except NoHours as refusal:
        return refusal


def frequent(now: datetime) -> Mapping[str, Action]:
    """By name. Each is read several times a minute, or while the write lock is held."""
    day, week = now - timedelta(days=1), now - timedelta(days=7)
    return {
        "instances.unended": instances.unended,
        "instances.unended of one": lambda c: instances.unended(c, "p7"),
        "pages: steps": page_marks.steps_of_starting,
        "pages: notices": page_marks.notices_of_unended,
        "instances.running_times": instances.running_times,
        "hub: running servers": read_running,
        "instances.latest": lambda c: instances.latest(c, "p7", ""),
        "instances.last_ended": lambda c: instances.last_ended(c, "p7"),
        "instances.used_since": lambda c: instances.used_since(c, "p7", day, now=now),
        "instances.lengths": lambda c: instances.lengths(c, "small", since=week, at_most=200),
        "instances.ended_since": lambda c: instances.ended_since(c, day),
        "instances.usable_since": lambda c: instances.usable_since(c, day),
        "instances.steps_since": lambda c: instances.steps_since(c, day, [StartStep.SLOT_CREATING]),
        "slots.occupying": slots.occupying,
        "slots.staying_by_flavor": slots.staying_by_flavor,
        "slots.held_by_flavor": slots.held_by_flavor,
        "slots.of_holder": lambda c: slots.of_holder(c, "i7"),
        "slots.failures": lambda c: slots.failures(c, since=now - timedelta(minutes=15)),
        "slots.warmed_since": lambda c: slots.warmed_since(c, now - timedelta(hours=6)),
        "slots.without_room": lambda c: slots.without_room(c, since=now - timedelta(minutes=5)),
        "slots.claim_waiting": lambda c: slots.claim_waiting(c, flavor="small", image="cpu", holder_id="x", now=now),
        "tickets.alive": tickets.alive,
        "tickets.alive of one": lambda c: tickets.alive(c, "p7"),
        "tickets.in_line": lambda c: tickets.in_line(c, "small"),
        "tickets.waiting": tickets.waiting,
        "tickets.before": lambda c: tickets.before(c, tickets.alive(c)[-1]),
        "tickets.ahead": lambda c: tickets.ahead(c, tickets.alive(c)[-1]),
        "tickets.of_instance": lambda c: tickets.of_instance(c, "i7"),
        "tickets.uncollected": tickets.uncollected,
        "tickets.untold": lambda c: tickets.untold(c, since=now - timedelta(minutes=10)),
        "tickets.last_over": lambda c: tickets.last_over(c, "p7"),
        "tickets.since": lambda c: tickets.since(c, now - timedelta(hours=6)),
        "tickets.arrivals": lambda c: tickets.arrivals(c, now - timedelta(hours=6)),
        "tickets.waits": lambda c: tickets.waits(c, "small", since=week, at_most=200),
        "tickets.concerning": lambda c: tickets.concerning(c, day),
        "prune instances": lambda c: instances.prune(c, before=now - timedelta(days=89)),
        "prune slots": lambda c: slots.prune(c, before=now - timedelta(days=89)),
        "prune tickets": lambda c: tickets.prune(c, before=now - timedelta(days=89)),
        "instances.ended_with_hold": lambda c: instances.ended_with_hold(c, at_most=100),
        "hours: the check of a start": lambda c: check_hours(c, now),
        "hours: balances of one": lambda c: balances(c, METERED, "p7", now),
        "hours: settle": lambda c: settle(c, "i15000", now=now),
        "hours: used in a week": lambda c: charges.used_between(c, "gpu", week, now),
        "history: page": lambda c: run_history.page(c, "p7", before=None, at_most=2),
        "history: next page": lambda c: run_history.page(c, "p7", before=Cursor(day, "i7"), at_most=2),
        "history: grants": lambda c: allowance_use.grants_of(c, "p7", at_most=50),
        "use: week": lambda c: allowance_use.week_of_classes(c, ["gpu"], begins=day, ends=now),
        "use: most used": lambda c: allowance_use.most_used(c, "gpu", since=day, at_most=50),
        "use: refunded": lambda c: allowance_use.refunded_charges(c, since=day, at_most=50),
        "prune charges": lambda c: charges.prune(c, before=now - timedelta(days=89)),
        "prune grants": lambda c: grants.prune(c, before=now - timedelta(days=89)),
        "read_day": lambda c: read_day(c, now=now),
        "read_demand": lambda c: read_demand(c, now=now),
    }
