"""What admission reads does not grow with the slots that are held: it holds the lock that all writers wait for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Connection

from spawner.ledger import Instance, Ledger, Slot, Ticket
from spawner.ledger.pool import instances, slots, tickets
from spawner.pool.options import Choice
from spawner.pool.queue.admission import Admission, SpawnRequest
from tests.ledger.many import fill
from tests.ledger.rows import NOW
from tests.unit import make

CATALOG = make.catalog(
    make.flavor("small", limit=1000), make.flavor("large", limit=3), make.flavor("gpu", limit=3), images=(make.image(),)
)


class Records:
    """Counts the rows that become records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: Counter[str] = Counter()
        for module, record in ((slots, Slot), (tickets, Ticket), (instances, Instance)):
            monkeypatch.setattr(module, record.__name__, self._counted(record))

    def _counted(self, record: type[Any]) -> Any:
        def make_one(*args: Any, **values: Any) -> Any:
            self.made[record.__name__] += 1
            return record(*args, **values)

        return make_one


@pytest.mark.parametrize("flavor", ["small", "large"], ids=["has room", "is full"])
def test_a_request_makes_records_of_its_own_rows_only(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, flavor: str
) -> None:
    ledger.write(fill, 30, running=90, waiting=60)
    admission = Admission(CATALOG, make.SimulatedBackend(), lambda: NOW, lambda: "new")  # type: ignore[arg-type]
    choice = Choice(CATALOG.flavor(flavor), CATALOG.images[0], None)

    def ask(connection: Connection) -> None:
        records = Records(monkeypatch)
        admission.ask(connection, SpawnRequest("somebody", "somebody", "", choice))
        assert sum(records.made.values()) <= 5, records.made

    ledger.write(ask)


def test_looking_for_due_tickets_makes_no_records(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.write(fill, 30, running=90, waiting=60)
    admission = Admission(CATALOG, make.SimulatedBackend(), lambda: NOW, lambda: "new")  # type: ignore[arg-type]

    def look(connection: Connection) -> None:
        records = Records(monkeypatch)
        assert admission.has_due_ticket(connection)
        assert not records.made

    ledger.read(look)
