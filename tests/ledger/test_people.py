"""Who is who in the ledger: logins with a subject, deletions, taken names, and groups by their source."""

from __future__ import annotations

from itertools import count

import pytest

from spawner.errors import NameTaken
from spawner.ledger import Ledger
from spawner.ledger.paid import bindings, orders
from spawner.ledger.people import groups, people
from spawner.ledger.people.rows import GroupSource, HubUser, Identity, Person
from spawner.ledger.pool import instances
from spawner.ledger.transitions import revision
from tests.ledger.conftest import Together
from tests.ledger.rows import NOW, request
from tests.paid.make import write_binding, write_order

SUBJECT, OTHER = Identity("https://issuer", "1" * 64), Identity("https://issuer", "2" * 64)
ANN = HubUser(1, "ann", "2026-03-01T00:00:00Z")
ANN_AGAIN = HubUser(2, "ann", "2026-03-02T00:00:00Z")
NUMBERS = count()


def resolved(ledger: Ledger, user: HubUser, identity: Identity | None = None) -> Person:
    keys = {"new_id": lambda: f"p{next(NUMBERS)}", "now": NOW}
    if identity is None:
        return ledger.write(people.of_user, user, **keys)  # type: ignore[arg-type]
    return ledger.write(people.identify, user, identity, **keys)  # type: ignore[arg-type]


def test_a_rename_is_the_same_person_and_a_second_look_writes_nothing(ledger: Ledger) -> None:
    ann = resolved(ledger, ANN)
    before = ledger.read(revision)
    assert resolved(ledger, ANN) == ann
    assert ledger.read(revision) == before
    carol = resolved(ledger, HubUser(ANN.id, "carol", ANN.since))
    assert (carol.id, carol.hub_name) == (ann.id, "carol")
    assert ledger.read(people.current, "carol", ANN.since) == carol
    assert ledger.read(people.current, "ann", ANN.since) is None
    assert ledger.read(people.names, [ann.id, "nobody"]) == {ann.id: "carol"}


def test_a_subject_that_comes_back_under_any_name_is_the_same_person(ledger: Ledger) -> None:
    ann = resolved(ledger, ANN, SUBJECT)
    ledger.write(people.leave, ANN)
    assert ledger.read(people.current, "ann", ANN.since) is None, "a deleted user is nobody now"
    taker = resolved(ledger, ANN_AGAIN)
    assert taker.id != ann.id
    back = resolved(ledger, HubUser(3, "ann-2", "2026-03-03T00:00:00Z"), SUBJECT)
    assert (back.id, back.hub_name, back.hub_id) == (ann.id, "ann-2", 3)


def test_rows_from_before_the_login_go_to_the_person_of_the_subject(ledger: Ledger) -> None:
    """An administrator made the user again and started its server, before the person logged in."""
    ann = resolved(ledger, ANN, SUBJECT)
    ledger.write(people.leave, ANN)
    made = resolved(ledger, ANN_AGAIN)
    request(ledger, "i1", user=made.id)
    write_binding(ledger, "b1", person_id=made.id)
    write_order(ledger, "o1", person_id=made.id)
    back = resolved(ledger, ANN_AGAIN, SUBJECT)
    assert (back.id, back.hub_id) == (ann.id, 2)
    owners = (
        ledger.read(instances.get, "i1").person_id,
        ledger.read(bindings.get, "b1").person_id,
        ledger.read(orders.get, "o1").person_id,
    )
    assert owners == (ann.id,) * 3
    assert [person.id for person in ledger.read(people.of_name, "ann")] == [ann.id]


def test_what_both_have_once_stays_with_the_user_who_has_it(ledger: Ledger) -> None:
    """One live instance per server: the other's goes on and ends at its deadline, and the login goes through."""
    ann = resolved(ledger, ANN, SUBJECT)
    request(ledger, "i1", user=ann.id)
    made = resolved(ledger, ANN_AGAIN)
    request(ledger, "i2", user=made.id)
    back = resolved(ledger, ANN_AGAIN, SUBJECT)
    assert (back.id, back.hub_id) == (ann.id, 2)
    assert ledger.read(instances.get, "i2").person_id == made.id
    assert ledger.read(people.get, made.id).hub_id is None


def test_a_name_of_another_subject_is_refused_and_nothing_is_written(ledger: Ledger) -> None:
    ann = resolved(ledger, ANN, SUBJECT)
    with pytest.raises(NameTaken, match="The name ann is already used by another account"):
        resolved(ledger, ANN, OTHER)
    assert ledger.read(people.get, ann.id) == ann
    assert ledger.read(people.by_identity, OTHER) is None


def test_logins_at_the_same_time_make_one_person(ledger: Ledger, together: Together[Person]) -> None:
    found = together([lambda: resolved(ledger, ANN, SUBJECT)] * 8)
    assert len({person.id for person in found}) == 1


def test_what_login_and_hub_say_is_kept_apart(ledger: Ledger) -> None:
    """JupyterHub has both in one list. A group that both name goes with the login's."""
    ledger.write(groups.replace, "p1", GroupSource.ADMINISTRATOR, ["op"], by="root", now=NOW)

    def record(hub: set[str], login: set[str] | None = None) -> dict[str, set[str]]:
        if not ledger.read(groups.is_recorded, "p1", hub=hub, login=login):
            ledger.write(groups.record_hub, "p1", hub=hub, login=login, now=NOW)
        assert ledger.read(groups.is_recorded, "p1", hub=hub, login=login)
        return {str(source): names for source, names in ledger.read(groups.by_person)["p1"].items()}

    assert record({"a", "b", "c"}, {"a", "b"}) == {"login": {"a", "b"}, "hub": {"c"}, "administrator": {"op"}}
    assert record({"a", "b"}) == {"login": {"a", "b"}, "administrator": {"op"}}, "as it said last"
    assert record({"a", "d"}, {"a"}) == {"login": {"a"}, "hub": {"d"}, "administrator": {"op"}}
    assert record({"d"}, set()) == {"hub": {"d"}, "administrator": {"op"}}
    before = ledger.read(revision)
    record({"d"})
    assert ledger.read(revision) == before, "nothing is written where nothing has changed"
    assert ledger.read(groups.of_people, ["p1", "p2"]) == {"p1": {"d", "op"}, "p2": frozenset()}


def test_a_refresh_of_one_source_leaves_the_groups_of_the_other(ledger: Ledger) -> None:
    def put(source: GroupSource, *names: str) -> tuple[str, ...]:
        ledger.write(groups.replace, "p1", source, names, by="root", now=NOW)
        return ledger.read(groups.of, "p1")

    assert put(GroupSource.LOGIN, "a", "b") == ("a", "b")
    assert put(GroupSource.ADMINISTRATOR, "b", "c") == ("a", "b", "c")
    assert put(GroupSource.LOGIN, "名") == ("b", "c", "名")
    assert put(GroupSource.LOGIN) == ("b", "c")
    before = ledger.read(revision)
    assert put(GroupSource.ADMINISTRATOR, "c", "b") == ("b", "c")
    assert ledger.read(revision) == before
    assert ledger.read(groups.of, "p1", GroupSource.LOGIN) == ()
    assert ledger.read(groups.of, "p2") == ()
