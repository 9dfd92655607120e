"""Open rows get the id of today of an image that has another one now."""

from __future__ import annotations

from spawner.ledger.pool import admin_settings, instances, renamed_images, tickets
from tests.ledger.pool import SimulatedPool, warm
from tests.unit import make

NAMES = {"torch": "cpu"}


def test_open_rows_and_settings_are_renamed(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=2))
    running = pool.start("ann", image="torch")
    warm(pool, "w", image="torch")
    waiting = pool.ask("bob", image="torch")
    plan = {"flavor": "small", "image": "torch", "slots": 2}
    for name, value in {"floor:small:torch": 2, "plan:course": plan, "pause:small": True}.items():
        pool.ledger.write(admin_settings.put, name, value, now=pool.time, by="admin")
    assert pool.ledger.read(renamed_images.is_named, NAMES)
    pool.ledger.write(renamed_images.rename, NAMES)
    assert not pool.ledger.read(renamed_images.is_named, NAMES)
    assert pool.ledger.write(renamed_images.rename, NAMES) == 0
    assert pool.ledger.read(instances.get, running.id).image == "cpu"
    assert {slot.image for slot in pool.slots()} == {"cpu"}
    assert pool.ledger.read(tickets.get, waiting.id).image == "cpu"
    found = pool.ledger.read(admin_settings.all_of)
    assert found.keys() == {"floor:small:cpu", "plan:course", "pause:small"}
    assert (found["floor:small:cpu"].value, found["plan:course"].value["image"]) == (2, "cpu")


def test_a_setting_of_todays_name_is_not_overwritten(pool: SimulatedPool) -> None:
    for name, value in {"floor:small:torch": 2, "floor:small:cpu": 5}.items():
        pool.ledger.write(admin_settings.put, name, value, now=pool.time, by="admin")
    pool.ledger.write(renamed_images.rename, NAMES)
    assert pool.ledger.read(admin_settings.all_of)["floor:small:cpu"].value == 5
