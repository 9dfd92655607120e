"""Each alert fires in Prometheus' own engine, not just below its threshold, and not before its time.

The series are those of real scrapes: the platform's collectors make them of rows, and they have the labels that a
scrape adds, on a cluster, with two desks that tell the same, and on one machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from spawner.desk.admin.platform_metrics import Space
from tests.alerts.programs import RULES, promtool
from tests.alerts.scrapes import (
    ALL_IN_USE,
    CORDONED,
    MAINTENANCE,
    NO_NODE,
    OTHERS_USE_MEMORY,
    PAUSED,
    QUOTA,
    WARM,
    Samples,
    ago,
    catalog,
    channels,
    paid,
    platform,
    pool,
    running,
    unknown,
)
from tests.unit.make import GIB

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
Labels = dict[str, str]
POD = {"namespace": "lab", "service": "freepool-desk", "endpoint": "http", "container": "desk"}
ON_A_CLUSTER = [POD | {"pod": f"freepool-desk-{name}", "instance": f"10.244.0.{name}:8002"} for name in "78"]
ON_A_MACHINE = [{"instance": "lab.example.org:443"}]
PLACES = {"cluster": ON_A_CLUSTER, "machine": ON_A_MACHINE}
"""What a scrape adds to the labels of each desk's series, beside the job."""
MINUTES = 20
"""How long each test goes on; once a minute there is a scrape, and the rules are evaluated."""


@dataclass(frozen=True)
class Case:
    """`fires` is a scrape that makes the alert fire with `labels`; it does not with those of `below`."""

    alert: str
    fires: Samples
    below: list[Samples]
    summary: str
    labels: Labels = field(default_factory=dict)


SMALL = {"flavor": "small"}
CASES = [
    Case("FreepoolHubDown", platform(away="hub"), [platform()], "The hub does not answer.", {"part": "hub"}),
    Case(
        "FreepoolProxyUnreachable",
        platform(away="proxy"),
        [platform()],
        "The desk cannot be reached through the proxy.",
        {"part": "proxy"},
    ),
    Case(
        "FreepoolDatabaseDown",
        platform(away="database"),
        [platform()],
        "The ledger's database does not answer.",
        {"part": "database"},
    ),
    Case(
        "FreepoolDatabaseSlow",
        platform(seconds=1.01),
        [platform(seconds=1)],
        "A small read of the database takes 1.01s.",
    ),
    Case("FreepoolStewardDown", pool(lease=0), [pool(lease=0.1)], "No steward holds the lease."),
    Case(
        "FreepoolCatalogRefused",
        catalog(is_refused=True),
        [catalog(is_refused=False)],
        "The catalog has mistakes. The last version without mistakes is in use.",
    ),
    Case(
        "FreepoolStateDiskFull",
        platform(space=Space(free=9 * GIB, size=100 * GIB)),
        [platform(space=Space(free=10 * GIB, size=100 * GIB)), platform(space=Space(free=50 * GIB, size=1000 * GIB))],
        "Less than a tenth of the disk of the state folder is free.",
    ),
    Case(
        "FreepoolQueueWait",
        pool(slots=ALL_IN_USE, waits=1801),
        [
            pool(slots=ALL_IN_USE, waits=1800),
            pool(slots=ALL_IN_USE, waits=1801, settings=PAUSED),
            pool(slots=ALL_IN_USE, waits=1801, settings=MAINTENANCE),
        ],
        "A user has waited 30m 1s for small.",
        SMALL,
    ),
    Case(
        "FreepoolStartsFail",
        pool(failed=3, usable=11),
        [pool(failed=3, usable=12), pool(failed=2)],
        "Starts of small that failed within 15 minutes: 3.",
        SMALL,
    ),
    Case(
        "FreepoolNoWarmSlots",
        pool(),
        [
            pool(slots=WARM),
            pool(slots=ALL_IN_USE),
            pool(slots=OTHERS_USE_MEMORY, memory=GIB),
            pool(settings=PAUSED),
            pool(settings=MAINTENANCE),
        ],
        "small has had no warm slot for 15 minutes; its target is 2.",
        SMALL,
    ),
    Case(
        "FreepoolPoolFull",
        pool(waits=60, no_room=NO_NODE),
        [pool(no_room=NO_NODE), pool(waits=60), pool(slots=ALL_IN_USE, waits=60)],
        "Users wait for small, which is below its limit: no room (nodes).",
        SMALL | {"of": "nodes"},
    ),
    Case(
        "FreepoolPoolFull",
        pool(waits=60, no_room=QUOTA),
        [],
        "Users wait for small, which is below its limit: no room (quota).",
        SMALL | {"of": "quota"},
    ),
    Case(
        "FreepoolPoolFull",
        pool(slots=OTHERS_USE_MEMORY, waits=60, memory=GIB),
        [pool(slots=OTHERS_USE_MEMORY, waits=60, memory=2 * GIB)],
        "Users wait for small, which is below its limit: no room (memory).",
        SMALL | {"of": "memory"},
    ),
    Case(
        "FreepoolNodesCordoned",
        pool(no_room=CORDONED),
        [pool(no_room=NO_NODE), pool(no_room=QUOTA)],
        "No room for small, and nodes are cordoned.",
        SMALL | {"of": "cordoned"},
    ),
    Case(
        "FreepoolMessagesLate",
        channels(late=901),
        [channels(late=900)],
        "Messages (email) to users have been late for 15m 1s.",
        {"kind": "email"},
    ),
    Case(
        "FreepoolPaidAlarm",
        paid(unknown(posted=301)),
        [paid(), paid(unknown(posted=300))],
        "Paid instances that need attention (unknown): 1.",
        {"kind": "unknown"},
    ),
    Case(
        "FreepoolPaidAlarm",
        paid(running(spent="5.01")),
        [paid(running())],
        "Paid instances that need attention (over_cap): 1.",
        {"kind": "over_cap"},
    ),
    Case("FreepoolPaidUnwatched", paid(lease=0), [paid(lease=0.1)], "No steward watches paid instances."),
    Case(
        "FreepoolPaidReceiptsLate",
        paid(running(seen_at=ago(901))),
        [paid(running(seen_at=ago(900)))],
        "A paid instance was last seen 15m 1s ago.",
    ),
]


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", RULES)


