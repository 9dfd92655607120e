"""Export has every row of a person, and forgetting leaves what must stay, without the name."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update

import spawner.ledger
from spawner.errors import Conflict
from spawner.ledger import EndReason, InstanceState, Ledger
from spawner.ledger.bundles.rows import BundleState
from spawner.ledger.bundles.tables import bundles, keep_choices
from spawner.ledger.channels.rows import ChannelKind, MessageEvent
from spawner.ledger.channels.tables import channels, messages
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import BindingState, ConsentState, NoticeKind, OrderState
from spawner.ledger.paid.tables import orders as orders_table
from spawner.ledger.people import bans, forgetting, groups, invitations, people, records, terms
from spawner.ledger.people.people import ONE_EACH, OWNED
from spawner.ledger.people.personal_data import NOT_PERSONAL, PERSONAL, export, json_default
from spawner.ledger.people.rows import Ban, BanCode, GroupSource, HubUser, Identity, Invitation, Person, TrustClass
from spawner.ledger.people.tables import hub_moves, person_groups
from spawner.ledger.people.tables import people as people_table
from spawner.ledger.pool import guard_notes, instances
from spawner.ledger.pool.rows import GuardKind, GuardNote, StartStep, TicketState
from spawner.ledger.pool.tables import instances as instances_table
from spawner.ledger.pool.tables import tickets
from spawner.ledger.schema import metadata
from spawner.ledger.time import tables as time
from spawner.ledger.time.rows import Activity, EndSource, ExtensionKind, GrantSource
from spawner.ledger.time.rows import NoticeKind as TimeNotice
from spawner.pool.admin.people import forget_lines
from tests.ledger.rows import NOW, instance_in, intend, later, request
from tests.paid.make import write_binding, write_consent, write_order

A_MINUTE_LATER = later(60)
SUBJECT = Identity("https://issuer", "1" * 64)
ANN, BOB = HubUser(1, "ann", "2026-03-01T00:00:00Z"), HubUser(2, "bob", "2026-03-01T00:00:01Z")
PERSON_COLUMN = re.compile(
    r"(^|_)(person|user|by|identity|subject|account|hub_name|holder)(_|$)|(instance|order|ticket)_id"
)
BAN = Ban("b1", "p-ann", BanCode.MINING, "xmrig", "twice", "", "root", NOW, later(600))


def make_person(ledger: Ledger, user: HubUser, identity: Identity | None = None) -> Person:
    keys: dict[str, Any] = {"new_id": lambda: f"p-{user.name}", "now": NOW}
    query, args = (people.of_user, (user,)) if identity is None else (people.identify, (user, identity))
    return ledger.write(query, *args, **keys)


def leave(ledger: Ledger, user: HubUser) -> None:
    """JupyterHub deletes the user."""
    ledger.write(people.leave, user)


def fill(ledger: Ledger, name: str) -> None:
    """Rows of one person in every table, all of them ended, and an account with a paid instance that is gone."""
    key = f"p-{name}"
    ids = {"person_id": key, "user_name": name}
    request(ledger, f"i-{name}", user=name, person=key)
    intend(ledger, f"s-{name}", instance=f"i-{name}")
    ledger.write(instances.add_event, f"i-{name}", StartStep.REQUESTED, now=NOW)
    ledger.write(instances.mark_stopping, f"i-{name}", reason=EndReason.STOPPED, now=later(2))
    ledger.write(instances.mark_ended, f"i-{name}", now=later(3))
    ledger.write(lambda connection: connection.execute(insert(tickets).values(
        id=f"t-{name}", server_name="", flavor="small", image="cpu", state=TicketState.CANCELLED, joined_at=NOW,
        rank_at=NOW, tries=0, **ids,
    )))  # fmt: skip
    ledger.write(groups.replace, key, GroupSource.ADMINISTRATOR, ["staff"], by="root", now=NOW)
    moved = {"hub": "old", "hub_id": 1, "hub_since": name, "person_id": key, "moved_at": NOW}
    ledger.write(lambda connection: connection.execute(insert(hub_moves).values(**moved)))
    ledger.write(bans.put, replace(BAN, id=f"ban-{name}", person_id=key, until=later(1)))
    invitation = Invitation(
        f"v-{name}", f"hash-{name}", TrustClass.KNOWN, ["staff"], f"for {name}", "root", NOW, later(9)
    )
    ledger.write(invitations.make, invitation)
    assert ledger.write(invitations.take, invitation.id, key, now=NOW)
    assert ledger.write(terms.accept, key, "v1", {}, language="en", now=NOW, new_id=f"ta-{name}")
    evidence = {"percent": 90, "minutes": 120}
    ledger.write(guard_notes.put, GuardNote(f"g-{name}", key, f"i-{name}", GuardKind.BUSY, evidence, NOW, NOW, NOW))
    for table, row in time_rows(name).items():
        ledger.write(lambda connection, table=table, row=row: connection.execute(insert(table).values(**row)))  # type: ignore[misc]
    write_binding(ledger, f"b-{name}", **ids)
    write_binding(ledger, f"unused-{name}", account_id="999", **ids)
    write_consent(ledger, f"c-o-{name}", ConsentState.SPENT, binding_id=f"b-{name}", **ids)
    write_consent(ledger, f"open-{name}", binding_id=f"b-{name}", **ids)
    order = write_order(ledger, f"o-{name}", OrderState.GONE, binding_id=f"b-{name}", stop_wanted_by=name, **ids)
    ledger.write(audit.note, order.id, at=NOW, by=name, what="ordered")
    ledger.write(audit.note, order.id, at=NOW, by="steward", what="stopped")
    ledger.write(audit.tell, order, NoticeKind.LEFT, occasion=order.id, at=NOW, order_id=order.id)


def time_rows(name: str) -> dict[Table, dict[str, Any]]:
    """A row of each table about time."""
    of = {"person_id": f"p-{name}"}
    run = {"instance_id": f"i-{name}", **of}
    hours = {**of, "class_id": "gpu", "seconds": 3600}
    return {
        time.allowance_grants: {
            "id": f"a-{name}", "valid_from": NOW, "valid_until": later(600), "source": GrantSource.POLICY,
            "reason": "", "made_by": "catalog", "made_at": NOW, **hours,
        },
        time.allowance_holds: {**run, **hours, "weight": 1.0, "taken_at": NOW, "released_at": later(3)},
        time.allowance_charges: {
            **run, **hours, "weight": 1.0, "began_at": NOW, "until": later(2), "end_source": EndSource.STOP,
            "refunded": 0, "charged_at": later(3),
        },
        time.session_extensions: {**run, "id": f"x-{name}", "kind": ExtensionKind.CLICK, "seconds": 3600, "at": NOW},
        time.session_notices: {
            **run, "id": f"n-{name}", "kind": TimeNotice.DEADLINE, "mark": "deadline:30", "due_at": later(2),
            "written_at": NOW, "params": {"minutes": 30},
        },
        time.instance_use: {
            "instance_id": f"i-{name}", "seen_at": NOW, "activity": Activity.WORKING, "since": NOW, "samples": {},
        },
        channels: {
            **of, "id": f"c-{name}", "kind": ChannelKind.EMAIL, "address": f"{name}@localhost", "language": "en",
            "events": [], "made_at": NOW, "code_hash": f"hash-{name}",
        },
        messages: {
            **of, "id": f"m-{name}", "channel_id": f"c-{name}", "event": MessageEvent.IDLE, "mark": "idle",
            "params": {}, "made_at": NOW, "next_try_at": NOW, "tries": 0,
        },
        bundles: {
            **run, "id": f"k-{name}", "state": BundleState.KEPT, "key": f"secret-{name}", "store": "folder",
            "made_at": NOW, "expires_at": later(600),
        },
        keep_choices: {**of, "chosen_at": NOW},
    }  # fmt: skip


@pytest.fixture
def ann(ledger: Ledger) -> Person:
    """A person with rows everywhere, beside another one. JupyterHub has deleted the user."""
    person = make_person(ledger, ANN, SUBJECT)
    make_person(ledger, BOB)
    for name in ("ann", "bob"):
        fill(ledger, name)
    leave(ledger, ANN)
    return ledger.read(people.get, person.id)


def exported(ledger: Ledger, person_id: str) -> dict[str, Any]:
    found = ledger.read(export, person_id, now=NOW, version="1")
    return dict(json.loads(json.dumps(found, default=json_default)))


def forget(
    ledger: Ledger, person_id: str, now: datetime = A_MINUTE_LATER, *, is_gone: bool = False
) -> forgetting.Preview:
    """`is_gone`: no hub has the user any more, although the ledger says that one has."""
    return ledger.write(forgetting.forget, person_id, now=now, is_gone=is_gone)


def test_every_table_with_a_persons_column_is_exported_or_listed_as_not() -> None:
    for module in pkgutil.walk_packages(spawner.ledger.__path__, "spawner.ledger."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    known = {one.table.name for one in PERSONAL} | set(NOT_PERSONAL)
    for table in metadata.sorted_tables:
        columns = [column.name for column in table.c if PERSON_COLUMN.search(column.name)]
        assert not columns or table.name in known, (
            f"{table.name} has {columns}: add it to PERSONAL or NOT_PERSONAL in spawner/ledger/people/personal_data.py"
        )
    assert known <= {table.name for table in metadata.sorted_tables}
    assert len(known) > 10


def test_what_hangs_on_a_person_goes_over_where_two_are_found_to_be_one() -> None:
    by_person = {table.name for table in metadata.sorted_tables if "person_id" in table.c}
    assert {table.name for table in (*OWNED, *ONE_EACH)} | {person_groups.name} == by_person


def test_the_export_has_each_row_of_the_person_and_none_of_others(ledger: Ledger, ann: Person) -> None:
    tables = exported(ledger, ann.id)["tables"]
    assert {name: len(rows) for name, rows in tables.items()} == {
        "people": 1, "person_groups": 1, "hub_moves": 1, "bans": 1, "slots": 1, "events": 1, "instances": 1,
        "tickets": 1, "guard_notes": 1, "instance_use": 1, "session_notices": 1, "session_extensions": 1, "messages": 1,
        "channels": 1, "bundles": 1, "keep_choices": 1, "allowance_holds": 1, "allowance_charges": 1,
        "allowance_grants": 1, "terms_acceptances": 1,
        "invitations": 1, "notices": 1, "consents": 2, "bindings": 2, "order_events": 2, "orders": 1,
    }  # fmt: skip
    for one in PERSONAL:
        rows = ledger.read(lambda connection, one=one: list(connection.execute(select(one.table))))  # type: ignore[misc]
        assert len(rows) == 2 * len(tables[one.table.name]), one.table.name
    text = json.dumps(tables)
    assert "bob" not in text
    for secret in ("freepool-b-ann", "5e55", "answer_hash", "hash-ann", "secret-ann"):
        assert secret not in text
    assert tables["people"][0]["identity"] == SUBJECT.digest
    assert exported(ledger, "p-bob")["person"] == "p-bob"


def test_forgetting_keeps_bills_under_a_made_up_name_and_nothing_else(ledger: Ledger, ann: Person) -> None:
    before = exported(ledger, "p-bob")["tables"]
    done = forget(ledger, ann.id, is_gone=True)
    assert done.kept == {"slots": 1, "consents": 1, "bindings": 1, "order_events": 2, "orders": 1}
    tables = exported(ledger, ann.id)["tables"]
    assert {name for name, rows in tables.items() if rows} == {
        "people",
        "consents",
        "bindings",
        "orders",
        "order_events",
    }
    (person,) = tables["people"]
    assert (person["hub_name"], person["identity"], person["issuer"]) == ("forgotten-p-ann", None, None)
    assert tables["orders"][0]["user_name"] == tables["orders"][0]["stop_wanted_by"] == "forgotten-p-ann"
    assert [row["by"] for row in tables["order_events"]] == ["forgotten-p-ann", "steward"]
    assert (tables["bindings"][0]["state"], tables["bindings"][0]["subject"]) == (BindingState.UNLINKED, "")
    assert '"ann' not in json.dumps(tables)
    assert exported(ledger, "p-bob")["tables"] == before, "another person's rows are as they were"
    again = HubUser(3, "ann", "2026-03-02T00:00:00Z")
    assert ledger.write(people.identify, again, SUBJECT, new_id=lambda: "new", now=NOW).id == "new"


def test_it_is_refused_while_something_runs_or_is_billed_or_the_user_is_there(ledger: Ledger) -> None:
    make_person(ledger, ANN)

    def refused() -> list[str]:
        with pytest.raises(Conflict):
            forget(ledger, "p-ann")
        return [one.message for one in ledger.read(forgetting.preview, "p-ann", now=NOW).refusals]

    instance_in(ledger, InstanceState.RUNNING)
    ledger.write(lambda connection: connection.execute(update(instances_table).values(person_id="p-ann")))
    write_binding(ledger, "b-ann", person_id="p-ann")
    write_order(ledger, "o1", OrderState.STOPPED, binding_id="b-ann", person_id="p-ann")
    before = exported(ledger, "p-ann")["tables"]
    assert refused() == [
        "A notebook of ann is running.",
        "A paid notebook of ann has not been deleted and may incur charges: ecs.g6.large, fpo1.",
        "JupyterHub still has the user ann.",
    ]
    assert exported(ledger, "p-ann")["tables"] == before, "a refusal writes nothing"
    ledger.write(
        lambda connection: (
            connection.execute(update(instances_table).values(state=InstanceState.ENDED)),
            connection.execute(update(orders_table).values(state=OrderState.GONE)),
        )
    )
    assert refused() == ["JupyterHub still has the user ann."]
    assert ledger.write(forgetting.forget, "p-ann", now=NOW, is_gone=True).kept["orders"] == 1


def test_a_ban_holds_for_a_subject_that_was_forgotten_and_ends_at_its_time(ledger: Ledger, ann: Person) -> None:
    ledger.write(bans.put, replace(BAN, person_id=ann.id))
    done = forget(ledger, ann.id, is_gone=True)
    assert any("this account is banned at each login" in line for line in forget_lines(done))
    assert ledger.write(forgetting.prune, now=later(61)) == 0
    back = make_person(ledger, HubUser(4, "anna", "2026-03-03T00:00:00Z"), SUBJECT)
    assert (back.id, back.hub_name, back.forgotten_at) == (ann.id, "anna", None)
    ban = ledger.read(bans.of_person, back.id, now=later(61))
    assert ban is not None
    assert ban.evidence == "xmrig"
    leave(ledger, HubUser(4, "anna", "2026-03-03T00:00:00Z"))
    forget(ledger, ann.id, later(100))
    assert ledger.write(forgetting.prune, now=later(601)) == 1, "the ban is over: the hash of the login goes"
    assert ledger.write(forgetting.prune, now=later(601)) == 0
    assert ledger.read(people.by_identity, SUBJECT) is None
    assert ledger.read(people.get, ann.id).hub_name == "forgotten-p-ann", "bills stay"


def test_nothing_is_left_of_a_person_without_bills_and_bans(ledger: Ledger) -> None:
    make_person(ledger, ANN, SUBJECT)
    ledger.write(bans.put, BAN)
    leave(ledger, ANN)
    forget(ledger, "p-ann")
    assert ledger.read(people.find, "p-ann") is not None
    assert ledger.write(forgetting.prune, now=later(601)) == 1
    assert ledger.read(people.find, "p-ann") is None
    assert ledger.read(bans.history) == []


def test_a_forgotten_user_of_a_link_who_comes_back_is_somebody_new(ledger: Ledger) -> None:
    make_person(ledger, ANN)
    ledger.write(bans.put, BAN)
    leave(ledger, ANN)
    done = forget(ledger, "p-ann")
    assert any("a new link makes a new user" in line for line in forget_lines(done))
    for name in ("ann", forgetting.made_up_name("p-ann")):
        user = HubUser(7, name, "2026-03-04T00:00:00Z")
        new = ledger.write(people.of_user, user, new_id=lambda name=name: f"n-{name}"[:32], now=NOW)
        assert new.id != "p-ann"
        assert ledger.read(bans.of_person, new.id, now=NOW) is None


def test_a_ban_goes_over_to_the_person_whose_login_gains_a_subject(ledger: Ledger) -> None:
    """Deleted, made again by an administrator, banned before the next login."""
    known = make_person(ledger, ANN, SUBJECT)
    leave(ledger, ANN)
    again = HubUser(5, "ann-2", "2026-03-02T00:00:00Z")
    made = ledger.write(people.of_user, again, new_id=lambda: "p-made", now=NOW)
    ledger.write(bans.put, replace(BAN, person_id=made.id))
    back = ledger.write(people.identify, again, SUBJECT, new_id=lambda: "p-x", now=NOW)
    assert back.id == known.id
    assert ledger.read(bans.of_person, back.id, now=NOW) is not None


def test_a_search_finds_by_name_id_and_hash(ledger: Ledger) -> None:
    make_person(ledger, ANN, SUBJECT)
    make_person(ledger, HubUser(3, "a_n", "2026-03-01T00:00:02Z"))

    def found(text: str) -> set[str]:
        return {person.hub_name for person in ledger.read(records.search, text)}

    assert found("") == {"ann", "a_n"}
    assert found("AN") == {"ann"}
    assert found("_") == {"a_n"}, "no wildcard"
    assert found("%") == set()
    assert found("an\x00n") == set(), "no database stores a NUL, and none is asked for it"
    assert found("p-ann") == found("111111") == found("1" * 64) == {"ann"}
    assert found("11") == set()
    assert ledger.read(records.record_of, "nobody") is None


def test_the_hub_finds_a_ban_by_the_users_number_and_not_by_name(ledger: Ledger) -> None:
    make_person(ledger, ANN)
    ledger.write(bans.put, BAN)
    ledger.write(bans.put, replace(BAN, id="b2", until=None))
    first, second = ledger.read(bans.banned_users, now=NOW)
    assert (first.ban.id, second.ban.id) == ("b2", "b1"), "the longest first"
    assert [one.holds(later(601)) for one in (first, second)] == [True, False]
    assert first.is_of(ANN)
    assert first.is_of(replace(ANN, name="renamed"))
    assert not first.is_of(replace(ANN, since="2026-03-09T00:00:00Z")), "the number of a deleted user, given again"
    assert not first.may_be_of(ANN)
    ledger.write(lambda connection: connection.execute(update(people_table).values(hub_id=None, hub_since=None)))
    (unbound, _) = ledger.read(bans.banned_users, now=NOW)
    assert unbound.may_be_of(ANN)
