"""Extensions and grace of sessions with weekly hours."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.errors import NoHoursToExtend
from spawner.ledger import Ledger
from spawner.ledger.pool import instances
from spawner.people_settings import PeopleSettings
from spawner.pool.time.extensions import Extensions
from spawner.pool.time.metered import Metered
from tests.ledger.pool import SimulatedPool
from tests.unit import make

HOUR = 3600


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    """A GPU flavor that counts twice; ten hours a week."""
    gpu = make.flavor(limit=2, allowance={"class": "gpu", "weight": 2})
    catalog = make.catalog(gpu, make.flavor("large", allowance={"class": "gpu"}), make.flavor("cpu"))
    classes = [{"id": "gpu", "title": make.TEXT, "hours": 10}]
    data = catalog.model_dump(by_alias=True) | {"allowances": {"timezone": "UTC", "classes": classes}}
    return SimulatedPool(ledger, type(catalog).model_validate(data))


def rules(pool: SimulatedPool) -> Extensions:
    metering = Metered(pool.catalog, pool.new_id)
    return Extensions(pool.catalog, PeopleSettings(), metering, lambda: pool.time, pool.new_id)


def left(pool: SimulatedPool, days: int = 0) -> int | None:
    now = pool.time + timedelta(days=days)
    state = pool.ledger.read(rules(pool).metering.state_for, "ann", "small", now, "en")
    assert state is not None
    assert state.weight == 2
    return state.left


def test_an_extension_holds_this_weeks_hours_until_they_are_used(pool: SimulatedPool) -> None:
    ann = pool.start("ann")  # for four hours, which count as eight
    assert left(pool) == 2 * HOUR
    pool.ledger.write(rules(pool).extend, ann.id, number=1)
    assert left(pool) == 0
    current = pool.ledger.read(instances.get, ann.id)
    assert isinstance(pool.ledger.read(rules(pool).look, current).refusal, NoHoursToExtend)
    with pytest.raises(NoHoursToExtend):
        pool.ledger.write(rules(pool).extend, ann.id, number=2)
    assert pool.ledger.read(instances.get, ann.id) == current


def test_grace_is_borrowed_from_the_next_week(pool: SimulatedPool) -> None:
    ann = pool.start("ann")  # for four hours, which count as eight
    assert ann.ends_at is not None
    notice = pool.ledger.write(rules(pool).give_grace, ann.id, expected=ann.ends_at)
    assert notice is not None
    assert notice.params == {"minutes": 10, "debited": True}
    assert (left(pool), left(pool, days=7)) == (2 * HOUR, 10 * HOUR - 2 * 600)


def test_the_flavors_of_a_class_are_rivals(pool: SimulatedPool) -> None:
    metering = rules(pool).metering
    assert metering.rivals("large") == {"small", "large"}
    assert metering.rivals("cpu") == {"cpu"}
    assert metering.rivals("gone") == {"gone"}
