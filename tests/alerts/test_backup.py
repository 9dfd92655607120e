"""The alert of the chart's backups, with series as kube-state-metrics has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.alerts.programs import RULES, promtool

PENDING = 70
"""Minutes for which it must last."""
LABELS = {"namespace": "lab", "job": "kube-state-metrics", "cronjob": "freepool-backup"}
ALERT = "FreepoolBackupFailed"
RULE: dict[str, Any] = next(
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if rule["alert"] == ALERT
)


def run(folder: Path, fires: dict[int, bool], **metrics: str) -> None:
    """Run the rule over the values of the CronJob's metrics, once a minute from time 0; `fires` is by minute."""
    shown = {"exp_labels": {"severity": "critical", "namespace": "lab", "cronjob": "freepool-backup"}}
    shown |= {"exp_annotations": RULE["annotations"]}
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f"kube_cronjob_{name}{{{labels(instance)}}}", "values": values}
            for name, values in metrics.items()
            for instance in ("10.244.0.7:8080", "10.244.0.8:8080")
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": ALERT, "exp_alerts": [shown] if does_fire else []}
            for minute, does_fire in fires.items()
        ],
    }
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", file)


def labels(instance: str) -> str:
    return ",".join(f'{name}="{value}"' for name, value in (LABELS | {"instance": instance}).items())


def test_backups_that_succeed_raise_no_alert(tmp_path: Path) -> None:
    """The second one begins at minute 100 and takes an hour."""
    run(
        tmp_path,
        dict.fromkeys((71, 99, 101, 159, 161, 240), False),
        status_last_schedule_time="0x99 6000x140",
        status_last_successful_time="60x159 9600x80",
        next_schedule_time="6000x99 90000x140",
    )


def test_a_backup_that_fails_raises_it_until_one_succeeds(tmp_path: Path) -> None:
    """It was due at minute 10. At minute 200 one by hand succeeds."""
    run(
        tmp_path,
        {10 + PENDING - 1: False, 10 + PENDING: True, 199: True, 201: False},
        status_last_schedule_time="0x9 600x400",
        status_last_successful_time="60x199 12000x200",
        next_schedule_time="600x9 90000x400",
    )


def test_a_first_backup_that_never_succeeded_raises_it(tmp_path: Path) -> None:
    run(
        tmp_path,
        {5: False, 10 + PENDING - 1: False, 10 + PENDING: True},
        status_last_schedule_time="_x10 600x400",
        next_schedule_time="600x9 90000x400",
    )


def test_a_backup_that_is_not_started_raises_it(tmp_path: Path) -> None:
    """Due 88,000 s before the test, and the controller does not make its Job: at minute 34 it is 25 hours late."""
    run(
        tmp_path,
        {34 + PENDING - 1: False, 34 + PENDING: True},
        status_last_schedule_time="0x400",
        status_last_successful_time="60x400",
        next_schedule_time="-88000x400",
    )
