"""The steward's part of weekly hours, on a real ledger: the float, once a week, and charges that are missing."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from spawner.aio import KeyedTaskSet
from spawner.hub_client import HubRefused
from spawner.ledger import EndReason, Ledger, TicketState
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.ledger.pool.tables import instances
from spawner.ledger.time import charges, grants
from spawner.pool.time.refusals import TICKET_ENDED, USED_UP
from spawner.steward.allowances import AllowanceKeeper
from spawner.steward.dispatch import Dispatcher
from tests.ledger.pool import SimulatedPool
from tests.ledger.test_allowances import HOUR, MONDAY, catalog, start, stop, sums


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    made = catalog()
    sharing = [one.model_copy(update={"float_share": 0.5}) for one in made.allowances.classes]
    allowances = made.allowances.model_copy(update={"classes": tuple(sharing)})
    shared = made.model_copy(update={"allowances": allowances})
    return SimulatedPool(ledger, catalog=shared, time=MONDAY + timedelta(days=2))


def keeper(pool: SimulatedPool) -> AllowanceKeeper:
    parts: Any = SimpleNamespace(catalog=pool.catalog, ledger=pool.ledger, now=lambda: pool.time)
    return AllowanceKeeper(parts)


async def test_the_float_shares_last_weeks_unused_hours_among_those_who_had_some(pool: SimulatedPool) -> None:
    for user, hours in (("ann", 4), ("bob", 2)):
        instance = start(pool, user)
        pool.pass_time(hours * HOUR)
        stop(pool, instance)
    pool.time = MONDAY + timedelta(days=7, minutes=1)
    await keeper(pool).round()
    share = pool.ledger.read(grants.float_of, "gpu", MONDAY + timedelta(days=7))
    assert share is not None
    assert (share.people, share.unused, share.seconds) == (2, 14 * HOUR, 3.5 * HOUR)
    for user in ("ann", "cid"):
        assert sums(pool, user)[0] == 13.5 * HOUR
    pool.ledger.write(charges.prune, before=pool.time)  # else the same share would be computed again
    await keeper(pool).round()  # another steward
    assert pool.ledger.read(grants.float_of, "gpu", MONDAY + timedelta(days=7)) == share


async def test_a_run_that_crosses_the_reset_is_no_unused_time(pool: SimulatedPool) -> None:
    pool.time = MONDAY + timedelta(days=7) - timedelta(minutes=1)
    start(pool)
    pool.time += timedelta(minutes=2)
    await keeper(pool).round()
    share = pool.ledger.read(grants.float_of, "gpu", MONDAY + timedelta(days=7))
    assert share is not None
    assert share.unused == 6 * HOUR


async def test_a_round_charges_what_ended_without_a_charge(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.pass_time(HOUR)
    ended = {"state": "ended", "stopping_at": pool.time, "ended_at": pool.time, "reason": EndReason.STOPPED}
    pool.ledger.write(
        lambda c: c.execute(update(instances).where(instances.c.id == instance.id).values(ended)) and None
    )
    await keeper(pool).round()
    charge = pool.ledger.read(charges.get, instance.id)
    assert charge is not None
    assert charge.seconds == HOUR
    assert sums(pool)[2] == 0


class RefusingHub:
    """A hub whose start is refused because hours were used up since the call."""

    async def start(self, *_: Any, **__: Any) -> None:
        raise HubRefused(403, USED_UP, code="no_hours", flavor="gpu")


async def test_a_called_ticket_whose_start_finds_no_hours_ends_at_once_and_frees_its_slot(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann", flavor="gpu")
    user = HubUser(id=1, name="ann", since="2026")
    person = pool.ledger.write(people.of_user, user, new_id=lambda: "ann", now=pool.time)
    assert person.id == ticket.person_id
    parts: Any = SimpleNamespace(ledger=pool.ledger, admission=pool.admission, now=lambda: pool.time)
    hub: Any = RefusingHub()
    tasks, nobody = KeyedTaskSet(lambda *_: None), Any
    await Dispatcher(parts, tasks, OpenRowsReader(), hub=hub, hub_token="", webhook=None, asks=nobody)._ask_hub(ticket)
    ended = pool.ticket(ticket)
    assert (ended.state, ended.detail) == (TicketState.FAILED, TICKET_ENDED)
    assert pool.held() == []
