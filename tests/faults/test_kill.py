"""kill -9 of each process amid random starts and stops and a full queue, at random times.

No orphan, no lost row, no notebook touched, and queued users are served once and in their order.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spawner.ledger import Instance, SlotState, Ticket, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.ledger.time import charges, holds
from tests.faults import queue_guests
from tests.faults.queue_guests import SIZE, Guest, Watcher, served
from tests.faults.random_users import WITNESS, RandomUser, answers, read_witness, start_witness, successes
from tests.hub.queue_users import alive, history, people
from tests.lean import with_lean
from tests.stack import Stack, eventually, running_stack, write_catalog

KILLS = int(os.environ.get("FREEPOOL_KILLS") or 4)
"""Of each process."""
VICTIMS = ("hub", "proxy", "desk", "steward")
PEOPLE, CROWD = 4, 15
WARM = 2
SEED = 20260131
pytestmark = pytest.mark.timeout(600 + 40 * KILLS)


def two_flavors(data: dict[str, Any]) -> None:
    """One flavor for those who come and go, charged and with warm slots; another for those who are queued."""
    with_lean(data)
    data["images"].append(data["images"][0] | {"id": WITNESS, "environment": "light"})
    basic, large = (
        next(flavor for flavor in data["flavors"] if flavor["id"] == name)
        for name in ("cpu-basic", queue_guests.FLAVOR)
    )
    basic |= {"reserve": "256MiB", "warm": WARM, "limit": 12, "allowance": {"class": "gpu", "weight": 2}}
    large |= {"reserve": "256MiB", "warm": 0, "limit": SIZE}
    data["flavors"] = [basic, large]
    data["allowances"]["classes"][0]["hours"] = 100
    data["queue"] = {"hold_seconds": 600, "use_counts": 0}


@dataclass(frozen=True)
class Survived:
    """A stack after all kills. `started` is the witness' instance before them."""

    stack: Stack
    started: str
    guests: list[Guest]
    watcher: Watcher


@pytest.fixture(scope="module")
def survived(lean: Path) -> Iterator[Survived]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        catalog = write_catalog(folder / "catalog.yaml", two_flavors)
        with running_stack(folder / "s", catalog=catalog, settings=lean) as stack:
            yield _kill_amid_use(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill_amid_use(stack: Stack) -> Survived:
    dice = random.Random(SEED)
    started = start_witness(stack)
    over = threading.Event()
    users = [RandomUser(stack, f"person{n}", random.Random(SEED + n), over) for n in range(PEOPLE)]
    stack.api("POST", "/users", json={"usernames": [user.name for user in users]})
    names = [f"guest{number:02}" for number in range(CROWD)]
    guests = [Guest(person, random.Random(f"{SEED} {person.name}")) for person in people(stack, *names)]
    watcher = Watcher(stack, set(names))
    for thread in (watcher, *users, *guests):
        thread.start()
    kills = [victim for victim in VICTIMS for _ in range(KILLS)]
    dice.shuffle(kills)
    for victim in kills:
        time.sleep(dice.uniform(0.1, 0.6))  # kills must come at random times
        eventually(lambda victim=victim: stack.pids(victim), seconds=30, what=victim)
        stack.kill(victim)
        if victim == "hub" and dice.random() < 0.7:  # otherwise the next kill follows at once
            _wait_for_progress(users, guests)
    over.set()
    for user in users:
        user.join(90)
        assert not user.is_alive()
    assert successes(users) > KILLS / 2, [user.answers for user in users]
    for guest in guests:
        guest.join(240)
        assert not guest.is_alive(), f"{guest.name}: {alive(stack)}\n{stack.unended()}"
    eventually(lambda: answers(stack, "hub/api/"), seconds=60, what="the hub")
    eventually(lambda: answers(stack, "services/desk/health"), seconds=60, what="the desk")
    _check_order(stack)
    watcher.over.set()
    watcher.join(10)
    return Survived(stack, started, guests, watcher)


def _wait_for_progress(users: list[RandomUser], guests: list[Guest]) -> None:
    """Wait until a start has succeeded, and one more guest has been served."""
    starts, guests_served = successes(users), served(guests)
    eventually(lambda: successes(users) > starts, seconds=60, what="a start")
    eventually(
        lambda: served(guests) > guests_served or guests_served == len(guests), seconds=90, what="the next in the queue"
    )


def _check_order(stack: Stack) -> None:
    """Ledger, pool and hub agree within a minute."""
    deadline = time.monotonic() + 60
    while True:
        rows, folders, unended, queue = stack.slots(), stack.slot_folders(), stack.unended(), alive(stack)
        known = {slot.id for slot in rows}
        servers = {
            user["name"]: user["servers"][""]["ready"] for user in stack.api("GET", "/users").json() if user["servers"]
        }
        if (
            folders == known
            and all(instance.state == "running" and instance.slot_id in known for instance in unended)
            and servers == {instance.user_name: True for instance in unended}
            and sum(slot.holder_id is None for slot in rows) == WARM
            and {slot.holder_id for slot in rows if slot.holder_id} == {instance.id for instance in unended}
            and all(slot.state is SlotState.CLAIMED for slot in rows if slot.holder_id)
            and not queue
        ):
            return
        seen = f"rows {rows}\nfolders {folders}\ninstances {unended}\nservers {servers}\nqueue {queue}"
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)


