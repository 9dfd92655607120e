"""`freepool warm`: shows warm slots and their targets, and changes administrators' floors and plans."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from spawner.catalog import Catalog, echo, load_catalog
from spawner.errors import BadOption
from spawner.ledger import Ledger, SlotState, open_ledger
from spawner.pool.admin import commands
from spawner.pool.admin.commands import FloorChange, PlanChange, PlanName
from spawner.pool.admin.settings import FLOOR, PLAN, AdminSettings, Plan
from spawner.pool.backends.base import Backend
from spawner.pool.build import make_backend, utc_now
from spawner.pool.capacity import is_unassigned
from spawner.pool.warm.demand import read_demand
from spawner.pool.warm.targets import TARGET_REASONS, warm_targets
from spawner.settings import Settings

CATALOG = "catalog"
"""Instead of a number: as the catalog says."""


def run(settings: Settings, options: argparse.Namespace, say: Callable[[str], object]) -> None:
    """Do what `options` ask for. Raises `Refusal` where that cannot be."""
    catalog = load_catalog(settings.catalog)
    ledger = open_ledger(settings.ledger)
    try:
        if options.change is None:
            _list(ledger, catalog, make_backend(settings, catalog), say)
        else:
            say(_CHANGES[options.change](ledger, catalog, options) + "\n")
    finally:
        ledger.close()


def _plan(ledger: Ledger, catalog: Catalog, options: argparse.Namespace) -> str:
    change = commands.read(
        PlanChange,
        {
            "name": options.name,
            "flavor": options.flavor,
            "image": options.image,
            "slots": options.slots,
            "begins": local_time(options.begins),
            "ends": local_time(options.ends),
            "weekly": options.weekly,
        },
    )
    ledger.write(commands.plan, catalog, change, now=utc_now(), by=getpass.getuser())
    return f"Planned: {change.name}: {_told(change)}."


def _unplan(ledger: Ledger, catalog: Catalog, options: argparse.Namespace) -> str:
    change = commands.read(PlanName, {"name": options.name})
    ledger.write(commands.unplan, catalog, change, now=utc_now(), by=getpass.getuser())
    return f"Removed: {change.name}."


def _floor(ledger: Ledger, catalog: Catalog, options: argparse.Namespace) -> str:
    slots = None if options.slots == CATALOG else options.slots
    change = commands.read(FloorChange, {"flavor": options.flavor, "image": options.image, "slots": slots})
    ledger.write(commands.set_floor, catalog, change, now=utc_now(), by=getpass.getuser())
    if change.slots is None:
        return f"{change.flavor} with {change.image}: as the catalog says."
    return f"{change.flavor} with {change.image}: at least {change.slots} warm."


_CHANGES = {"plan": _plan, "unplan": _unplan, "floor": _floor}


def local_time(text: str) -> datetime:
    """A time as people write it; without a zone it is this machine's. Raises `BadOption`."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise BadOption(
            "{value} is not a valid time.",
            next_step="Write it as 2026-11-23T09:00, or with a zone as 2026-11-23T09:00+08:00.",
            value=echo(text),
        ) from None


def _list(ledger: Ledger, catalog: Catalog, backend: Backend, say: Callable[[str], object]) -> None:
    now = utc_now()
    snapshot = ledger.read(read_demand, now=now)
    found = warm_targets(
        catalog, backend, demand=snapshot.demand, controls=snapshot.controls, tickets=snapshot.tickets, now=now
    )
    waiting = [one for one in snapshot.slots if is_unassigned(one) and one.state is SlotState.WARM]
    rows: list[tuple[str, ...]] = [("FLAVOR", "IMAGE", "WARM", "TARGET", "WHY")]
    for (flavor, image), target in found.items():
        count = sum((one.flavor, one.image) == (flavor, image) for one in waiting)
        rows.append((flavor, image, str(count), str(target.slots), TARGET_REASONS[target.why]))
    parts: list[list[tuple[str, ...]]] = [
        rows,
        [("FLOOR", "SET BY", "AT"), *_floors(snapshot.controls)],
        [("PLAN", "WHAT", "SET BY"), *_plans(snapshot.controls)],
        [("IGNORED", "BECAUSE"), *_ignored(snapshot.controls, catalog)],
    ]
    say("\n".join(_table(part) for part in parts if len(part) > 1))


def _floors(controls: AdminSettings) -> Iterator[tuple[str, ...]]:
    for (flavor, image), slots in controls.floors.items():
        row = controls.rows[f"{FLOOR}{flavor}:{image}"]
        yield f"{flavor} with {image}: {slots}", row.set_by, commands.format_time(row.set_at.astimezone())


def _plans(controls: AdminSettings) -> Iterator[tuple[str, ...]]:
    for name, plan in controls.plans.items():
        yield name, _told(plan), controls.rows[PLAN + name].set_by


def _ignored(controls: AdminSettings, catalog: Catalog) -> Iterator[tuple[str, ...]]:
    for one in controls.ignored(catalog):
        missing = f"the catalog has no {one.missing}" if one.missing else "it cannot be read"
        yield one.control.name, missing


def _told(plan: Plan | PlanChange) -> str:
    begins, ends = (commands.format_time(time.astimezone()) for time in (plan.begins, plan.ends))
    weekly = ", every week" if plan.weekly else ""
    return f"{plan.slots} of {plan.flavor} with {plan.image} from {begins} to {ends}{weekly}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