def test_each_alert_fires_and_does_not_just_below(tmp_path: Path) -> None:
    """Each case is an installation with a job of its own; Prometheus has all of them at the same time."""
    assert {case.alert for case in CASES} == set(ALERTS) - {"FreepoolDeskDown", "FreepoolBackupFailed"}
    series: list[Series] = []
    expected: Expected = {}
    for number, case in enumerate(CASES):
        for place, desks in PLACES.items():
            job = {"job": f"{number}-{place}"}
            series += _series(case.alert, [case.fires] * len(desks), desks, job)
            fires = case.summary, _kept(desks[0]) | job | case.labels
            minutes = int(ALERTS[case.alert]["for"].removesuffix("m"))
            for minute, fired in ((minutes - 1, []), (minutes, [fires]), (MINUTES, [fires])):
                expected.setdefault((case.alert, minute), []).extend(fired)
            for below, samples in enumerate(case.below):
                series += _series(case.alert, [samples] * len(desks), desks, {"job": f"{number}-{place}-below-{below}"})
        if case.alert.endswith(("HubDown", "Unreachable", "DatabaseDown")):  # one of two desks reaches it
            series += _series(case.alert, [case.fires, *case.below], ON_A_CLUSTER, {"job": f"{number}-one-of-two"})
    _run([_test(series, expected)], tmp_path)


def test_a_desk_without_metrics_is_noticed_also_beside_another_installation(tmp_path: Path) -> None:
    alert, summary = "FreepoolDeskDown", "Prometheus gets no metrics from Freepool's desk."
    name, part, job = "freepool_part_up", {"part": "database"}, {"job": "freepool"}
    ends, goes_on = "1x4 stale", f"1x{MINUTES}"
    other = name, {"namespace": "elsewhere", "instance": "10.244.0.9:8002"} | job | part, goes_on
    tests = []
    for desks in PLACES.values():
        labels = [desk | job | part for desk in desks]
        gone: list[Series] = [(name, one, ends) for one in labels]
        noticed: Expected = {(alert, 7): [], (alert, 8): [(summary, _kept(labels[0]))]}
        tests += [_test(gone, noticed), _test([*gone, other], noticed)]
        tests.append(_test([*gone[:-1], (name, labels[-1], goes_on)], {(alert, MINUTES): []}))
    tests.append(_test([], {(alert, 2): [], (alert, 3): [(summary, part)]}))
    _run(tests, tmp_path)


# --- promtool's form -------------------------------------------------------------------------------------------------

Series = tuple[str, Labels, str]
"""Name, labels, and the values in promtool's notation."""
Expected = dict[tuple[str, int], list[tuple[str, Labels]]]
"""By alert and minute: the summaries and labels of those that fire then, and no other."""


def _kept(labels: Labels) -> Labels:
    """The labels that an alert has: one value stands for all desks."""
    return {name: value for name, value in labels.items() if name not in ("instance", "pod")}


def _series(alert: str, scrapes: list[Samples], desks: list[Labels], job: Labels) -> list[Series]:
    """What the desks tell all the time, of the metrics that the alert uses."""
    used = set(re.findall(r"\bfreepool_\w+", ALERTS[alert]["expr"]))
    return [
        (name, labels | desk | job, f"{value}x{MINUTES}")
        for samples, desk in zip(scrapes, desks, strict=True)
        for name, labels, value in samples
        if name in used
    ]


def _test(series: list[Series], expected: Expected) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [
            {"series": f"{name}{{{_pairs(labels)}}}", "values": values} for name, labels, values in series
        ],
        "alert_rule_test": [
            {
                "eval_time": f"{minute}m",
                "alertname": alert,
                "exp_alerts": [
                    {
                        "exp_labels": labels | ALERTS[alert]["labels"],
                        "exp_annotations": ALERTS[alert]["annotations"] | {"summary": summary},
                    }
                    for summary, labels in fired
                ],
            }
            for (alert, minute), fired in expected.items()
        ],
    }


def _pairs(labels: Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def _run(tests: list[dict[str, Any]], folder: Path) -> None:
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)
