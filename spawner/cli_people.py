"""`freepool ban`, `unban`, `bans`, `groups`, `export`, `forget`: people, from a terminal."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable
from datetime import datetime

from spawner import __version__
from spawner.errors import BadOption
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.people import bans, forgetting, groups, people
from spawner.ledger.people.personal_data import export, json_default
from spawner.ledger.people.rows import Ban, GroupSource, Person
from spawner.pool.admin import people as commands
from spawner.pool.admin.commands import read
from spawner.pool.admin.find_person import find_person
from spawner.pool.admin.people import BanChange, forget_lines
from spawner.pool.build import new_id, utc_now
from spawner.settings import Settings
from spawner.times import utc_text

Say = Callable[[str], object]


def run(settings: Settings, options: argparse.Namespace, say: Say) -> None:
    """Do what `options` ask for. Raises `BadOption`."""
    ledger = open_ledger(settings.ledger)
    try:
        say(_COMMANDS[options.command](ledger, options) + "\n")
    finally:
        ledger.close()


def find(ledger: Ledger, text: str) -> Person:
    """The person whom an administrator names. Raises `BadOption`."""
    return ledger.read(find_person, text)


def _ban(ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    if person.hub_name == getpass.getuser() and not options.myself:
        raise BadOption(
            "{name} is the user who runs this command.",
            next_step="Add --myself if that is meant.",
            name=person.hub_name,
        )
    change = read(
        BanChange,
        {
            "code": options.code,
            "days": options.days,
            "for_good": options.for_good,
            "evidence": options.evidence,
            "note": options.note,
            "appeal": options.appeal,
        },
    )
    made = ledger.write(commands.ban, person.id, change, by=getpass.getuser(), now=utc_now(), new_id=new_id)
    return f"Banned: {person.hub_name} ({person.id}), {_end(made.until)}. Their free notebooks stop within seconds."


def _unban(ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    count = ledger.write(commands.unban, person.id, by=getpass.getuser(), now=utc_now())
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
        f"by {ban.banned_by} at {utc_text(ban.banned_at)}",
    ]
    if ban.lifted_at is not None:
        parts.append(f"lifted by {ban.lifted_by} at {utc_text(ban.lifted_at)}")
    return "; ".join([*parts, *(text for text in (ban.evidence, ban.note) if text)])


def _end(until: datetime | None) -> str:
    return "for good" if until is None else f"until {utc_text(until)}"


def _groups(ledger: Ledger, options: argparse.Namespace) -> str:
    person, source = find(ledger, options.person), GroupSource.ADMINISTRATOR
    if options.set is not None:
        ledger.write(groups.replace, person.id, source, options.set, by=getpass.getuser(), now=utc_now())
    lines = [f"{one}: {', '.join(ledger.read(groups.of, person.id, one)) or '-'}" for one in GroupSource]
    return f"{person.hub_name} ({person.id})\n" + "\n".join(lines)


def _export(ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    exported = ledger.read(export, person.id, now=utc_now(), version=__version__)
    return json.dumps(exported, indent=2, ensure_ascii=False, default=json_default)


def _forget(ledger: Ledger, options: argparse.Namespace) -> str:
    person = find(ledger, options.person)
    done = ledger.read(forgetting.preview, person.id, now=utc_now(), is_gone=options.account_is_gone)
    lines = list(forget_lines(done))
    if not options.yes:
        refused = [f"It cannot be done now: {refusal.message} {refusal.next_step}" for refusal in done.refusals]
        return "\n".join([*lines, *(refused or ["Nothing is done yet. Add --yes to do it."])])
    ledger.write(forgetting.forget, person.id, now=utc_now(), is_gone=options.account_is_gone)
    return "\n".join([*lines, f"Done. The name is {forgetting.made_up_name(person.id)} now, where rows are left."])


_COMMANDS = {
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
    "groups": _groups,
    "export": _export,
    "forget": _forget,
}
