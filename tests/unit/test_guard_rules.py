"""What the guard finds in samples, and what follows from its notes: a table of scenarios."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from spawner.guard_settings import GuardSettings
from spawner.ledger.pool.rows import GuardKind, GuardNote
from spawner.pool.backends.base import SlotUse, Unseen
from spawner.pool.backends.kubernetes.metrics import read_usage
from spawner.steward import guard_rules
from spawner.steward.guard_known import known_programs
from spawner.steward.guard_rules import Sample
from tests.unit.make import NOW

RULES = GuardSettings()


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def looks(share: Callable[[int], float | None], *, hours: float) -> list[Sample]:
    """The samples that are kept after so many hours, a look every five minutes. `share` is by minute, from 0."""
    samples: list[Sample] = []
    for at in range(0, int(hours * 60) + 1, 5):
        samples = guard_rules.keep(samples, Sample(NOW + minutes(at), share(at)), RULES)
    return samples


SCENARIOS: list[tuple[str, Callable[[int], float | None], float, bool]] = [
    ("mines for three hours", lambda _: 1.0, 3, True),
    ("mines for an hour", lambda _: 1.0, 1, False),
    ("mines with half of it", lambda _: 0.5, 3, False),
    ("trains, with pauses for data", lambda at: 0.4 if at % 20 == 0 else 1.0, 3, True),
    ("compiles for ten minutes", lambda at: 1.0 if at < 10 else 0.02, 3, False),
    ("was busy long ago", lambda at: 1.0 if at < 180 else 0.01, 6, False),
    ("becomes busy after a quiet day", lambda at: 1.0 if at > 300 else 0.01, 8, True),
    ("idles", lambda _: 0.01, 8, False),
    ("cannot be seen", lambda _: None, 8, False),
    ("uses all of it every other five minutes", lambda at: 1.0 if at % 10 else 0.0, 8, False),
]


@pytest.mark.parametrize(("name", "share", "hours", "wanted"), SCENARIOS, ids=[one[0] for one in SCENARIOS])
def test_busy_is_who_uses_the_processors_for_hours(
    name: str, share: Callable[[int], float | None], hours: float, wanted: bool
) -> None:
    found = guard_rules.busy(looks(share, hours=hours), RULES)
    assert (found is not None) == wanted
    if found is not None:
        assert found.evidence["percent"] >= RULES.busy_percent
        assert found.since == NOW + timedelta(hours=hours) - minutes(RULES.busy_minutes)


def test_a_gap_in_the_looks_begins_anew() -> None:
    """A steward that stood still for an hour does not know what was in it."""
    samples = looks(lambda _: 1.0, hours=3)
    late = Sample(samples[-1].at + minutes(60), 1.0)
    assert guard_rules.keep(samples, late, RULES) == [late]


def test_samples_do_not_grow() -> None:
    assert len(looks(lambda _: 1.0, hours=24)) < 2 * RULES.busy_minutes / RULES.every_minutes


@pytest.mark.parametrize(
    ("since", "away_minutes", "wanted"),
    [(minutes(61), 60, True), (minutes(59), 60, False), (None, 60, False), (minutes(0), 0, True), (None, 0, True)],
)
def test_nobody_is_there_when_jupyterhub_has_seen_none_for_so_long(
    since: timedelta | None, away_minutes: float, wanted: bool
) -> None:
    last = None if since is None else NOW - since
    assert guard_rules.is_away(last, NOW, GuardSettings(away_minutes=away_minutes)) == wanted


@pytest.mark.parametrize(
    ("names", "more", "wanted"),
    [
        (("bash", "python3", "xmrig"), (), ["xmrig"]),
        (("XMRig", "minerd"), (), ["XMRig", "minerd"]),
        (("a-very-long-min",), ("a-very-long-miner-name",), ["a-very-long-min"]),
        (("xmrigger", "python3 xmrig", "miner"), (), []),
        (("miner",), ("Miner",), ["miner"]),
    ],
)
def test_programs_are_known_by_their_whole_name(
    names: tuple[str, ...], more: tuple[str, ...], wanted: list[str]
) -> None:
    assert known_programs(names, more) == wanted


def test_a_program_is_noted_while_it_runs_and_a_place_as_long_as_the_instance() -> None:
    first, second, third = (
        Sample(NOW, 0.1),
        Sample(NOW + minutes(5), 0.1, ("xmrig",), ("203.0.113.80:3333",)),
        Sample(NOW + minutes(10), 0.1, ("bash",), ("203.0.113.80:3333",)),
    )
    assert guard_rules.seen_inside([first], RULES) == []
    found = guard_rules.seen_inside([first, second], RULES)
    assert [(one.kind, one.since, one.evidence) for one in found] == [
        (GuardKind.PROCESS, second.at, {"names": ["xmrig"]}),
        (GuardKind.PLACE, second.at, {"places": ["203.0.113.80:3333"]}),
    ]
    assert [one.kind for one in guard_rules.seen_inside([first, second, third], RULES)] == [GuardKind.PLACE]


@pytest.mark.parametrize(
    ("before", "use", "wanted"),
    [
        (None, SlotUse(seconds=100), None),
        (SlotUse(seconds=100), SlotUse(seconds=400), 0.5),
        (SlotUse(seconds=400), SlotUse(seconds=100), 0.0),
        (None, SlotUse(processors=1.5), 0.75),
        (SlotUse(), SlotUse(), None),
    ],
)
def test_the_share_is_of_the_flavors_processors(before: SlotUse | None, use: SlotUse, wanted: float | None) -> None:
    """Two processors, five minutes."""
    earlier = None if before is None else (NOW, before)
    assert guard_rules.sample(use, NOW + minutes(5), cpu=2, before=earlier).share == wanted


# Steps


def note(name: str = "n", **changes: Any) -> GuardNote:
    values: dict[str, Any] = {
        "id": name,
        "person_id": "p",
        "instance_id": "i",
        "kind": GuardKind.PROCESS,
        "evidence": {},
        "since": NOW - minutes(60),
        "noted_at": NOW - minutes(30),
        "seen_at": NOW,
    }
    return GuardNote(**values | changes)


SLOWER, STOP = GuardSettings(slower_after_minutes=30), GuardSettings(stop_after_minutes=30)
BOTH = GuardSettings(slower_after_minutes=10, stop_after_minutes=40)
EARLIER = NOW - minutes(20)
STEPS: list[tuple[str, GuardSettings, list[GuardNote], tuple[list[str], list[str], list[str]]]] = [
    ("by default nothing follows", RULES, [note()], ([], [], [])),
    ("slower when its time has come", SLOWER, [note()], (["n"], [], [])),
    ("not before", SLOWER, [note(noted_at=NOW - minutes(29))], ([], [], [])),
    ("not twice", SLOWER, [note(slowed_at=EARLIER)], ([], [], [])),
    ("not for what is over", SLOWER, [note(seen_at=EARLIER)], ([], [], [])),
    ("not after an administrator's word", SLOWER, [note(dismissed_at=EARLIER)], ([], [], [])),
    ("ended when its time has come", STOP, [note()], ([], [], ["n"])),
    ("not once it is dismissed", STOP, [note(dismissed_at=EARLIER)], ([], [], [])),
    ("ended once", STOP, [note(stopped_at=EARLIER)], ([], [], [])),
    ("first slower", BOTH, [note()], (["n"], [], [])),
    ("then ended", BOTH, [note(noted_at=NOW - minutes(40), slowed_at=EARLIER)], ([], [], ["n"])),
    ("full speed after a word", SLOWER, [note(slowed_at=EARLIER, dismissed_at=NOW)], ([], ["n"], [])),
    (
        "not while another note holds it",
        SLOWER,
        [note(slowed_at=EARLIER, dismissed_at=NOW), note("m", slowed_at=EARLIER)],
        ([], [], []),
    ),
    ("slowed by one note is enough", SLOWER, [note(slowed_at=EARLIER), note("m")], ([], [], [])),
]


@pytest.mark.parametrize(("name", "rules", "notes", "wanted"), STEPS, ids=[one[0] for one in STEPS])
def test_what_follows_from_notes(
    name: str, rules: GuardSettings, notes: list[GuardNote], wanted: tuple[list[str], list[str], list[str]]
) -> None:
    found = guard_rules.steps(notes, NOW, rules)
    assert tuple([one.id for one in part] for part in (found.slower, found.faster, found.stop)) == wanted


# In pods


def pod(name: str, *usages: tuple[str, str], **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "containers": [{"name": container, "usage": {"cpu": cpu, "memory": "1Ki"}} for container, cpu in usages],
    }


def test_pod_metrics_are_read_by_label_or_name() -> None:
    answer = {
        "items": [
            pod("freepool-a", ("notebook", "1500m"), ("sidecar", "1")),
            pod("other", ("notebook", "250000000n"), **{"freepool/slot": "b"}),
            pod("freepool-c", ("notebook", "1")),
            pod("freepool-d", ("notebook", "what")),
        ]
    }
    usage = read_usage(200, answer, {"a", "b", "d"})
    assert {name: use.processors for name, use in usage.slots.items()} == {"a": 1.5, "b": 0.25, "d": None}
    assert (usage.unseen, usage.sees_inside, usage.can_slow) == (None, False, False)


@pytest.mark.parametrize(
    ("status", "why"), [(403, Unseen.MAY_NOT_READ_METRICS), (404, Unseen.NO_METRICS), (503, Unseen.NO_METRICS)]
)
def test_a_cluster_without_readable_metrics_is_said(status: int, why: Unseen) -> None:
    assert read_usage(status, {"message": "no"}, {"a"}).unseen is why


# Settings


@pytest.mark.parametrize("given", [{"busy_percent": 0}, {"every_minutes": 0}, {"stop": True}, {"slower_share": 2}])
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GuardSettings.model_validate(given)


def test_the_default_is_a_note_and_nothing_more() -> None:
    assert (RULES.note, RULES.slower_after_minutes, RULES.stop_after_minutes) == (True, None, None)
