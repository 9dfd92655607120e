"""A start with a called ticket uses the ticket's flavor and image, without a second admission."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.errors import NotForYou, NotOffered, StartCancelled, TooMany
from spawner.ledger import Instance, Ticket, TicketState, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import instances, tickets
from spawner.people_settings import ClassLimits
from spawner.pool.options import CalledTicket, Choice
from spawner.pool.pool import Server
from spawner.pool.start import Start
from tests.ledger.pool import SimulatedPool
from tests.unit import make
from tests.unit.make import SimulatedBackend


@pytest.fixture
def pool(tmp_path: Path) -> SimulatedPool:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    return SimulatedPool(open_ledger(url), catalog=make.catalog(make.flavor("small"), make.flavor("large")))


async def admit(
    pool: SimulatedPool, ticket_id: str, *, user: str = "ann", server: str = "", limits: ClassLimits | None = None
) -> tuple[Instance, Choice]:
    """The part of a start that ends with the committed intent. It must not call admission."""
    limits = limits or ClassLimits()
    parts: Any = SimpleNamespace(
        ledger=pool.ledger,
        catalog=pool.catalog,
        backend=pool.backend,
        hub_epoch="1",
        now=lambda: pool.time,
        new_id=pool.new_id,
        admission=None,
        limits_of_class=lambda *_: limits,
        longest_session=lambda *_: timedelta(hours=4),
    )
    start = Start(parts, Server(user, user, server), CalledTicket(ticket_id), {}, "/user/ann/", lambda: None)
    return await start._admit()


def called(pool: SimulatedPool, **options: Any) -> Ticket:
    return pool.ask("ann", flavor="large", example="ocr", **options)


async def test_flavor_image_and_example_are_the_tickets(pool: SimulatedPool) -> None:
    ticket = called(pool)
    instance, choice = await admit(pool, ticket.id)
    assert (choice.flavor.id, choice.image.id, choice.example and choice.example.id) == ("large", "torch", "ocr")
    assert (instance.flavor, instance.image, instance.example) == ("large", "torch", "ocr")
    assert pool.ledger.read(tickets.get, ticket.id).instance_id == instance.id
    assert [slot.holder_id for slot in pool.slots()] == [instance.id]


@pytest.mark.parametrize("server", [{"user": "bob"}, {"server": "second"}])
async def test_the_ticket_of_another_server_starts_nothing(pool: SimulatedPool, server: dict[str, str]) -> None:
    ticket = called(pool)
    with pytest.raises(StartCancelled):
        await admit(pool, ticket.id, **server)
    assert pool.ticket(ticket).instance_id is None


async def test_the_lower_of_the_catalogs_and_the_classs_number_of_instances_holds(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large"), instances_per_user=2)
    await admit(pool, called(pool).id)
    second = pool.ask("ann", flavor="small", server="second")
    with pytest.raises(TooMany, match="You already have a running notebook"):
        await admit(pool, second.id, server="second", limits=ClassLimits(instances=1))
    await admit(pool, second.id, server="second", limits=ClassLimits(instances=5))
    third = pool.ask("ann", flavor="small", server="third")
    with pytest.raises(TooMany, match="You already have 2 running notebooks"):
        await admit(pool, third.id, server="third", limits=ClassLimits(instances=5))


async def test_an_unknown_or_cancelled_ticket_starts_nothing(pool: SimulatedPool) -> None:
    cancelled = called(pool)
    pool.ledger.write(pool.admission.release, cancelled.id, TicketState.CANCELLED)
    for ticket_id in ("unknown", cancelled.id):
        with pytest.raises(StartCancelled):
            await admit(pool, ticket_id)
    assert pool.ledger.read(instances.unended) == []


async def test_a_ticket_whose_policy_has_changed_since_the_call_starts_nothing(pool: SimulatedPool) -> None:
    ticket = called(pool)
    policies = [{"for": "everybody", "flavors": ["small"]}, {"for": {"groups": ["staff"]}, "flavors": ["large"]}]
    pool.catalog = make.catalog(*pool.catalog.flavors, policies=policies)
    with pytest.raises(NotForYou, match="large is only for the group staff"):
        await admit(pool, ticket.id)
    assert pool.ticket(ticket).instance_id is None


async def test_a_ticket_that_the_backend_cannot_serve_any_more_is_refused_and_stays(pool: SimulatedPool) -> None:
    ticket = called(pool)
    pool.backend = SimulatedBackend(refused=("large",))
    with pytest.raises(NotOffered):
        await admit(pool, ticket.id)
    assert pool.ticket(ticket).instance_id is None