def test_kills_leave_ledger_pool_and_hub_in_agreement_and_no_notebook_is_touched(survived: Survived) -> None:
    assert read_witness(survived.stack) == survived.started


def test_after_kills_each_instance_has_an_end_and_a_reason_and_no_user_had_two(survived: Survived) -> None:
    everything = history(survived.stack)
    assert len(everything) > KILLS + CROWD
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


def test_after_kills_each_run_is_charged_once_and_nothing_is_set_aside_for_what_is_over(survived: Survived) -> None:
    """Charged for no more than its rows say."""
    ledger = survived.stack.ledger
    everything = [instance for instance in history(survived.stack) if instance.flavor != queue_guests.FLAVOR]
    charged = 0
    for instance in everything:
        hold, charge = ledger.read(holds.get, instance.id), ledger.read(charges.get, instance.id)
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
    for person_id in {instance.person_id for instance in everything}:
        running = [one.id for one in everything if one.person_id == person_id and one.state != "ended"]
        assert [hold.instance_id for hold in ledger.read(holds.held, person_id)] == running


def _instances_of_guests(survived: Survived) -> list[Instance]:
    return [one for one in survived.stack.ledger.read(instances.history) if one.flavor == queue_guests.FLAVOR]


def _tickets_of_guests(survived: Survived) -> list[Ticket]:
    since = history(survived.stack)[0].requested_at - timedelta(hours=1)
    return [one for one in survived.stack.ledger.read(tickets.since, since) if one.flavor == queue_guests.FLAVOR]


def test_despite_kills_each_queued_user_is_served_once(survived: Survived) -> None:
    once = {guest.name: 1 for guest in survived.guests}
    assert Counter(one.user_name for one in _instances_of_guests(survived) if one.usable_at is not None) == once
    tickets_of_guests = _tickets_of_guests(survived)
    assert Counter(one.user_name for one in tickets_of_guests if one.state is TicketState.SERVED) == once


def test_amid_kills_no_user_has_two_tickets_and_no_more_is_promised_than_there_is(survived: Survived) -> None:
    assert survived.watcher.first_calls
    assert not survived.watcher.wrong


def test_despite_kills_no_ticket_is_called_before_one_that_ranks_before_it(survived: Survived) -> None:
    """No ticket was called while a ticket that ranks before it was queued and not yet called."""
    first_calls = survived.watcher.first_calls
    called = [ticket for ticket in _tickets_of_guests(survived) if ticket.id in first_calls]
    assert sum(ticket.has_waited for ticket in called) >= CROWD - 2 * SIZE, "a line, not a walk-in"
    for first in called:
        for second in called:
            was_known = first.joined_at < first_calls[second.id]
            if was_known and (first.rank_at, first.joined_at) < (second.rank_at, second.joined_at):
                assert first_calls[first.id] <= first_calls[second.id], f"{second} before {first}"
