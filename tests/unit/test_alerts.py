"""The alerts use metrics that Freepool exports, and each has a section that says what to do."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.alerts import scrapes
from tests.alerts.programs import RULES
from tests.stack import PROJECT

GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
OTHERS_METRICS = {"FreepoolBackupFailed"}
"""Alerts that use metrics of kube-state-metrics: tests/alerts/test_backup.py."""
PAGE = (PROJECT / "docs" / "operate.md").read_text()
EXPORTED = [
    *scrapes.pool(waits=1),
    *scrapes.platform(space=scrapes.Space(1, 2)),
    *scrapes.catalog(is_refused=False),
    *scrapes.channels(late=1),
    *scrapes.paid(scrapes.RUNNING),
]
ADDED = {"instance", "pod"}
"""Labels of a scrape."""


def test_alerts_use_metrics_and_labels_that_exist() -> None:
    labels: dict[str, dict[str, set[str]]] = {}
    for name, found, _ in EXPORTED:
        for label, value in found.items():
            labels.setdefault(name, {}).setdefault(label, set()).add(value)
    names = {name for name, _, _ in EXPORTED}
    for alert in ALERTS.keys() - OTHERS_METRICS:
        rule = ALERTS[alert]
        used = re.findall(r"\b(freepool_\w+)(?:\{(\w+)=\"(\w+)\"\})?", rule["expr"])
        assert used, alert
        known = set().union(*(labels.get(name, {}) for name, _, _ in used))
        for name, label, value in used:
            assert name in names, f"{alert} uses {name}"
            assert not label or value in labels[name][label], f"{alert} uses {name}{{{label}={value}}}"
        lists = re.findall(r"(?:without|ignoring) \(([^)]*)\)", rule["expr"])
        left_out = {word for words in lists for word in words.split(", ")}
        shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert left_out - ADDED | shown <= known, alert


def test_each_alert_has_a_line_in_the_table_and_a_section_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| .+ \| (\d+) min \|$", PAGE, re.MULTILINE)
    assert rows == [
        (alert, alert.lower(), rule["labels"]["severity"], rule["for"].removesuffix("m"))
        for alert, rule in ALERTS.items()
    ]
    assert re.findall(r"^### (Freepool\w+)$", PAGE, re.MULTILINE) == list(ALERTS)
    for alert, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/operate.md#{alert.lower()}"


def test_the_runbook_explains_each_kind_of_alarm_and_of_shortage() -> None:
    for metric, label in (("freepool_paid_alarms", "kind"), ("freepool_shortage", "of")):
        kinds = {labels[label] for name, labels, _ in EXPORTED if name == metric}
        table = PAGE.split(f"| `{label}` |")[1].split("\n\n")[0]
        told = {word for row in table.splitlines()[2:] for word in re.findall(r"`(\w+)`", row.split("|")[1])}
        assert told == kinds
