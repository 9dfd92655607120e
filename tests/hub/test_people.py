"""A rename strands nothing, a deletion sheds nothing, and whoever takes a name over is somebody else."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from itertools import count

import pytest

from spawner.ledger import EndReason, Instance, InstanceState
from spawner.ledger.people import people
from spawner.ledger.pool import instances, tickets
from spawner.pool.build import utc_now
from tests.hub.deadlines import reach_end
from tests.hub.queue_users import Person
from tests.stack import PATIENCE, PROJECT, Stack, eventually

NUMBERS = count(1)


@pytest.fixture
def ann(shared_stack: Stack) -> Person:
    """A user with a name of this test's own."""
    name = f"renamed-{next(NUMBERS)}"
    shared_stack.add_user(name)
    return Person(shared_stack, name, shared_stack.user_token(name))


def rename(person: Person, to: str) -> Person:
    """By JupyterHub's own API. The user's tokens stay valid."""
    answer = person.stack.api("PATCH", f"/users/{person.name}", json={"name": to})
    assert answer.status_code == 200, answer.text
    return Person(person.stack, to, person.token)


def delete(person: Person) -> None:
    assert person.stack.api("DELETE", f"/users/{person.name}").status_code == 204


def again(person: Person) -> Person:
    """Another user of the same name."""
    person.stack.add_user(person.name)
    return Person(person.stack, person.name, person.stack.user_token(person.name))


def state_of(person: Person) -> dict[str, object]:
    answer = person.stack.desk("GET", "api/state", token=person.token)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def status(name: str, person: Person) -> int:
    """What a person's token gets from the notebook of a name."""
    headers = {"Authorization": f"token {person.token}"}
    url = f"{person.stack.url}/user/{name}/api/status"
    return person.stack.http.get(url, headers=headers, follow_redirects=True).status_code


def row_of(person: Person, instance_id: str) -> Instance:
    return person.stack.ledger.read(instances.get, instance_id)


def start(person: Person) -> Instance:
    person.stack.wait_warm()
    person.stack.run(person.name)
    instance = person.stack.ledger.read(instances.latest, person.stack.person_of(person.name), "")
    assert instance is not None
    return instance


def test_what_runs_is_the_renamed_users_who_can_stop_it(ann: Person) -> None:
    instance = start(ann)
    before = state_of(ann)["instance"]
    assert before["problem"] is None  # type: ignore[index]
    renamed = rename(ann, f"{ann.name}-now")
    # The hub writes the new name to the ledger beside its answer.
    state = eventually(lambda: (now := state_of(renamed))["user"]["name"] == renamed.name and now, what="the name")  # type: ignore[index]
    shown = state["instance"]
    assert shown["id"] == instance.id  # type: ignore[index]
    assert f"under your previous name {ann.name}" in shown["problem"]  # type: ignore[index]
    assert renamed.ask().status_code == 409, "one person has one instance, under whatever name"
    answer = renamed.stop()
    assert (answer.status_code, answer.json()["instance"]) == (200, None)
    ended = row_of(ann, instance.id)
    assert (ended.state, ended.reason) == (InstanceState.ENDED, EndReason.STOPPED)
    assert instance.slot_id not in ann.stack.slot_folders()
    fresh = start(renamed)
    assert status(renamed.name, renamed) == 200
    assert state_of(renamed)["instance"]["problem"] is None  # type: ignore[index]
    assert (fresh.person_id, fresh.user_name) == (instance.person_id, renamed.name)
    assert ann.stack.stop(renamed.name).status_code in (202, 204), "an administrator stops it"


def test_an_administrator_stops_what_ran_before_a_rename(ann: Person) -> None:
    instance = start(ann)
    renamed = rename(ann, f"{ann.name}-now")
    assert ann.stack.api("DELETE", f"/users/{renamed.name}/server").status_code == 204
    eventually(lambda: row_of(ann, instance.id).state is InstanceState.ENDED, what="the end")
    assert row_of(ann, instance.id).reason is EndReason.STOPPED


def test_the_deadline_holds_after_a_rename(ann: Person) -> None:
    instance = start(ann)
    renamed = rename(ann, f"{ann.name}-now")
    reach_end(ann.stack.ledger, instance.id, instance.person_id)
    eventually(lambda: row_of(ann, instance.id).state is InstanceState.ENDED, what="the end at the deadline")
    assert row_of(ann, instance.id).reason is EndReason.DEADLINE
    eventually(lambda: ann.stack.api("GET", f"/users/{renamed.name}").json()["servers"] == {}, what="the hub's cleanup")


