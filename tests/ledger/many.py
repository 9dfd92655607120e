"""A ledger with many past instances, slots and tickets, and some that are not over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert

from spawner.ledger import EndReason, SlotState
from spawner.ledger.pool.rows import InstanceState, StartStep, TicketState
from spawner.ledger.pool.tables import events, instances, slots, tickets
from spawner.ledger.time.rows import EndSource, GrantSource
from spawner.ledger.time.tables import allowance_charges, allowance_grants, allowance_holds
from tests.ledger.rows import NOW

FLAVORS = ("small", "large", "gpu")
STEPS = (StartStep.REQUESTED, StartStep.SLOT_WARM, StartStep.CLAIMED, StartStep.RUNNING)
AT_ONCE = 10_000
DAYS = 90
PEOPLE = 5000
CLASS = "gpu"
RUN = timedelta(minutes=30)


def fill(connection: Connection, past: int, *, running: int = 50, waiting: int = 20, now: datetime = NOW) -> None:
    """Write `past` instances that ended in the last 90 days, each with slot, ticket and charge, and some that are not
    over."""
    for table, rows in (
        (instances, _instances(past, running, now)),
        (slots, _slots(past, running, now)),
        (tickets, _tickets(past, running, waiting, now)),
        (events, _events(past, now)),
    ):
        write(connection, table, rows)
    fill_hours(connection, past, running=running, now=now)


def fill_hours(connection: Connection, past: int, *, running: int = 50, now: datetime = NOW) -> None:
    """Write only what is read to count hours: weeks, holds and charges of as many runs."""
    for table, rows in (
        (allowance_grants, _grants(now)),
        (allowance_holds, _holds(past, running, now)),
        (allowance_charges, _charges(past, now)),
    ):
        write(connection, table, rows)


def write(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    """Insert many rows."""
    while part := list(islice(rows, AT_ONCE)):
        connection.execute(insert(table), part)


def _common(number: int) -> dict[str, Any]:
    return {"flavor": FLAVORS[number % len(FLAVORS)], "image": "cpu"}


def _whose(number: int) -> dict[str, Any]:
    person = f"p{number % PEOPLE}"
    return {"person_id": person, "user_name": person, "server_name": ""}


def _instances(past: int, running: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past + running):
        began = now - timedelta(days=DAYS) * (1 - number / past) if number < past else now - RUN
        is_over = number < past
        yield _common(number) | _whose(number if is_over else number - past) | {
            "id": f"i{number}", "example": None, "hub_epoch": "1", "slot_id": f"s{number}", "url": "http://x",
            "state": InstanceState.ENDED if is_over else InstanceState.RUNNING,
            "requested_at": began, "usable_at": began, "ends_at": began + 2 * RUN,
            "stopping_at": began + RUN if is_over else None, "ended_at": began + RUN if is_over else None,
            "reason": EndReason.STOPPED if is_over else None,
        }  # fmt: skip


def _slots(past: int, running: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past + running):
        began = now - timedelta(days=DAYS) * (1 - number / past) if number < past else now - RUN
        is_over = number < past
        yield _common(number) | {
            "id": f"s{number}", "state": SlotState.GONE if is_over else SlotState.CLAIMED, "holder_id": f"i{number}",
            "created_at": began, "warm_at": began, "claimed_at": began, "version": None,
            "ended_at": began + RUN if is_over else None, "reason": EndReason.STOPPED if is_over else None,
        }  # fmt: skip


def _tickets(past: int, running: int, waiting: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past + running + waiting):
        waits = number >= past + running
        began = now - timedelta(days=DAYS) * (1 - number / past) if number < past else now - RUN
        person = _whose(number if number < past else number - past)
        yield _common(number) | person | {
            "id": f"t{number}", "example": None, "state": TicketState.WAITING if waits else TicketState.SERVED,
            "joined_at": began, "rank_at": began, "called_at": None if waits else began,
            "hold_until": None if waits else began, "instance_id": None if waits else f"i{number}",
            "served_at": None if waits else began, "collected_at": None if waits else began, "told_at": None,
            "ended_at": None if waits else began, "expected_low": 10, "expected_high": 20, "tries": 0,
        }  # fmt: skip


def _events(past: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past):
        began = now - timedelta(days=DAYS) * (1 - number / past)
        for step in STEPS:
            yield {"instance_id": f"i{number}", "at": began, "step": step, "params": {}}


def _grants(now: datetime) -> Iterator[dict[str, Any]]:
    """Each person's last two weeks. A check reads the present one only, as the index leads to it."""
    for number in range(PEOPLE):
        for week in range(2):
            until = now + timedelta(days=1) - timedelta(days=7 * week)
            yield {
                "id": f"g{number}-{week}", "person_id": f"p{number}", "class_id": CLASS, "seconds": 36_000,
                "valid_from": until - timedelta(days=7), "valid_until": until, "source": GrantSource.POLICY,
                "reference": None, "reason": "", "made_by": "freepool", "made_at": until - timedelta(days=7),
            }  # fmt: skip


def _holds(past: int, running: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past + running):
        began = now - timedelta(days=DAYS) * (1 - number / past) if number < past else now - RUN
        person = _whose(number if number < past else number - past)["person_id"]
        yield {
            "instance_id": f"i{number}", "person_id": person, "class_id": CLASS, "weight": 1.0, "seconds": 3600,
            "taken_at": began, "released_at": began + RUN if number < past else None,
        }  # fmt: skip


def _charges(past: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(past):
        began = now - timedelta(days=DAYS) * (1 - number / past)
        yield {
            "instance_id": f"i{number}", "person_id": _whose(number)["person_id"], "class_id": CLASS, "weight": 1.0,
            "began_at": began, "until": began + RUN, "end_source": EndSource.STOP, "seconds": 1800, "refunded": 0,
            "refund_reason": None, "charged_at": began + RUN,
        }  # fmt: skip
