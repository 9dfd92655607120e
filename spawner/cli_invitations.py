"""`freepool invite`, `invitations`, `revoke-invitation`, `trust`: who may come, and how far they are trusted."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

from spawner.catalog import echo
from spawner.cli_people import find
from spawner.errors import BadOption
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.people import invitations, people, trust
from spawner.ledger.people.rows import Invitation, Person, TrustClass
from spawner.ledger.people.trust import Reason
from spawner.pool.build import new_id, utc_now
from spawner.settings import Settings
from spawner.times import utc_text

BY_ITSELF = "auto"
LONGEST_DAYS = 366
LONGEST_GROUP = 255
LEVELS = ", ".join(TrustClass)
REASONS = {
    Reason.GIVEN: "by an invitation, or as a user of an earlier version",
    Reason.RULE: "by a rule of the settings",
    Reason.NONE: "no rule of the settings holds",
}
Say = Callable[[str], object]


def run(settings: Settings, options: argparse.Namespace, say: Say, note: Say) -> None:
    """Do what `options` ask for; `note` gets what is not the result itself. Raises `BadOption`."""
    ledger = open_ledger(settings.ledger)
    try:
        say(_COMMANDS[options.command](settings, ledger, options, note) + "\n")
    finally:
        ledger.close()


def _invite(settings: Settings, ledger: Ledger, options: argparse.Namespace, note: Say) -> str:
    if not settings.login.has_provider:
        note(
            "People log in by links here, and need no invitation: freepool link NAME. This is for a login of your own."
        )
    if not 0 < options.days <= LONGEST_DAYS:
        raise BadOption(
            "{days} is not a valid number of days.", next_step="Give more than 0, at most 366.", days=options.days
        )
    for group in options.group:
        if not group.strip() or len(group) > LONGEST_GROUP or not group.isprintable():
            raise BadOption(
                "{group} is not a valid group name.", next_step="Use 1 to 255 characters.", group=echo(group)
            )
    code, now = invitations.new_code(), utc_now()
    invitation = Invitation(
        id=new_id(),
        code_hash=invitations.hash_of(code),
        trust=_class(options.trust),
        groups=sorted(set(options.group)),
        note=options.note,
        made_by=getpass.getuser(),
        made_at=now,
        expires_at=now + timedelta(days=options.days),
    )
    ledger.write(invitations.make, invitation)
    until = utc_text(invitation.expires_at)
    note(f"invitation {invitation.id}, good for one account until {until}; it is shown only now")
    return f"{settings.public_url}hub/invitation?{urlencode({'code': code})}"


def _list(_: Settings, ledger: Ledger, options: argparse.Namespace, __: Say) -> str:
    now = utc_now()
    rows = [
        row
        for row in ledger.read(invitations.list_invitations)
        if options.all or invitations.state_of(row, now) is invitations.InvitationState.OPEN
    ]
    names = ledger.read(people.names, [row.used_by for row in rows if row.used_by])
    return "\n".join(_told(row, names, now) for row in rows) or "No invitations."


def _told(row: Invitation, names: dict[str, str], now: datetime) -> str:
    parts = [
        row.id,
        str(invitations.state_of(row, now)),
        f"until {utc_text(row.expires_at)}",
        str(row.trust),
        *([f"groups {', '.join(row.groups)}"] if row.groups else []),
        f"by {row.made_by} at {utc_text(row.made_at)}",
    ]
    if row.used_at is not None:
        parts.append(f"used by {names.get(row.used_by or '', '?')} ({row.used_by}) at {utc_text(row.used_at)}")
    if row.revoked_at is not None:
        parts.append(f"revoked by {row.revoked_by} at {utc_text(row.revoked_at)}")
    return "; ".join([*parts, *([row.note] if row.note else [])])


def _revoke(_: Settings, ledger: Ledger, options: argparse.Namespace, __: Say) -> str:
    if not ledger.write(invitations.revoke, options.invitation, by=getpass.getuser(), now=utc_now()):
        raise BadOption(
            "The invitation {id} cannot be revoked: it does not exist, or was already used or revoked.",
            next_step="See `freepool invitations --all`. To shut out who came with it, use `freepool ban`.",
            id=echo(options.invitation),
        )
    return f"Revoked: {options.invitation}."


def _trust(settings: Settings, ledger: Ledger, options: argparse.Namespace, _: Say) -> str:
    person = find(ledger, options.person)
    if options.trust is not None:
        given = None if options.trust == BY_ITSELF else _class(options.trust)
        ledger.write(trust.set_class, person.id, given, by=getpass.getuser(), now=utc_now())
        person = ledger.read(people.get, person.id)
    return _standing(settings, person)


def _standing(settings: Settings, person: Person) -> str:
    standing = trust.standing_of(person, utc_now(), settings.people)
    why = REASONS.get(standing.reason, "")
    if person.operator_trust_at is not None:
        did = "set by" if person.operator_trust is not None else "left to the rules again by"
        said = f"{did} {person.operator_trust_by} at {utc_text(person.operator_trust_at)}"
        why = f"{why}; {said}" if why else said
    if standing.rises_at is not None:
        why += f"; {standing.rises_to} from {utc_text(standing.rises_at)} on"
    return f"{person.hub_name} ({person.id}): {standing.trust} ({why})"


def _class(text: str) -> TrustClass:
    if text not in set(TrustClass):
        raise BadOption(
            "{text} is not an account level.", next_step="The levels are: {levels}.", text=echo(text), levels=LEVELS
        )
    return TrustClass(text)


_COMMANDS = {"invite": _invite, "invitations": _list, "revoke-invitation": _revoke, "trust": _trust}
