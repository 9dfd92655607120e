"""`freepool grant`, `refund`, `allowance`: hours of people, from a terminal."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Iterator
from datetime import datetime

from spawner.catalog import Catalog, load_catalog
from spawner.cli_people import find
from spawner.cli_warm import local_time
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.people import people
from spawner.ledger.time import allowance_use
from spawner.ledger.time.rows import Grant
from spawner.pool.build import new_id, utc_now
from spawner.pool.time import corrections
from spawner.pool.time.balance import Balance, balances
from spawner.settings import Settings

SHOWN = 20
Say = Callable[[str], object]


def run(settings: Settings, options: argparse.Namespace, say: Say) -> None:
    """Do what `options` ask for. Raises `BadOption` and `Conflict`."""
    catalog, ledger = load_catalog(settings.catalog), open_ledger(settings.ledger)
    try:
        say(_COMMANDS[options.command](catalog, ledger, options) + "\n")
    finally:
        ledger.close()


def _grant(catalog: Catalog, ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    made = ledger.write(
        corrections.give,
        catalog,
        grant_id=new_id(),
        person_id=person.id,
        class_id=options.class_id,
        hours=corrections.hours_of(options.hours),
        until=local_time(options.until) if options.until else None,
        reason=options.reason,
        by=getpass.getuser(),
        now=utc_now(),
    )
    (left,) = [one for one in _balances(ledger, catalog, person.id) if one.class_id == made.class_id]
    until = _local(made.valid_until)
    return f"{person.hub_name} ({person.id}): {_hours(made.seconds)} of {made.class_id}, until {until}.\n{_told(left)}"


def _refund(catalog: Catalog, ledger: Ledger, options: argparse.Namespace) -> str:
    made = ledger.write(
        corrections.refund,
        catalog,
        grant_id=new_id(),
        instance_id=options.instance,
        reason=options.reason,
        by=getpass.getuser(),
        now=utc_now(),
    )
    name = ledger.read(people.names, [made.person_id]).get(made.person_id, "?")
    until = _local(made.valid_until)
    return f"{name} ({made.person_id}): {_hours(made.seconds)} of {made.class_id} given back, until {until}."


def _allowance(catalog: Catalog, ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    lines = [f"{person.hub_name} ({person.id})", *map(_told, _balances(ledger, catalog, person.id))]
    grants = ledger.read(allowance_use.grants_of, person.id, at_most=SHOWN)
    return "\n".join([*lines, *(["Grants, the newest first:"] if grants else ["No grants yet."]), *_listed(grants)])


def _balances(ledger: Ledger, catalog: Catalog, person_id: str) -> list[Balance]:
    return ledger.read(balances, catalog, person_id, utc_now())


def _told(balance: Balance) -> str:
    if balance.left is None:
        return f"{balance.class_id}: unlimited; {_hours(balance.used)} used this week"
    parts = [f"{_hours(balance.left)} left of {_hours(balance.total)}", f"{_hours(balance.used)} used"]
    parts += [f"{_hours(balance.held)} set aside for what runs"] if balance.held else []
    return f"{balance.class_id}: {', '.join(parts)}; new hours on {_local(balance.resets_at)}"


def _listed(grants: list[Grant]) -> Iterator[str]:
    for grant in grants:
        about = [f"{grant.class_id} {_hours(grant.seconds)}", str(grant.source), f"until {_local(grant.valid_until)}"]
        about += [f"for the run {grant.reference}"] if grant.reference else []
        about.append(f"by {grant.made_by} at {_local(grant.made_at)}")
        yield "  " + "; ".join([*about, *([grant.reason] if grant.reason else [])])


def _hours(seconds: int | None) -> str:
    if seconds is None:
        return "unlimited"
    hours, minutes = divmod(round(abs(seconds) / 60), 60)
    sign = "-" if seconds < 0 else ""
    return f"{sign}{hours} h {minutes} min" if minutes else f"{sign}{hours} h"


def _local(time: datetime) -> str:
    return time.astimezone().isoformat(sep=" ", timespec="minutes")


_COMMANDS = {"grant": _grant, "refund": _refund, "allowance": _allowance}