def test_whoever_takes_a_name_over_sees_nothing_of_the_former_one(ann: Person) -> None:
    instance = start(ann)
    renamed = rename(ann, f"{ann.name}-now")
    taker = again(ann)
    state = state_of(taker)
    assert (state["instance"], state["ticket"], state["last"]) == (None, None, None)
    assert taker.stop().status_code in (200, 204)
    assert status(ann.name, renamed) == status(renamed.name, taker) == 404, "the routes are the new name's"
    assert status(ann.name, taker) == 424, "the former one's notebook does not let the taker in"
    assert row_of(ann, instance.id).state is InstanceState.RUNNING, "a stop by the taker ends nothing of the other's"
    theirs = start(taker)
    assert (status(ann.name, taker), status(ann.name, renamed)) == (200, 403)
    assert theirs.person_id != instance.person_id
    assert row_of(ann, instance.id).state is InstanceState.RUNNING, "a start by the taker supersedes nothing"
    assert taker.stop().status_code == 200
    assert renamed.stop().status_code == 200
    assert row_of(ann, instance.id).reason is EndReason.STOPPED


def test_a_deleted_user_of_a_link_who_comes_back_is_somebody_new(ann: Person) -> None:
    instance = start(ann)
    assert ann.stop().status_code == 200
    delete(ann)
    # The hub writes it to the ledger beside its answer.
    eventually(
        lambda: ann.stack.desk("GET", "api/state", token=ann.token).status_code == 403,
        what="the refusal of a deleted user's token",
    )
    taker = again(ann)
    assert state_of(taker)["last"] is None
    theirs = ann.stack.ledger.read(people.current, ann.name, created(taker))
    assert theirs is not None
    assert theirs.id != instance.person_id
    used = ann.stack.ledger.read(instances.used_since, theirs.id, instance.requested_at, now=utc_now())
    assert used.total_seconds() == 0
    assert [row.id for row in ann.stack.ledger.read(people.of_name, ann.name)] == [theirs.id, instance.person_id]


def created(person: Person) -> str:
    return str(person.stack.api("GET", f"/users/{person.name}").json()["created"])


def test_a_ticket_is_started_for_its_person_under_the_name_of_today(ann: Person) -> None:
    """The steward starts it. A user who has the name by then gets nothing."""
    first = start(ann)
    assert ann.stack.desk("POST", "api/ticket", token=ann.token, json={"flavor": "cpu-large"}).status_code == 202
    (ticket,) = ann.stack.ledger.read(tickets.alive, first.person_id)
    renamed = rename(ann, f"{ann.name}-now")
    taker = again(ann)
    assert ann.stack.start(taker.name, ticket=ticket.id).status_code == 409, "another person's ticket starts nothing"
    assert renamed.stop().status_code == 200
    eventually(
        lambda: any(
            one.flavor == "cpu-large" and one.state is InstanceState.RUNNING
            for one in ann.stack.ledger.read(instances.unended, first.person_id)
        ),
        what="the start of the ticket",
    )
    assert renamed.stop().status_code == 200
    assert state_of(taker)["instance"] is None


def freepool(stack: Stack, *arguments: str) -> str:
    """A command of `freepool`, beside the stack."""
    command = [sys.executable, "-m", "spawner.cli", *arguments, "--state", str(stack.state)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_ban_ends_what_is_free_within_seconds_and_says_until_when(ann: Person) -> None:
    stack, instance = ann.stack, start(ann)
    assert stack.desk("POST", "api/ticket", token=ann.token, json={"flavor": "cpu-large"}).status_code == 202
    freepool(stack, "ban", ann.name, "--code", "mining", "--days", "2", "--appeal", "mail appeals@example.org")
    began = time.monotonic()
    eventually(lambda: not stack.ledger.read(instances.unended, instance.person_id), what="the end")
    assert time.monotonic() - began < 5 * PATIENCE
    assert row_of(ann, instance.id).reason is EndReason.BANNED
    assert stack.ledger.read(tickets.alive, instance.person_id) == []
    eventually(lambda: stack.api("GET", f"/users/{ann.name}").json()["servers"] == {}, what="the hub's cleanup")
    refused = {
        "state": stack.desk("GET", "api/state", token=ann.token),
        "events": stack.desk("GET", "api/events", token=ann.token),
        "start": ann.ask(),
        "ticket": stack.desk("POST", "api/ticket", token=ann.token, json={}),
        "hub": stack.api("POST", f"/users/{ann.name}/server", token=ann.token),
        "administrator": stack.start(ann.name),
    }
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(refused, 403)
    error = refused["state"].json()["error"]
    assert (error["code"], error["message"]) == (
        "banned",
        "Your account is banned: it was used for cryptocurrency mining.",
    )
    assert re.fullmatch(
        r"The ban ends on \d{4}-\d\d-\d\d \d\d:\d\d UTC. You can appeal: mail appeals@.*", error["next"]
    )
    page = stack.desk("GET", "", token=ann.token, headers={"Accept-Language": "zh-CN"})
    assert (page.status_code, "申诉方式：mail appeals@example.org" in page.text) == (403, True)
    renamed = rename(ann, f"{ann.name}-now")
    assert renamed.ask().status_code == 403, "a new name sheds no ban"
    assert again(ann).stack.desk("GET", "api/state", token=again(ann).token).status_code == 200, (
        "the name is not banned"
    )
    freepool(stack, "unban", renamed.name)
    start(renamed)
    assert stack.stop(renamed.name).status_code in (202, 204)
