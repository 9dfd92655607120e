"""Sessions of a catalog with weekly hours: extensions are held from this week, grace is borrowed from the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import BadOption, NoHours
from spawner.ledger.pool.rows import Instance
from spawner.ledger.time import holds as rows
from spawner.pool.time import holds
from spawner.pool.time.balance import Balance, balance_for, balances
from spawner.pool.time.metering import AllowanceState


@dataclass(frozen=True)
class Metered:
    """The hours of one catalog."""

    catalog: Catalog
    new_id: Callable[[], str]

    def rivals(self, flavor: str, /) -> frozenset[str]:
        """The flavors of its class."""
        one = self._class_of(flavor)
        same = {each.id for each in self.catalog.flavors if one is not None and self._class_of(each.id) == one}
        return frozenset({flavor, *same})

    def states(self, connection: Connection, person_id: str, now: datetime, language: str, /) -> list[AllowanceState]:
        """Class by class."""
        return [_state(one, language) for one in balances(connection, self.catalog, person_id, now)]

    def state_for(
        self, connection: Connection, person_id: str, flavor: str, now: datetime, language: str, /
    ) -> AllowanceState | None:
        """Of the flavor's class."""
        try:
            known = self.catalog.flavor(flavor)
        except BadOption:  # it has left the catalog
            return None
        balance = balance_for(connection, self.catalog, person_id, known, now)
        weight = known.allowance.weight if known.allowance is not None else 1.0
        return None if balance is None else _state(balance, language, weight)

    def covers(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Whether this week's hours, beyond all that is held, cover it."""
        hold = rows.get(connection, instance.id)
        if hold is None:
            return True
        state = next(
            (one for one in self.states(connection, instance.person_id, now, "en") if one.class_id == hold.class_id),
            None,
        )
        return state is None or state.left is None or state.left >= seconds * hold.weight

    def extend_hold(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Hold more for the run."""
        try:
            holds.extend(connection, self.catalog, instance.id, seconds, now=now, new_id=self.new_id)
        except NoHours:
            return False
        return True

    def debit_next_week(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Borrow them; what the run does not use comes back when it ends."""
        hold = holds.borrow(connection, self.catalog, instance.id, seconds, now=now, new_id=self.new_id)
        if hold is None:
            return False
        state = next(
            (one for one in self.states(connection, instance.person_id, now, "en") if one.class_id == hold.class_id),
            None,
        )
        return state is not None and state.left is not None

    def _class_of(self, flavor: str) -> str | None:
        found = next((one for one in self.catalog.flavors if one.id == flavor), None)
        return found.allowance.class_id if found is not None and found.allowance is not None else None


def _state(balance: Balance, language: str, weight: float = 1.0) -> AllowanceState:
    return AllowanceState(
        class_id=balance.class_id,
        title=balance.title.in_language(language),
        total=balance.total,
        used=balance.used,
        held=balance.held,
        left=balance.left,
        resets_at=balance.resets_at,
        weight=weight,
    )
