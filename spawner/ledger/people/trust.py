"""Which class a person has: a pure decision over the row, the settings and the time; and what changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, update

from spawner.ledger.people.rows import LoginFacts, Person, TrustClass
from spawner.ledger.people.tables import people
from spawner.ledger.transitions import touch
from spawner.people_settings import ClassLimits, ClassRule, PeopleSettings

ORDER = tuple(TrustClass)
"""From the lowest to the highest."""


class Reason(StrEnum):
    """Why a person has a class."""

    OPERATOR = "operator"
    GIVEN = "given"
    """By an invitation, or by the migration to version 0.2."""
    RULE = "rule"
    NONE = "none"
    """No rule holds: the lowest class."""


@dataclass(frozen=True)
class Standing:
    """A person's class, and why. `rises_at` is when time alone will bring a higher one, `rises_to`."""

    trust: TrustClass
    reason: Reason
    rises_to: TrustClass | None = None
    rises_at: datetime | None = None


def class_of(person: Person, now: datetime, settings: PeopleSettings) -> TrustClass:
    """The person's class now."""
    return standing_of(person, now, settings).trust


def standing_of(person: Person, now: datetime, settings: PeopleSettings) -> Standing:
    """The person's class now, and why: an operator's word, else the highest that was given or that a rule allows."""
    if person.operator_trust is not None:
        return Standing(person.operator_trust, Reason.OPERATOR)
    starts = {TrustClass.TRUSTED: _start(person, settings.trusted), TrustClass.KNOWN: _start(person, settings.known)}
    by_rule = next((trust for trust, at in starts.items() if at is not None and at <= now), TrustClass.NEW)
    trust = max(by_rule, person.trust, key=ORDER.index)
    reason = Reason.GIVEN if ORDER.index(person.trust) >= ORDER.index(by_rule) else Reason.RULE
    if trust is TrustClass.NEW:
        reason = Reason.NONE
    later = [(at, to) for to, at in starts.items() if at is not None and ORDER.index(to) > ORDER.index(trust)]
    rises_at, rises_to = min(later, default=(None, None))
    return Standing(trust, reason, rises_to, rises_at)


def limits_of(person: Person | None, now: datetime, settings: PeopleSettings) -> ClassLimits:
    """What the person's class may have. Somebody who is not known has the lowest class."""
    trust = TrustClass.NEW if person is None else class_of(person, now, settings)
    limits: ClassLimits = getattr(settings.limits, trust.value)
    return limits


def claim_key(name: str, value: object) -> str:
    """A claim with a value, as `Person.claims_held` has it."""
    return f"{name}={json.dumps(value, ensure_ascii=False)}"


def _start(person: Person, rules: Sequence[ClassRule]) -> datetime | None:
    """When the first of the rules begins to hold; None where none will by time alone."""
    return min(_starts(person, rules), default=None)


def _starts(person: Person, rules: Sequence[ClassRule]) -> Iterator[datetime]:
    held = set(person.claims_held or ())
    for rule in rules:
        if not all(any(claim_key(name, one) in held for one in values) for name, values in rule.wanted().items()):
            continue
        start = person.created_at + timedelta(days=rule.days or 0)
        if rule.account_days is not None:
            if person.account_since is None:
                continue
            start = max(start, person.account_since + timedelta(days=rule.account_days))
        yield start


def differs(person: Person, facts: LoginFacts) -> bool:
    """Whether a login has said something else than the one before. Mostly it has not, and nothing is written."""
    return (person.claims_held, person.account_since) != (list(facts.claims_held), facts.account_since)


def note_login(connection: Connection, person_id: str, facts: LoginFacts) -> None:
    """Write what a login has said about its person."""
    values = {"claims_held": list(facts.claims_held), "account_since": facts.account_since}
    connection.execute(update(people).where(people.c.id == person_id).values(**values))
    touch(connection)


def set_class(connection: Connection, person_id: str, trust: TrustClass | None, *, by: str, now: datetime) -> None:
    """An operator's word, which wins over everything else; None takes it back. Who and when is kept in both cases."""
    values = {"operator_trust": trust, "operator_trust_by": by, "operator_trust_at": now}
    connection.execute(update(people).where(people.c.id == person_id).values(**values))
    touch(connection)
