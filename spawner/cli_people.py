"""`freepool ban`, `unban`, `bans`, `groups`: people, from a terminal."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from datetime import datetime, timedelta

from spawner.catalog import echo
from spawner.errors import BadOption
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.people import bans, groups, people
from spawner.ledger.people.rows import Ban, BanCode, GroupSource, Person
from spawner.pool.build import new_id, utc_now
from spawner.settings import Settings

CODES = ", ".join(BanCode)
Say = Callable[[str], object]


def run(settings: Settings, options: argparse.Namespace, say: Say) -> None:
    """Do what `options` ask for. Raises `BadOption`."""
    ledger = open_ledger(settings.ledger)
    try:
        say(_COMMANDS[options.command](ledger, options) + "\n")
    finally:
        ledger.close()


def find(ledger: Ledger, text: str) -> Person:
    """The person of a name or id: whom JupyterHub has now under the name, else the only one who had it."""
    found = ledger.read(people.of_name, text)
    present = [person for person in found if person.hub_id is not None] or found
    if len(present) == 1:
        return present[0]
    if not present:
        by_id = ledger.read(people.find, text)
        if by_id is not None:
            return by_id
        raise BadOption(
            "Unknown user: {name}.",
            next_step="Check the name. Users are known after their first sign-in.",
            name=echo(text),
        )
    raise BadOption(
        "Several users had the name {name}.",
        next_step="Use one of these ids: {ids}.",
        name=echo(text),
        ids=", ".join(person.id for person in present),
    )


def _ban(ledger: Ledger, options: argparse.Namespace) -> str:
    person, now = find(ledger, options.person), utc_now()
    if not options.for_good and not 0 < options.days <= 36500:
        raise BadOption(
            "{days} is not a valid number of days.", next_step="Use a number above 0, or --for-good.", days=options.days
        )
    if options.code not in set(BanCode):
        raise BadOption(
            "{code} is not a valid code.", next_step="Available codes: {codes}.", code=echo(options.code), codes=CODES
        )
    ban = Ban(
        id=new_id(),
        person_id=person.id,
        code=BanCode(options.code),
        evidence=options.evidence,
        note=options.note,
        appeal=options.appeal,
        banned_by=getpass.getuser(),
        banned_at=now,
        until=None if options.for_good else now + timedelta(days=options.days),
    )
    ledger.write(bans.put, ban)
    return f"Banned: {person.hub_name} ({person.id}), {_end(ban.until)}. Their free notebooks stop within seconds."


def _unban(ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    count = ledger.write(bans.lift, person.id, by=getpass.getuser(), now=utc_now())
    return f"{person.hub_name} ({person.id}): {count} lifted."


def _bans(ledger: Ledger, options: argparse.Namespace) -> str:
    rows = ledger.read(bans.history) if options.all else ledger.read(bans.holding, now=utc_now())
    names = ledger.read(people.names, [ban.person_id for ban in rows])
    return "\n".join(_told(ban, names.get(ban.person_id, "?")) for ban in rows) or "No bans."


def _told(ban: Ban, name: str) -> str:
    parts = [
        f"{name} ({ban.person_id})",
        str(ban.code),
        _end(ban.until),
        f"by {ban.banned_by} at {_time(ban.banned_at)}",
    ]
    if ban.lifted_at is not None:
        parts.append(f"lifted by {ban.lifted_by} at {_time(ban.lifted_at)}")
    return "; ".join([*parts, *(text for text in (ban.evidence, ban.note) if text)])


def _end(until: datetime | None) -> str:
    return "for good" if until is None else f"until {_time(until)}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _groups(ledger: Ledger, options: argparse.Namespace) -> str:
    person, source = find(ledger, options.person), GroupSource.ADMINISTRATOR
    if options.set is not None:
        ledger.write(groups.replace, person.id, source, options.set, by=getpass.getuser(), now=utc_now())
    lines = [f"{one}: {', '.join(ledger.read(groups.of, person.id, one)) or '-'}" for one in GroupSource]
    return f"{person.hub_name} ({person.id})\n" + "\n".join(lines)


_COMMANDS = {"ban": _ban, "unban": _unban, "bans": _bans, "groups": _groups}
