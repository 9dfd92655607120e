"""Whatever JupyterHub does to users, and whatever of it the ledger misses: one person per user, one user per person.

The model is a hub with users; the resolver sees them at times of its own choosing, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger.people.resolution import Candidate, resolve
from spawner.ledger.people.rows import HubUser, Person, TrustClass
from tests.unit.make import NOW, quick

NAMES = st.sampled_from(["ann", "bob", "cat"])
SINCE = "2026-03-01T12:00:00.000001Z"


def person(name: str, *, number: int | None = None, since: str | None = None, **changes: object) -> Person:
    row = Person("p1", name, number, since, NOW, None, None, TrustClass.NEW)
    return replace(row, **changes)  # type: ignore[arg-type]


@dataclass
class Hub:
    """Users by number, the rows of people, and who each user truly is."""

    users: dict[int, HubUser] = field(default_factory=dict)
    rows: list[Person] = field(default_factory=list)
    owners: dict[str, tuple[int, str]] = field(default_factory=dict)
    made: int = 0

    def make(self, name: str) -> None:
        if name not in {user.name for user in self.users.values()}:
            self.made += 1
            number = max(self.users, default=0) + 1  # as SQLite gives numbers: the last one's again
            since = (NOW + timedelta(microseconds=self.made)).isoformat()
            self.users[number] = HubUser(number, name, since)

    def rename(self, old: str, new: str) -> None:
        if new not in {user.name for user in self.users.values()}:
            self.users = {
                number: replace(user, name=new) if user.name == old else user for number, user in self.users.items()
            }

    def delete(self, name: str) -> None:
        self.users = {number: user for number, user in self.users.items() if user.name != name}

    def see(self, name: str) -> None:
        """The resolver is asked."""
        user = next((user for user in self.users.values() if user.name == name), None)
        if user is None:
            return
        near = [Candidate(row) for row in self.rows if row.hub_id == user.id or row.hub_name == user.name]
        found = resolve(user, near)
        gone = {row.id for row in found.deleted}
        self.rows = [replace(row, hub_id=None) if row.id in gone else row for row in self.rows]
        if found.person is None:
            row = person(name, number=user.id, since=user.since, id=f"p{len(self.rows)}")
            self.rows.append(row)
        else:
            row = replace(found.person, hub_id=user.id, hub_name=user.name, hub_since=user.since)
            self.rows = [row if one.id == row.id else one for one in self.rows]
        assert self.owners.setdefault(row.id, (user.id, user.since)) == (user.id, user.since), "somebody else's person"
        assert [one.id for one in self.rows if self.owners[one.id] == (user.id, user.since)] == [row.id], "two persons"


STEPS = st.one_of(
    st.tuples(st.sampled_from(["make", "delete", "see", "see"]), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
)


@given(st.lists(STEPS, max_size=30))
@quick
def test_a_person_is_one_user_and_a_user_one_person(steps: list[tuple[str, ...]]) -> None:
    hub = Hub()
    for step, *names in steps:
        getattr(hub, step)(*names)
        held = [row.hub_id for row in hub.rows if row.hub_id is not None]
        assert len(held) == len(set(held))


def test_a_rename_is_the_same_person_and_a_new_user_of_the_name_is_not() -> None:
    known = person("ann", number=1, since=SINCE)
    assert resolve(HubUser(1, "carol", SINCE), [Candidate(known)]).person == known
    assert resolve(HubUser(2, "ann", "2026-03-02T00:00:00Z"), [Candidate(known)]).person is None


def test_a_number_that_is_given_again_is_somebody_elses() -> None:
    known = person("ann", number=1, since=SINCE)
    found = resolve(HubUser(1, "ann", "2026-03-02T00:00:00Z"), [Candidate(known)])
    assert (found.person, found.deleted) == (None, (known,))


@pytest.mark.parametrize(
    ("last_use", "is_same"),
    [(NOW + timedelta(days=1), True), (NOW - timedelta(days=1), False), (None, False)],
)
def test_rows_from_before_are_a_users_unless_all_are_older_than_the_user(
    last_use: datetime | None, is_same: bool
) -> None:
    old = person("ann")
    found = resolve(HubUser(1, "ann", SINCE), [Candidate(old, last_use)])
    assert found.person == (old if is_same else None)


def test_rows_of_paid_instances_from_before_tell_the_user_by_time() -> None:
    former, present = person("ann", since="2026-01-01T00:00:00Z"), person("ann", since=SINCE, id="p2")
    found = resolve(HubUser(7, "ann", SINCE), [Candidate(former), Candidate(present)])
    assert found.person == present
