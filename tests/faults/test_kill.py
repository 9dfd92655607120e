"""kill -9 of each process, eight times, amid random starts and stops: no orphan, no lost row, no notebook touched."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from spawner.ledger.pool import instances
from spawner.ledger.time import charges, holds
from tests.lean import with_lean
from tests.stack import Stack, eventually, running_stack, write_catalog

KILLS = 8
VICTIMS = ("hub", "proxy", "desk", "steward")
PEOPLE = 4
SEED = 20260131
WITNESS = "jupyterlab"
"""The image with a real notebook; the others are only started and stopped."""


class RandomUser(threading.Thread):
    """A user who starts and stops at random and accepts any answer of the platform."""

    def __init__(self, stack: Stack, name: str, dice: random.Random, over: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.stack, self.dice, self.over = stack, dice, over
        self.answers: list[int | str] = []

    def run(self) -> None:
        while not self.over.is_set():
            act = self.dice.choice((self.stack.start, self.stack.start, self.stack.stop))
            try:
                self.answers.append(act(self.name).status_code)
            except httpx.HTTPError as error:
                self.answers.append(type(error).__name__)
            self.over.wait(self.dice.uniform(0.05, 0.8))


def _successes(people: list[RandomUser]) -> int:
    return sum(person.answers.count(201) for person in people)


def answers(stack: Stack, path: str, token: str | None = None) -> bool:
    """Whether a path answers 200."""
    headers = {"Authorization": f"token {token}"} if token else {}
    with contextlib.suppress(httpx.HTTPError):
        return stack.http.get(f"{stack.url}/{path}", headers=headers, timeout=5).status_code == 200
    return False


@pytest.mark.timeout(600)
def test_eight_kills_of_each_process_leave_a_correct_state(state: Path, lean: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        with_lean(data)
        data["images"].append(data["images"][0] | {"id": WITNESS, "environment": "light"})
        data["flavors"] = [flavor for flavor in data["flavors"] if flavor["id"] == "cpu-basic"]
        data["flavors"][0] |= {"reserve": "256MiB", "warm": 2, "limit": 12, "allowance": {"class": "gpu", "weight": 2}}
        data["allowances"]["classes"][0]["hours"] = 100

    dice = random.Random(SEED)
    catalog = write_catalog(state / "catalog.yaml", change)
    with running_stack(state / "s", catalog=catalog, settings=lean) as stack:
        witness = _start_witness(stack)
        over = threading.Event()
        people = [RandomUser(stack, f"person{n}", random.Random(SEED + n), over) for n in range(PEOPLE)]
        stack.api("POST", "/users", json={"usernames": [person.name for person in people]})
        for person in people:
            person.start()
        kills = [victim for victim in VICTIMS for _ in range(KILLS)]
        dice.shuffle(kills)
        for victim in kills:
            time.sleep(dice.uniform(0.1, 0.6))  # kills must come at random times
            eventually(lambda victim=victim: stack.pids(victim), seconds=30, what=victim)
            stack.kill(victim)
            if victim == "hub" and dice.random() < 0.7:  # otherwise the next kill follows at once
                successes = _successes(people)
                eventually(lambda before=successes: _successes(people) > before, seconds=60, what="a start")
        over.set()
        for person in people:
            person.join(90)
            assert not person.is_alive()
        assert _successes(people) > KILLS / 2, [person.answers for person in people]

        eventually(lambda: answers(stack, "hub/api/"), seconds=60, what="the hub")
        eventually(lambda: answers(stack, "services/desk/health"), seconds=60, what="the desk")
        _check_order(stack)
        assert _read_witness(stack) == witness
        _check_history(stack)
        _check_charges(stack)


def _start_witness(stack: Stack) -> str:
    """Start a notebook that runs through all kills, with a file in it. Returns its instance's id."""
    stack.add_user("witness")
    assert stack.start("witness", image=WITNESS).status_code in (201, 202)
    eventually(lambda: stack.api("GET", "/users?state=ready").json(), what="the witness")
    headers = {"Authorization": f"token {stack.user_token('witness')}"}
    body = {"type": "file", "format": "text", "content": "untouched"}
    url = f"{stack.url}/user/witness/api/contents/witness.txt"
    assert stack.http.put(url, json=body, headers=headers, timeout=20).status_code == 201
    return next(instance.id for instance in stack.unended() if instance.user_name == "witness")


def _read_witness(stack: Stack) -> str:
    token = stack.user_token("witness")
    path = "user/witness/api/contents/witness.txt"
    eventually(lambda: answers(stack, path, token), seconds=60, what="the witness' route")
    answer = stack.http.get(f"{stack.url}/{path}", headers={"Authorization": f"token {token}"}, timeout=20)
    assert answer.json()["content"] == "untouched"
    return next(instance.id for instance in stack.unended() if instance.user_name == "witness")


def _check_order(stack: Stack) -> None:
    """Ledger, pool and hub agree within a minute."""
    deadline = time.monotonic() + 60
    while True:
        rows, folders, unended = stack.slots(), stack.slot_folders(), stack.unended()
        known = {slot.id for slot in rows}
        servers = {
            user["name"]: user["servers"][""]["ready"] for user in stack.api("GET", "/users").json() if user["servers"]
        }
        if (
            folders == known
            and all(instance.state == "running" and instance.slot_id in known for instance in unended)
            and servers == {instance.user_name: True for instance in unended}
            and sum(slot.holder_id is None for slot in rows) == 2
            and {slot.holder_id for slot in rows if slot.holder_id} == {instance.id for instance in unended}
        ):
            return
        assert time.monotonic() < deadline, f"rows {rows}\nfolders {folders}\ninstances {unended}\nservers {servers}"
        time.sleep(0.2)


def _check_history(stack: Stack) -> None:
    """Every ended instance has an end time and a reason; no user ever had two at once."""
    everything = stack.ledger.read(instances.history)
    assert len(everything) > KILLS
    for instance in everything:
        assert (instance.state == "ended") == (instance.ended_at is not None)
        assert instance.state != "ended" or instance.reason is not None
    for user in {instance.user_name for instance in everything}:
        of_user = sorted(
            (instance for instance in everything if instance.user_name == user),
            key=lambda instance: instance.requested_at,
        )
        for before, after in itertools.pairwise(of_user):
            assert before.stopping_at is not None
            assert before.stopping_at <= after.requested_at


def _check_charges(stack: Stack) -> None:
    """Each run is charged once, for no more than its rows say, and nothing is set aside for what is over."""
    everything = stack.ledger.read(instances.history)
    charged = 0
    for instance in everything:
        hold, charge = stack.ledger.read(holds.get, instance.id), stack.ledger.read(charges.get, instance.id)
        if instance.state == "ended":
            assert (charge is not None) == (instance.usable_at is not None) == (hold is not None), (instance, charge)
            assert hold is None or hold.released_at is not None
        if charge is not None and hold is not None:
            assert instance.usable_at is not None
            ends = [end for end in (instance.stopping_at, instance.died_at) if end is not None]
            used = max(0.0, (min(ends) - instance.usable_at).total_seconds())
            assert charge.seconds == min(int(2 * used), hold.seconds)
            charged += 1
    assert charged > KILLS / 4
    names = {instance.person_id: instance.user_name for instance in everything}
    for person_id in names:
        running = [one.id for one in everything if one.person_id == person_id and one.state != "ended"]
        assert [hold.instance_id for hold in stack.ledger.read(holds.held, person_id)] == running
