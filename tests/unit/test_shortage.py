"""Why something is full: the limit, or memory that another flavor has."""

from __future__ import annotations

from spawner.desk.admin.causes import FAILURE_STEPS, less_room_text, shortage_text
from spawner.desk.i18n import load_translations
from spawner.ledger import Slot, SlotState
from spawner.pool.shortage import Shortage, less_room, shortage_of
from spawner.pool.statistics import REPORTED
from tests.unit import make
from tests.unit.make import GIB

CATALOG = make.catalog(
    make.flavor("small", limit=20, memory=2 * GIB, reserve=2 * GIB),
    make.flavor("large", limit=2, memory=8 * GIB, reserve=8 * GIB),
)
SMALL, LARGE = CATALOG.flavors
TEXTS = load_translations()


def taken(flavor: str, number: int) -> list[Slot]:
    return [make.slot(f"{flavor}{n}", SlotState.CLAIMED, flavor=flavor, holder_id=f"i{n}") for n in range(number)]


def shortage(slots: list[Slot], *, memory: int | None, of: str = "small") -> Shortage | None:
    return shortage_of(CATALOG, make.SimulatedBackend(bytes=memory), CATALOG.flavor(of), slots)


def test_memory_that_another_flavor_has_is_named() -> None:
    """Two large notebooks have all memory, although none of the 20 small ones runs."""
    found = shortage(taken("large", 2), memory=17 * GIB)
    assert found == Shortage(True, 2 * GIB, 16 * GIB, 17 * GIB, (("large", 2),))
    text = shortage_text(found, CATALOG, TEXTS["en"])
    assert "16 GB of 17 GB, by 2 × " in text
    assert "One more needs 2 GB" in text
    assert "17" in shortage_text(found, CATALOG, TEXTS["zh-CN"])


def test_warm_slots_of_others_give_way_and_are_no_reason() -> None:
    waiting = [make.slot(f"w{n}", SlotState.WARM, flavor="large") for n in range(2)]
    assert shortage(waiting, memory=17 * GIB) is None


def test_a_reached_limit_is_the_reason_before_memory() -> None:
    found = shortage(taken("large", 2), memory=17 * GIB, of="large")
    assert found == Shortage(False, 1, 2, 2, (("large", 2),))
    assert shortage_text(found, CATALOG, TEXTS["en"]) == "All 2 that the catalog allows are in use."


def test_there_is_no_reason_where_one_can_start_or_the_backend_refuses() -> None:
    assert shortage(taken("large", 1), memory=17 * GIB) is None
    backend = make.SimulatedBackend(bytes=0, refused=("small",))
    assert shortage_of(CATALOG, backend, SMALL, []) is None


def test_fewer_than_the_limit_are_explained_by_who_has_the_memory() -> None:
    def less(slots: list[Slot], memory: int | None) -> str:
        found = less_room(CATALOG, make.SimulatedBackend(bytes=memory), SMALL, slots)
        return "" if found is None else less_room_text(found, CATALOG, TEXTS["en"])

    assert less(taken("large", 1), 17 * GIB) == (
        "Fewer than the catalog allows: 8 GB of the pool's memory of 17 GB are in use, by 1 × a text."
    )
    assert less([], 17 * GIB) == "Fewer than the catalog allows: the pool has 17 GB of memory, and one needs 2 GB."
    waiting = [make.slot("w", SlotState.WARM, flavor="large")]
    assert "one needs 2 GB" in less(waiting, 17 * GIB), "a warm slot of another gives way"
    assert less(taken("small", 3), 40 * GIB) == less([], None) == ""
    assert less(taken("large", 2), 17 * GIB) == "", "there the reason says it"


def test_a_pool_that_is_too_small_is_called_so() -> None:
    found = shortage([], memory=GIB)
    assert found is not None
    assert shortage_text(found, CATALOG, TEXTS["en"]) == (
        "The pool's memory is too small: it has 1 GB, and one needs 2 GB."
    )


def test_each_failure_that_is_reported_says_what_to_do() -> None:
    assert set(REPORTED) == FAILURE_STEPS.keys()
