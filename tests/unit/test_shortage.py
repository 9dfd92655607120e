"""Why something is full: the limit, or memory that another flavor has."""

from __future__ import annotations

from spawner.desk.admin.causes import FAILURE_STEPS, shortage_text
from spawner.desk.i18n import load_translations
from spawner.ledger import SlotState
from spawner.pool.shortage import Shortage, shortage_of
from spawner.pool.statistics import REPORTED
from tests.unit import make
from tests.unit.make import GIB, FakeBackend

CATALOG = make.catalog(make.flavor("small", limit=20, memory=2), make.flavor("large", limit=2, memory=8))
SMALL, LARGE = CATALOG.flavors


def taken(number: int, flavor: str, *, held: bool = True, state: SlotState = SlotState.CLAIMED):  # type: ignore[no-untyped-def]
    return make.slot(f"{flavor}{number}", state, flavor=flavor, holder_id="i" if held else None)
