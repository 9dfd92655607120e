"""Admission refuses what the catalog's policies do not give, and uses the values that they say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.errors import NotForYou
from spawner.ledger import Ledger, TicketState
from spawner.ledger.people import groups
from spawner.ledger.people.rows import GroupSource
from spawner.ledger.pool import instances, tickets
from tests.ledger.pool import CALLED, WAITING, SimulatedPool
from tests.ledger.rows import NOW, later
from tests.ledger.running import pool_on, run_instance
from tests.unit import make

FLAVORS = (make.flavor("small", limit=9), make.flavor("large", limit=1))
POLICIES = [
    {"for": "everybody", "flavors": ["small"], "images": ["cpu"]},
    {"for": {"groups": ["staff"]}, "flavors": ["large"], "queue_weight": 4, "session_minutes": 30},
    {"for": {"groups": ["course", "staff"]}, "images": ["torch"]},
]


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    return SimulatedPool(ledger, time=NOW, catalog=make.catalog(*FLAVORS, policies=POLICIES, queue={"use_counts": 1}))


def put(ledger: Ledger, person: str, *names: str, source: GroupSource = GroupSource.LOGIN) -> None:
    ledger.write(groups.replace, person, source, names, by="root", now=NOW)


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"flavor": "large"}, {"flavor": "large", "groups": ["staff"]}),
        ({"image": "torch"}, {"image": "torch", "groups": ["course", "staff"]}),
        ({"example": "ocr"}, {"image": "torch", "groups": ["course", "staff"]}),
        ({"flavor": "large", "server": "second"}, {"flavor": "large", "groups": ["staff"]}),
    ],
)
def test_what_is_for_another_group_is_refused_and_nothing_waits(
    pool: SimulatedPool, options: dict[str, str], facts: dict[str, object]
) -> None:
    with pytest.raises(NotForYou) as refused:
        pool.ask("ann", **options)
    assert refused.value.facts == facts
    assert (pool.alive(), pool.slots()) == ([], [])


@pytest.mark.parametrize("source", list(GroupSource))
def test_a_group_of_any_source_gives_it(pool: SimulatedPool, source: GroupSource) -> None:
    put(pool.ledger, "ann", "staff", source=source)
    assert pool.ask("ann", flavor="large", image="torch").state is CALLED


def test_a_ticket_that_waits_is_refused_once_its_group_is_gone(pool: SimulatedPool) -> None:
    for name in ("ann", "bob"):
        put(pool.ledger, name, "staff")
    pool.start("ann", flavor="large")
    ticket = pool.ask("bob", flavor="large")
    assert ticket.state is WAITING
    put(pool.ledger, "bob")
    with pytest.raises(NotForYou):
        pool.ask("bob", flavor="large")
    assert pool.ask("bob").state is CALLED, "what is for everybody stays theirs"


def test_a_restart_is_refused_and_what_runs_goes_on(pool: SimulatedPool) -> None:
    put(pool.ledger, "ann", "staff")
    running = pool.start("ann", flavor="large")
    put(pool.ledger, "ann")
    with pytest.raises(NotForYou):
        pool.ledger.write(pool.admission.reserve_replacement, running)
    assert [one.id for one in pool.ledger.read(instances.unended)] == [running.id]
    assert len(pool.held()) == 1


def test_the_weight_of_a_policy_is_that_of_its_flavors(pool: SimulatedPool) -> None:
    for name in ("ann", "bob"):
        put(pool.ledger, name, "staff")
        running = pool.start(name)
        pool.pass_time(1800)
        pool.end(running)
        pool.finish_endings()
    assert pool.ask("ann", flavor="small").rank_at == pool.time + timedelta(minutes=30)
    assert pool.ask("bob", flavor="large").rank_at == pool.time + timedelta(minutes=30) / 4


def test_the_session_is_as_long_as_the_persons_policies_say(ledger: Ledger) -> None:
    running = run_instance(ledger)
    pool = pool_on(ledger)
    minutes = [{"for": {"groups": ["staff"]}, "session_minutes": 600}]
    pool.catalog = make.catalog(policies=minutes)
    pool.__post_init__()
    assert ledger.read(pool.longest_session, running) == timedelta(minutes=240), "the flavor's"
    put(ledger, running.person_id, "staff")
    assert ledger.read(pool.longest_session, running) == timedelta(minutes=600)
    assert later(5) == pool.now()


def test_a_ticket_that_policies_refuse_ends_and_frees_its_slot(pool: SimulatedPool) -> None:
    put(pool.ledger, "ann", "staff")
    ticket = pool.ask("ann", flavor="large")
    pool.ledger.write(pool.admission.release, ticket.id, TicketState.FAILED, detail="not for ann any more")
    assert pool.held() == []
    over = pool.ledger.read(tickets.get, ticket.id)
    assert (over.state, over.detail) == (TicketState.FAILED, "not for ann any more")
