"""A full pool: people stand in line, and get their instance without touching anything."""

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
from spawner.ledger.pool import tickets
from spawner.refusals import REFUSAL_HEADER
from tests.hub.line import Person, alive, history, lean_pool_of, people, pool_of, wait_for_order
from tests.stack import Stack, eventually, running_stack, write_catalog


@pytest.fixture(scope="module")
def two(lean: Path) -> Iterator[Stack]:
    """A pool of two; every test leaves it empty."""
    with tempfile.TemporaryDirectory(prefix="freepool-", ignore_cleanup_errors=True) as folder:
        catalog = write_catalog(Path(folder) / "catalog.yaml", lean_pool_of(2))
        with running_stack(Path(folder) / "s", catalog=catalog, settings=lean) as stack:
            yield stack


@pytest.fixture
def stack(two: Stack) -> Iterator[Stack]:
    yield two

    def is_empty() -> bool:
        if two.api("GET", "/").status_code != 200:
            return False  # one that was killed is not back yet
        for person in two.api("GET", "/users").json():
            two.api("DELETE", f"/users/{person['name']}")  # refused while something of it is under way
        return not two.unended() and not alive(two) and not two.api("GET", "/users").json()

    eventually(is_empty, seconds=60, what="an empty pool")


def test_a_pool_that_keeps_nothing_waiting_is_ready_all_the_same(two: Stack) -> None:
    assert [line for line in two.output if "WARNING" in line] == []


def fill(stack: Stack, *names: str) -> list[Person]:
    """People who take all there is."""
    found = people(stack, *names)
    for person in found:
        assert person.ask().status_code in (201, 202)
    for person in found:
        person.wait_running()
    return found


def test_jupyterhubs_api_says_where_one_stands(stack: Stack) -> None:
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
    assert "You are number 1 in line." in answer.json()["message"]

    polled = stack.desk("GET", facts["poll"].removeprefix("/services/desk/"), token=third.token).json()["ticket"]
    assert (polled["id"], polled["state"], polled["place"]) == (facts["ticket"], "waiting", 1)
    assert json.loads(stack.start("fourth").headers[REFUSAL_HEADER])["facts"]["place"] == 2
    again = json.loads(stack.start("third").headers[REFUSAL_HEADER])["facts"]
    assert (again["ticket"], again["place"]) == (facts["ticket"], 1), "asking again keeps the place"

    ann.stop()
    third.wait_running()
    assert third.ticket is None
    assert fourth.place == 1
    fourth.leave()
    wait_for_order(stack)


def test_the_desk_answers_with_a_place_and_the_example_is_kept(stack: Stack) -> None:
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


def test_six_people_are_served_by_two_in_the_order_in_which_they_came(stack: Stack) -> None:
    everybody = people(stack, *(f"p{number}" for number in range(6)))
    for person in everybody:
        assert person.ask().status_code in (201, 202)
    for place, person in enumerate(everybody[2:], 1):
        assert person.place == place
    for leaver, next_one in zip(everybody, everybody[2:], strict=False):
        leaver.wait_running()
        leaver.stop()
        next_one.wait_running()
    for person in everybody[4:]:
        person.stop()
    started = [instance for instance in history(stack) if instance.user_name in {person.name for person in everybody}]
    assert [instance.user_name for instance in started] == [person.name for person in everybody]
    assert {instance.reason for instance in started} == {EndReason.STOPPED}
    wait_for_order(stack)


@pytest.mark.parametrize("gap", [0, 0.05, 0.4])
def test_a_restart_keeps_its_place_while_others_wait(stack: Stack, gap: float) -> None:
    """And pressing the button in two tabs does no harm, whatever the first has come to. `gap`: seconds between them."""
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


def test_what_is_held_is_taken_once_from_however_many_tabs(stack: Stack) -> None:
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
    wait_for_order(stack)
    ann.stop()


# Leaving the line, at any moment and any number of times


def waiting(person: Person, leaver: Person) -> None:
    assert person.place == 1


def called(person: Person, leaver: Person) -> None:
    leaver.stop()
    eventually(lambda: any(one.user_name == person.name and one.called_at for one in alive(person.stack)))


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
def test_leaving_is_free_at_any_moment_and_any_number_of_times(
    stack: Stack, when: Callable[[Person, Person], None]
) -> None:
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
    if when is running:  # the line is left already: that was no stop
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


def test_who_leaves_the_line_may_come_again_at_its_end(stack: Stack) -> None:
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
def test_cancelling_in_the_middle_of_a_call_never_leaves_a_ghost(stack: Stack) -> None:
    """At the moment at which the steward has the hub start what its person has just given up."""
    ann, bob = fill(stack, "ann", "bob")
    (cat,) = people(stack, "cat")
    for _ in range(8):
        cat.ask()
        ann.stop()
        eventually(lambda: any(one.called_at for one in alive(stack)) or cat.instance, what="cat's turn")
        cat.leave()
        eventually(lambda: not alive(stack), seconds=15, what="an empty line")
        eventually(lambda: cat.instance is None, seconds=15, what="the end of what had begun")
        ann.ask()
        ann.wait_running()
    bob.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_a_hub_that_ends_during_a_start_costs_nobody_their_place(stack: Stack, number: signal.Signals) -> None:
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


# Who does not come


@pytest.mark.timeout(400)
def test_who_never_comes_loses_it_to_the_next_and_who_comes_keeps_it(state: Path) -> None:
    """With JupyterLab: what it reports of its own accord, a moment after its start, is no visit."""
    catalog = write_catalog(state / "catalog.yaml", pool_of(1, hold_seconds=10))
    with running_stack(state / "s", catalog=catalog) as stack:
        (ann,) = fill(stack, "ann")
        absent, present, last = people(stack, "absent", "present", "last")
        for person in (absent, present, last):
            assert person.ask().status_code == 202
        ann.stop()
        absent.wait_running()
        present.wait_running(90)
        come = threading.Event()

        def work() -> None:
            url = f"{stack.url}/user/present/api/status"
            while not come.wait(2):
                stack.http.get(url, headers={"Authorization": f"token {present.token}"}, timeout=20)

        visitor = threading.Thread(target=work)
        visitor.start()
        try:
            started = {instance.user_name: instance for instance in history(stack)}
            assert started["absent"].reason is EndReason.NOT_COLLECTED
            assert come.wait(35) is False
            assert present.runs, "whoever has come keeps it"
            assert last.place == 1
        finally:
            come.set()
            visitor.join()
        present.stop()
        last.wait_running()
        everything = stack.ledger.read(tickets.since, started["absent"].requested_at.replace(year=2000))
        assert [one.user_name for one in everything if one.state is TicketState.SERVED] == [
            "ann",
            "absent",
            "present",
            "last",
        ]
