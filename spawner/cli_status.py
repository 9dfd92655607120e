"""`freepool status`: what the administrator's page says, in a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from spawner.catalog import load_catalog
from spawner.desk.admin.state import AdminStateBuilder, read_admin
from spawner.desk.admin.views import AdminState
from spawner.desk.i18n import load_translations
from spawner.desk.views import UserView
from spawner.ledger import open_ledger
from spawner.ledger.pool import admin_settings, overview
from spawner.ledger.pool.overview import NamedRun
from spawner.pool.admin.announcement import Announcement, announcement_of
from spawner.pool.admin.commands import format_time
from spawner.pool.build import make_backend, utc_now
from spawner.pool.templates import outdated
from spawner.settings import Settings

Rows = list[tuple[str, ...]]
OLDER = (
    "Running notebooks that began before their image, machine type or Freepool was last changed: {count}. "
    "`freepool status --who` names them (older).\n"
)


def run(settings: Settings, options: argparse.Namespace, say: Callable[[str], object]) -> None:
    """Print the state; with `options.who` also who runs what. Raises `FreepoolError`."""
    catalog = load_catalog(settings.catalog)
    ledger = open_ledger(settings.ledger)
    try:
        now = utc_now()
        snapshot = ledger.read(read_admin, limits=catalog.limits, now=now, hub=settings.hubs.name)
        backend, texts = make_backend(settings, catalog), load_translations()["en"]
        state = AdminStateBuilder(snapshot, catalog, backend, texts, now).state(UserView(name="", admin=True))
        announcement = announcement_of(ledger.read(admin_settings.all_of))
        older = outdated(catalog, backend, snapshot.warm.slots)
        parts = list(_parts(state, announcement, now))
        parts.append(OLDER.format(count=len(older)) if older else "")
        if options.who:
            parts.append(_table(list(_who(ledger.read(overview.running), older))))
    finally:
        ledger.close()
    say("\n".join(part for part in parts if part))


def _parts(state: AdminState, announcement: Announcement | None, now: datetime) -> Iterator[str]:
    yield "".join(f"{line}\n" for line in _heads(state, announcement, now))
    rows: Rows = [("FLAVOR", "RUNNING", "STARTING", "STOPPING", "QUEUED", "WARM", "FREE", "LIMIT", "")]
    for one in state.flavors:
        counts = (one.running, one.starting, one.stopping, one.queued, one.slots.warm, one.slots.free, one.slots.limit)
        rows.append((one.id, *(str(count) for count in counts), "paused" if one.paused else ""))
    yield _table(rows)
    notes = [f"{one.id}: {one.reason}\n" for one in state.flavors if one.reason]
    notes += [
        f"{one.id}, {target.image}: {target.backs_off.reason}, {target.backs_off.failures} times. "
        f"Next attempt at {_local(target.backs_off.until)}.\n"
        for one in state.flavors
        for target in one.targets
        if target.backs_off is not None
    ]
    if notes:
        yield "".join(notes)
    failures = [
        f"{one.id}: {failure.text}: {failure.count}. {failure.next}\n"
        for one in state.flavors
        for failure in one.day.failures
    ]
    yield "Failures in the last 24 hours:\n" + "".join(failures) if failures else "No failures in the last 24 hours.\n"


def _heads(state: AdminState, announcement: Announcement | None, now: datetime) -> Iterator[str]:
    yield (
        "The steward is running."
        if state.steward
        else "The steward is not running: the queue does not move and no notebooks are kept warm. Check its log."
    )
    if state.drain is not None:
        ends = f"; running notebooks end at {_local(state.drain.ends_all_at)}" if state.drain.ends_all_at else ""
        reason = f": {state.drain.reason}" if state.drain.reason else ""
        yield f"Maintenance since {_local(state.drain.at)}, by {state.drain.by}{ends}{reason}"
    if announcement is not None and announcement.ends > now:
        begins = f"from {_local(announcement.begins)} " if announcement.begins > now else ""
        yield f"Announced {begins}until {_local(announcement.ends)}: {announcement.text('en')}"


def _who(runs: Sequence[NamedRun], older: Collection[str]) -> Iterator[tuple[str, ...]]:
    yield "USER", "FLAVOR", "IMAGE", "STATE", "USE", "SINCE", "ENDS", "BEGAN WITH", "ID"
    for run in runs:
        one = run.instance
        yield (
            run.name,
            one.flavor,
            one.image,
            one.state.value,
            run.use.activity.value if run.use else "",
            _local(one.usable_at or one.requested_at),
            _local(one.ends_at) if one.ends_at else "",
            "older" if one.id in older else "",
            one.id,
        )


def _local(at: datetime) -> str:
    return format_time(at.astimezone())


def _table(rows: Rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
