"""What the user's page shows of weekly hours: what is left of each flavor's class, and what the last run used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Rights
from spawner.desk.allowances import class_title, refund_in_short
from spawner.desk.i18n import Translations
from spawner.ledger.pool import run_history
from spawner.ledger.pool.rows import Instance
from spawner.ledger.pool.run_history import Run
from spawner.pool.time.balance import Balance, balances
from spawner.pool.time.refusals import free_flavors, least_needed

NO_HOURS = "No hours left this week"
TOO_FEW = "Less than 5 minutes of your hours are left this week"
REST_HELD = "The rest of your hours is set aside for your running notebook"
TEXTS = (NO_HOURS, TOO_FEW, REST_HELD)


class FlavorAllowanceView(BaseModel):
    """The hours of a flavor's class, in weighted seconds. `total_seconds` and `left_seconds` are null for unlimited.

    `weight`: seconds that one second of this flavor counts as. `blocks`: only the lack of hours keeps the user from a
    start of it; `instead` are then ids of flavors without a limit.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    class_id: str = Field(serialization_alias="class")
    title: str
    total_seconds: int | None
    used_seconds: int
    held_seconds: int
    left_seconds: int | None
    resets_at: datetime
    weight: float
    blocks: bool
    instead: list[str]


class LastUseView(BaseModel):
    """What the last run used of an allowance, in weighted seconds. `reasons`: why something was given back."""

    model_config = ConfigDict(serialize_by_alias=True)

    class_id: str = Field(serialization_alias="class")
    title: str
    charged_seconds: int
    refunded_seconds: int
    reasons: list[str]


@dataclass(frozen=True)
class AllowanceSnapshot:
    """Balances by class, and the user's last run where the page tells of its end."""

    balances: Mapping[str, Balance]
    last: Run | None = None


NONE = AllowanceSnapshot({})


def read_allowances(
    connection: Connection, catalog: Catalog, person_id: str, last: Instance | None, now: datetime
) -> AllowanceSnapshot:
    """Read them in one transaction; nothing where the catalog has no classes."""
    if not catalog.allowances.classes:
        return NONE
    runs = [] if last is None else run_history.with_use(connection, person_id, [last])
    return AllowanceSnapshot(
        {one.class_id: one for one in balances(connection, catalog, person_id, now)}, runs[0] if runs else None
    )


def flavor_view(
    flavor: Flavor, snapshot: AllowanceSnapshot, rights: Rights, session: timedelta, language: str, *, offered: bool
) -> FlavorAllowanceView | None:
    """The hours of one flavor; None where it has no class. `session`: the user's longest session of it.

    `offered`: whether it could be started or queued for if there were hours.
    """
    balance = None if flavor.allowance is None else snapshot.balances.get(flavor.allowance.class_id)
    if balance is None or flavor.allowance is None:
        return None
    blocks = offered and balance.left is not None and balance.left < least_needed(flavor, session)
    return FlavorAllowanceView(
        class_id=balance.class_id,
        title=balance.title.in_language(language),
        total_seconds=balance.total,
        used_seconds=balance.used,
        held_seconds=balance.held,
        left_seconds=balance.left,
        resets_at=balance.resets_at,
        weight=flavor.allowance.weight,
        blocks=blocks,
        instead=free_flavors(rights.catalog, rights) if blocks else [],
    )


def closed(view: FlavorAllowanceView, texts: Translations) -> dict[str, object]:
    """What a flavor without hours looks like to its user: it can be neither started nor queued for."""
    reason = REST_HELD if view.held_seconds else TOO_FEW if view.left_seconds else NO_HOURS
    return {"available": 0, "warm": 0, "queue": False, "wait_seconds": None, "reason": texts.say(reason)}


def last_use(run: Run | None, catalog: Catalog, texts: Translations) -> LastUseView | None:
    """What the last run used; None where nothing was charged."""
    if run is None or run.charge is None:
        return None
    charge = run.charge
    reasons = [refund_in_short(charge.refund_reason, texts)] if charge.refunded else []
    return LastUseView(
        class_id=charge.class_id,
        title=class_title(catalog, charge.class_id, texts.language),
        charged_seconds=charge.seconds,
        refunded_seconds=run.refunded,
        reasons=[*reasons, *(grant.reason for grant in run.refunds)],
    )
