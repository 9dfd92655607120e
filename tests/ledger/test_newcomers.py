"""New accounts: invitations are used once, and numbers by day and network hold under concurrent logins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, select

from spawner.ledger import Ledger
from spawner.ledger.people import groups, invitations, newcomers, people, trust
from spawner.ledger.people.invitations import InvitationState, hash_of, new_code, read_code, state_of
from spawner.ledger.people.newcomers import Newcomer, Refused
from spawner.ledger.people.rows import GroupSource, HubUser, Identity, Invitation, LoginFacts, Person, TrustClass
from spawner.ledger.people.tables import arrivals
from spawner.ledger.transitions import revision
from spawner.people_settings import PeopleSettings
from tests.ledger.conftest import Together
from tests.ledger.rows import NOW

DAY = timedelta(days=1)
NUMBERS = count()
BY_INVITATION = PeopleSettings(invitation_only=True)


def newcomer(number: int = 1, *, network: str = "a" * 64, code: str | None = None, named: bool = False) -> Newcomer:
    identity = Identity("https://issuer", f"{number:064x}")
    return Newcomer(identity, f"user-{number}", network, code and hash_of(code), is_named=named)


def enter(ledger: Ledger, who: Newcomer, settings: PeopleSettings, now: datetime = NOW) -> Person | Refused:
    return ledger.write(newcomers.enter, who, settings, new_id=lambda: f"n{next(NUMBERS)}", now=now)


def invite(ledger: Ledger, **changes: Any) -> str:
    """The code of a new invitation."""
    code = new_code()
    made = Invitation(f"i{next(NUMBERS)}", hash_of(code), TrustClass.KNOWN, [], "", "root", NOW, NOW + 7 * DAY)
    ledger.write(invitations.make, replace(made, **changes))
    return code


def only(ledger: Ledger) -> Invitation:
    (found,) = ledger.read(invitations.list_invitations)
    return found


def test_an_invitation_lets_one_account_in_with_its_class_and_groups(ledger: Ledger) -> None:
    code = invite(ledger, trust=TrustClass.TRUSTED, groups=["class-7", "学习者"])
    assert enter(ledger, newcomer(1), BY_INVITATION) is Refused.UNINVITED
    ann = enter(ledger, newcomer(1, code=code), BY_INVITATION, NOW + DAY)
    assert isinstance(ann, Person)
    assert (ann.hub_name, ann.trust, ann.created_at) == ("user-1", TrustClass.TRUSTED, NOW + DAY)
    assert ledger.read(groups.of, ann.id, GroupSource.ADMINISTRATOR) == ("class-7", "学习者")
    assert (only(ledger).used_by, only(ledger).used_at) == (ann.id, NOW + DAY)
    assert enter(ledger, newcomer(2, code=code), BY_INVITATION) is Refused.USED
    assert enter(ledger, newcomer(1), BY_INVITATION) == ann, "who is known needs none"


def test_the_person_is_joined_with_the_user_that_jupyterhub_makes(ledger: Ledger) -> None:
    code = invite(ledger)
    ann = enter(ledger, newcomer(1, code=code), BY_INVITATION)
    assert isinstance(ann, Person)
    user = HubUser(1, "user-1", "2026-03-01T00:00:00Z")
    keys = {"new_id": lambda: f"n{next(NUMBERS)}", "now": NOW}
    found = ledger.write(people.identify, user, newcomer(1).identity, **keys)  # type: ignore[arg-type]
    assert (found.id, found.hub_id, found.trust) == (ann.id, 1, TrustClass.KNOWN)
    assert ledger.read(people.current, user.name, user.since) == found
    assert [person.id for person in ledger.read(people.of_name, "user-1")] == [ann.id]


def test_what_is_not_open_lets_nobody_in_and_says_why(ledger: Ledger) -> None:
    expired, revoked = invite(ledger, expires_at=NOW + DAY), invite(ledger, id="gone")
    assert ledger.write(invitations.revoke, "gone", by="eve", now=NOW)
    for code, later, why in (
        (new_code(), timedelta(), Refused.UNKNOWN_CODE),
        (expired, DAY, Refused.EXPIRED),
        (revoked, timedelta(), Refused.REVOKED),
    ):
        before = ledger.read(revision)
        assert enter(ledger, newcomer(code=code), BY_INVITATION, NOW + later) is why
        assert ledger.read(people.by_identity, newcomer().identity) is None
        assert ledger.read(revision) == before, "nothing is written"
    assert isinstance(enter(ledger, newcomer(code=expired), BY_INVITATION, NOW + DAY - timedelta(seconds=1)), Person)


def test_revoking_what_is_used_or_revoked_or_not_there_does_nothing(ledger: Ledger) -> None:
    code = invite(ledger, id="i")
    enter(ledger, newcomer(code=code), BY_INVITATION)
    assert not ledger.write(invitations.revoke, "i", by="eve", now=NOW)
    assert not ledger.write(invitations.revoke, "none", by="eve", now=NOW)
    assert state_of(only(ledger), NOW + 99 * DAY) is InvitationState.USED


def test_who_is_known_or_named_spends_no_invitation_and_needs_none(ledger: Ledger) -> None:
    assert isinstance(enter(ledger, newcomer(1, named=True), BY_INVITATION), Person)
    code = invite(ledger)
    assert isinstance(enter(ledger, newcomer(1, code=code), BY_INVITATION), Person)
    assert state_of(only(ledger), NOW) is InvitationState.OPEN


def test_where_none_is_needed_an_invitation_still_gives_its_class_and_a_bad_one_does_not_hurt(ledger: Ledger) -> None:
    code = invite(ledger)
    ann = enter(ledger, newcomer(1, code=code), PeopleSettings())
    bob = enter(ledger, newcomer(2, code=code), PeopleSettings())
    assert isinstance(ann, Person)
    assert isinstance(bob, Person)
    assert (ann.trust, bob.trust) == (TrustClass.KNOWN, TrustClass.NEW)


def test_of_many_who_take_one_invitation_at_once_one_gets_in(ledger: Ledger, together: Together[Any]) -> None:
    code = invite(ledger)
    found = together(
        [lambda number=number: enter(ledger, newcomer(number, code=code), BY_INVITATION) for number in range(12)]
    )
    inside = [one for one in found if isinstance(one, Person)]
    assert len(inside) == 1
    assert {one for one in found if one not in inside} == {Refused.USED}
    assert only(ledger).used_by == inside[0].id


def test_an_invitation_is_taken_once_even_without_the_ledgers_lock(ledger: Ledger) -> None:
    """The row itself decides, not that writers wait for each other."""
    invite(ledger, id="i")

    def twice(connection: Connection) -> list[bool]:
        return [invitations.take(connection, "i", person, now=NOW) for person in ("p1", "p2")]

    assert ledger.write(twice) == [True, False]
    assert only(ledger).used_by == "p1"
    invite(ledger, id="gone")
    assert ledger.write(invitations.revoke, "gone", by="eve", now=NOW)
    assert not ledger.write(invitations.take, "gone", "p3", now=NOW)
    assert not ledger.write(invitations.revoke, "gone", by="bob", now=NOW), "who and when stay as they were"
    invite(ledger, id="old", expires_at=NOW)
    assert not ledger.write(invitations.take, "old", "p4", now=NOW)


def test_two_tabs_of_one_account_are_one_person(ledger: Ledger, together: Together[Any]) -> None:
    code = invite(ledger)
    found = together([lambda: enter(ledger, newcomer(1, code=code), BY_INVITATION)] * 6)
    assert {one.id for one in found} == {only(ledger).used_by}


@pytest.mark.parametrize(
    ("settings", "full"),
    [
        (PeopleSettings(new_per_day=3), Refused.FULL_DAY),
        (PeopleSettings(new_per_network_per_day=3), Refused.FULL_NETWORK),
    ],
)
def test_a_full_day_refuses_who_is_new_and_nobody_else(
    ledger: Ledger, settings: PeopleSettings, full: Refused, together: Together[Any]
) -> None:
    found = together([lambda number=number: enter(ledger, newcomer(number), settings) for number in range(8)])
    assert sum(isinstance(one, Person) for one in found) == 3, "also where they come at once"
    assert {one for one in found if not isinstance(one, Person)} == {full}
    known = next(number for number in range(8) if isinstance(found[number], Person))
    assert isinstance(enter(ledger, newcomer(known), settings), Person)
    assert isinstance(enter(ledger, newcomer(20, code=invite(ledger)), settings), Person), "invited"
    assert isinstance(enter(ledger, newcomer(21, named=True), settings), Person)
    elsewhere = enter(ledger, newcomer(22, network="b" * 64), settings)
    assert elsewhere is full if full is Refused.FULL_DAY else isinstance(elsewhere, Person)
    assert enter(ledger, newcomer(23), settings) is full
    assert isinstance(enter(ledger, newcomer(23), settings, newcomers.next_day(NOW)), Person), "tomorrow"


def test_counts_of_earlier_days_are_deleted(ledger: Ledger) -> None:
    settings = PeopleSettings(new_per_day=3)
    enter(ledger, newcomer(1), settings)
    tomorrow = newcomers.next_day(NOW)
    enter(ledger, newcomer(2, network="b" * 64), settings, tomorrow)
    rows = ledger.read(lambda connection: connection.execute(select(arrivals)).all())
    assert [tuple(row) for row in rows] == [("2026-03-02", "b" * 64, 1)]
    ledger.write(newcomers.prune, now=tomorrow + DAY)
    assert ledger.read(lambda connection: connection.execute(select(arrivals)).all()) == []


def test_where_no_number_is_set_nothing_of_a_network_is_kept(ledger: Ledger) -> None:
    enter(ledger, newcomer(1), PeopleSettings())
    assert ledger.read(lambda connection: connection.execute(select(arrivals)).all()) == []


def test_an_operators_word_and_a_logins_facts_are_kept_with_who_and_when(ledger: Ledger) -> None:
    ann = enter(ledger, newcomer(1), PeopleSettings())
    assert isinstance(ann, Person)
    ledger.write(trust.set_class, ann.id, TrustClass.TRUSTED, by="eve", now=NOW)
    facts = LoginFacts(("email_verified=true",), NOW - DAY)
    assert trust.differs(ann, facts)
    ledger.write(trust.note_login, ann.id, facts)
    now = ledger.read(people.get, ann.id)
    assert (now.operator_trust, now.operator_trust_by, now.operator_trust_at) == (TrustClass.TRUSTED, "eve", NOW)
    assert (now.claims_held, now.account_since) == (["email_verified=true"], NOW - DAY)
    assert not trust.differs(now, facts)
    ledger.write(trust.set_class, ann.id, None, by="bob", now=NOW + DAY)
    back = ledger.read(people.get, ann.id)
    assert (back.operator_trust, back.operator_trust_by, back.operator_trust_at) == (None, "bob", NOW + DAY)


@pytest.mark.parametrize(
    ("typed", "is_read"),
    [
        ("0123456789abcdef0123456789ABCDEF", True),
        (" 01234567-89abcdef-01234567-89abcdef\n", True),
        ("0123456789abcdef0123456789abcdeg", False),
        ("0123456789abcdef", False),
        ("", False),
        ("0" * 100_000, False),
    ],
)
def test_a_code_is_read_as_people_copy_it(typed: str, is_read: bool) -> None:
    assert read_code(typed) == ("0123456789abcdef" * 2 if is_read else None)
    assert read_code(new_code()) is not None
