"""A full pool: users are queued, and their instance starts without further action."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spawner.ledger import EndReason, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.refusals import REFUSAL_HEADER
from tests.hub.queue_users import Person, alive, history, lean_pool_of, people, wait_for_order
from tests.stack import Stack, browser_client, eventually, running_stack, write_catalog


@pytest.fixture(scope="module")
def two(lean: Path) -> Iterator[Stack]:
    """A stack with a pool of two; every test leaves it empty."""
    with tempfile.TemporaryDirectory(prefix="freepool-", ignore_cleanup_errors=True) as folder:
        catalog = write_catalog(Path(folder) / "catalog.yaml", lean_pool_of(2))
        with running_stack(Path(folder) / "s", catalog=catalog, settings=lean) as stack:
            yield stack


@pytest.fixture
def stack(two: Stack) -> Iterator[Stack]:
    yield two

    def is_empty() -> bool:
        if two.api("GET", "/").status_code != 200:
            return False  # a killed hub is not back yet
        for person in two.api("GET", "/users").json():
            two.api("DELETE", f"/users/{person['name']}")  # refused while a start or stop is pending
        return not two.unended() and not alive(two) and not two.api("GET", "/users").json()

    eventually(is_empty, seconds=60, what="an empty pool")


def test_a_pool_without_warm_slots_is_ready_without_warnings(two: Stack) -> None:
    assert [line for line in two.output if "WARNING" in line] == []


def fill(stack: Stack, *names: str) -> list[Person]:
    """Users whose instances fill the pool."""
    found = people(stack, *names)
    for person in found:
        assert person.ask().status_code in (201, 202)
    for person in found:
        person.wait_running()
    return found


def test_nobody_extends_a_session_while_others_wait(stack: Stack) -> None:
    ann, _ = fill(stack, "ann", "bob")
    before = ann.instance
    (third,) = people(stack, "third")
    assert third.ask().status_code == 202
    session = stack.desk("GET", "api/session", token=ann.token).json()
    assert (session["extension"]["possible"], session["extension"]["reason"]) == (False, "others_wait")
    refused = stack.desk("POST", "api/session/extend", token=ann.token, json={"number": 1})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "others_wait")
    assert refused.json()["error"]["message"].startswith("Other users are waiting for this machine type")
    assert ann.instance == before
    assert third.leave().status_code == 200
    assert stack.desk("POST", "api/session/extend", token=ann.token, json={"number": 1}).status_code == 200


def test_jupyterhubs_api_reports_the_place_in_the_queue(stack: Stack) -> None:
    ann, _ = fill(stack, "ann", "bob")
    third, fourth = people(stack, "third", "fourth")
    answer = stack.start("third")
    assert answer.status_code == 503
    refusal = json.loads(answer.headers[REFUSAL_HEADER])
    assert refusal["code"] == "queued"
    facts = refusal["facts"]
    assert (facts["flavor"], facts["image"], facts["place"]) == ("cpu-basic", "light", 1)
    assert facts["poll"] == "/services/desk/api/ticket"
    low, high = facts["expected_seconds"]
    assert 0 < low < high <= 4 * 3600
    assert 5 <= int(answer.headers["Retry-After"]) == facts["retry_after"] <= 60
    assert "You are number 1 in the queue." in answer.json()["message"]

    polled = stack.desk("GET", facts["poll"].removeprefix("/services/desk/"), token=third.token).json()["ticket"]
    assert (polled["id"], polled["state"], polled["place"]) == (facts["ticket"], "waiting", 1)
    with browser_client() as browser:
        browser.get(stack.link_for("third"))
        page = browser.get(f"{stack.url}/hub/spawn", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert '<meta http-equiv="refresh" content="0; url=/services/desk/">' in page.text
        assert "You are number 1 in the queue." in page.text
        assert "restart" not in page.text.lower()
    assert json.loads(stack.start("fourth").headers[REFUSAL_HEADER])["facts"]["place"] == 2
    again = json.loads(stack.start("third").headers[REFUSAL_HEADER])["facts"]
    assert (again["ticket"], again["place"]) == (facts["ticket"], 1), "asking again keeps the place"

    ann.stop()
    third.wait_running()
    assert third.ticket is None
    assert fourth.place == 1
    fourth.leave()
    wait_for_order(stack)


def test_the_desk_reports_the_place_and_keeps_the_example(stack: Stack) -> None:
    ann, bob = fill(stack, "ann", "bob")
    (cat,) = people(stack, "cat")
    before = stack.desk("GET", "api/state", token=cat.token).json()
    assert before["flavors"][0]["in_line"] == 0, "what the desk has just read may serve its next answer, too"
    answer = cat.ask(example="ocr")
    assert answer.status_code == 202
    state = answer.json()
    assert state["instance"] is None
    assert (state["ticket"]["place"], state["ticket"]["example"], state["ticket"]["held"]) == (1, "ocr", False)
    assert cat.ask().json()["ticket"]["id"] == state["ticket"]["id"], "asking again is the same place"
    (basic,) = state["flavors"]
    assert (basic["available"], basic["in_line"], basic["queue"]) == (0, 1, True)
    bob.stop()
    cat.wait_running()
    assert cat.instance is not None
    assert cat.instance.example == "ocr"
    ann.stop()


def test_a_link_that_was_opened_keeps_its_target_in_the_queue(stack: Stack) -> None:
    _, bob = fill(stack, "ann", "bob")
    (cat,) = people(stack, "cat")
    pressed = stack.desk("POST", "open", token=cat.token, data={"example": "ocr", "flavor": "cpu-basic"})
    assert (pressed.status_code, pressed.headers["Location"]) == (303, "/services/desk/open/wait")
    kept = {"Cookie": pressed.headers["Set-Cookie"].partition(";")[0]}

    def opened() -> dict[str, str]:
        answer = stack.desk("POST", "api/open?wait=yes", token=cat.token, json={}, headers=kept)
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()
        assert found["state"] in ("queued", "starting", "ready"), found
        return found

    assert stack.desk("POST", "api/open", token=cat.token, json={}, headers=kept).json()["text"] == (
        "You are number 1 in the queue."
    )
    waiting = stack.desk("GET", "open", token=cat.token, params={"example": "language"})
    assert "You are in the queue. It opens when your notebook is ready." in waiting.text
    bob.stop()
    eventually(lambda: opened()["state"] == "ready", seconds=60, what="the notebook file")
    assert opened()["url"] == "/user/cat/lab/tree/examples/ocr/ocr.ipynb?language=en"
    assert cat.instance is not None
    assert (cat.instance.example, cat.place) == ("ocr", None)


def test_six_users_of_a_pool_of_two_are_served_in_order(stack: Stack) -> None:
    users = people(stack, *(f"p{number}" for number in range(6)))
    for person in users:
        assert person.ask().status_code in (201, 202)
    for place, person in enumerate(users[2:], 1):
        assert person.place == place
    for leaver, next_one in zip(users, users[2:], strict=False):
        leaver.wait_running()
        leaver.stop()
        next_one.wait_running()
    for person in users[4:]:
        person.stop()
    started = [instance for instance in history(stack) if instance.user_name in {person.name for person in users}]
    assert [instance.user_name for instance in started] == [person.name for person in users]
    assert {instance.reason for instance in started} == {EndReason.STOPPED}
    wait_for_order(stack)


@pytest.mark.parametrize("gap", [0, 0.05, 0.4])
def test_a_restart_keeps_its_place_while_others_are_queued(stack: Stack, gap: float) -> None:
    """Two restarts from two tabs, `gap` seconds apart, give one new instance."""
    ann, bob = fill(stack, "ann", "bob")
    (cat,) = people(stack, "cat")
    cat.ask()
    before = ann.instance
    assert before is not None

    def press(number: int) -> int:
        time.sleep(number * gap)
        return ann.restart().status_code

    with ThreadPoolExecutor() as tabs:
        assert set(tabs.map(press, range(2))) <= {201, 202}
    ann.wait_running()
    eventually(lambda: ann.instance is not None and ann.instance.id != before.id and ann.runs, what="the new instance")
    assert ann.instance is not None
    assert before.ends_at is not None
    assert ann.instance.ends_at is not None
    assert ann.instance.ends_at <= before.ends_at, "where others wait it gets no more time"
    assert cat.place == 1
    wait_for_order(stack)
    cat.leave()
    bob.stop()


def test_a_held_slot_is_started_once_from_several_tabs(stack: Stack) -> None:
    (ann,) = fill(stack, "ann")
    before = ann.instance
    assert before is not None
    assert stack.desk("POST", "api/ticket", token=ann.token, json={}).status_code == 202
    with ThreadPoolExecutor() as tabs:
        taken = list(tabs.map(lambda _: ann.take().status_code, range(3)))
    assert set(taken) <= {201, 202}
    ann.wait_running()
    assert ann.instance is not None
    assert ann.instance.id != before.id
    since = [instance for instance in history(stack) if instance.requested_at > before.requested_at]
    assert [instance.id for instance in since] == [ann.instance.id], "one start, which nobody has interrupted"
    assert stack.ledger.read(instances.get, before.id).reason is EndReason.SWITCHED, "ann did not stop it"
    wait_for_order(stack)
    ann.stop()


# Leaving the queue, in any state and repeatedly


def waiting(person: Person, leaver: Person) -> None:
    assert person.place == 1


def called(person: Person, leaver: Person) -> None:
    leaver.stop()
    eventually(lambda: any(ticket.user_name == person.name and ticket.called_at for ticket in alive(person.stack)))


def starting(person: Person, leaver: Person) -> None:
    leaver.stop()
    eventually(lambda: person.instance, what="the start")


def running(person: Person, leaver: Person) -> None:
    leaver.stop()
    person.wait_running()


def stopping(person: Person, leaver: Person) -> None:
    running(person, leaver)
    threading.Thread(target=person.stop).start()
    eventually(lambda: not person.runs, what="the stop")


WHEN: list[Callable[[Person, Person], None]] = [waiting, called, starting, running, stopping]


@pytest.mark.parametrize("when", WHEN, ids=lambda when: when.__name__)
def test_a_user_may_leave_in_any_state_and_repeatedly(stack: Stack, when: Callable[[Person, Person], None]) -> None:
    ann, bob = fill(stack, "ann", "bob")
    cat, dan = people(stack, "cat", "dan")
    for person in (cat, dan):
        person.ask()
    when(cat, ann)
    with ThreadPoolExecutor() as clients:
        answers = list(clients.map(lambda _: cat.leave(), range(2)))
    answers.append(cat.leave())
    assert not [answer.text for answer in answers if answer.status_code != 200]
    assert cat.ticket is None
    if when is running:  # the ticket is served already: leaving stops nothing
        assert cat.runs
        cat.stop()
    if when is waiting:
        assert dan.place == 1
        ann.stop()
    dan.wait_running()
    eventually(lambda: cat.instance is None, what="the end of what had begun")
    wait_for_order(stack)
    assert not alive(stack), "nobody stands in line without having asked"
    bob.stop()
    dan.stop()
    wait_for_order(stack)


def test_a_user_who_left_rejoins_at_the_end_of_the_queue(stack: Stack) -> None:
    ann, _ = fill(stack, "ann", "bob")
    cat, dan = people(stack, "cat", "dan")
    cat.ask()
    dan.ask()
    cat.leave()
    assert cat.ask().json()["ticket"]["place"] == 2
    ann.stop()
    dan.wait_running()
    assert cat.place == 1
    cat.leave()


@pytest.mark.timeout(400)
def test_cancelling_during_a_call_leaves_no_instance(stack: Stack) -> None:
    """The user leaves while the steward dispatches the called ticket to the hub."""
    ann, bob = fill(stack, "ann", "bob")
    (cat,) = people(stack, "cat")
    for _ in range(4):
        cat.ask()
        ann.stop()
        eventually(lambda: any(ticket.called_at for ticket in alive(stack)) or cat.instance, what="cat's turn")
        cat.leave()
        eventually(lambda: not alive(stack), seconds=15, what="an empty line")
        eventually(lambda: cat.instance is None, seconds=15, what="the end of what had begun")
        ann.ask()
        ann.wait_running()
    bob.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_a_hub_that_ends_during_a_start_loses_no_place(stack: Stack, number: signal.Signals) -> None:
    ann, bob = fill(stack, "ann", "bob")
    cat, dan = people(stack, "cat", "dan")
    cat.ask()
    dan.ask()
    before = cat.ticket
    assert before is not None
    ann.stop()
    eventually(lambda: cat.instance, what="the start")
    for pid in stack.pids("hub"):
        os.kill(pid, number)
    cat.wait_running(90)
    eventually(lambda: stack.api("GET", "/").status_code == 200, seconds=60, what="the hub")
    served = stack.ledger.read(tickets.get, before["id"])
    assert (served.state, served.user_name) == (TicketState.SERVED, "cat")
    assert dan.place == 1
    dan.leave()
    wait_for_order(stack)
    for person in (bob, cat):
        person.stop()
