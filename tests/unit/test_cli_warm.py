"""`freepool warm` prints each setting with its time zone, and a remedy for every mistake."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from spawner.cli import main
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import admin_settings as rows
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.build import utc_now
from spawner.settings import SETTINGS_VARIABLE
from tests.stack import write_catalog

Say = Callable[..., str]
TEMPLATE = ("--flavor", "cpu-basic", "--image", "light")
YEAR = utc_now().year + 1
SOON = ("--begins", f"{YEAR}-01-05T09:00", "--ends", f"{YEAR}-01-05T11:00")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of the settings in the environment, with a local time of UTC+8."""
    catalog = write_catalog(tmp_path / "catalog.yaml")
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    about = {"catalog": str(catalog), "state": str(tmp_path), "examples": "examples", "ledger_url": url}
    (tmp_path / "settings.json").write_text(json.dumps(about))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(tmp_path / "settings.json"))
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    yield ledger
    ledger.close()
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def warm(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs the command and returns what it printed."""

    def run(*words: str) -> str:
        main(["warm", *words])
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command that fails and returns its error message."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["warm", *words])
        assert ended.value.code == 1
        return capsys.readouterr().err

    return run


def settings_in(ledger: Ledger) -> AdminSettings:
    return AdminSettings(ledger.read(rows.all_of))


def test_without_arguments_the_targets_are_listed(warm: Say) -> None:
    output = warm()
    assert "cpu-basic  light  0     1       Minimum set in the catalog." in output
    assert "PLAN" not in output


def test_a_plan_is_in_local_time_and_is_printed_with_its_zone(warm: Say, ledger: Ledger) -> None:
    output = warm("plan", "course", *TEMPLATE, "--slots", "5", *SOON, "--weekly")
    plan_line = f"5 of cpu-basic with light from {YEAR}-01-05 09:00+08:00 to {YEAR}-01-05 11:00+08:00, every week"
    assert output == f"Planned: course: {plan_line}.\n"
    plan = settings_in(ledger).plans["course"]
    assert (plan.begins, plan.weekly) == (datetime.fromisoformat(f"{YEAR}-01-05T01:00+00:00"), True)
    assert plan_line in warm()
    assert warm("unplan", "course") == "Removed: course.\n"
    assert settings_in(ledger).plans == {}


def test_a_given_time_zone_is_used(warm: Say) -> None:
    output = warm("plan", "a", *TEMPLATE, "--slots", "1", "--begins", f"{YEAR}-01-05T01:00Z", "--ends", SOON[3])
    assert f"from {YEAR}-01-05 09:00+08:00" in output


def test_a_floor_is_set_and_removed(warm: Say, ledger: Ledger) -> None:
    assert warm("floor", *TEMPLATE, "7") == "cpu-basic with light: at least 7 warm.\n"
    assert settings_in(ledger).floor("cpu-basic", "light") == 7
    assert "7       Minimum set by an administrator." in warm()
    assert warm("floor", *TEMPLATE, "catalog") == "cpu-basic with light: as the catalog says.\n"
    assert settings_in(ledger).floors == {}


def test_settings_for_dropped_flavors_are_listed_as_such(warm: Say, ledger: Ledger) -> None:
    ledger.write(rows.put, "floor:gone:light", 3, now=utc_now(), by="ann")
    ledger.write(rows.put, "plan:old", {"flavor": "cpu-basic"}, now=utc_now(), by="ann")
    output = warm()
    assert "floor:gone:light  the catalog has no gone" in output
    assert "plan:old          it cannot be read" in output
    warm("floor", "--flavor", "gone", "--image", "light", "catalog")
    warm("unplan", "old")
    assert "IGNORED" not in warm()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("floor", *TEMPLATE, "many"), "'many' is not a valid number of notebooks. Enter a whole number up to 1000."),
        (("floor", *TEMPLATE, "21"), "The limit for cpu-basic is 20."),
        (
            ("floor", "--flavor", "x", "--image", "light", "1"),
            "Unknown flavor: 'x'. Available: cpu-basic",
        ),
        (("floor", "--flavor", "cpu-basic", "--image", "x", "1"), "Unknown image: 'x'."),
        (("unplan", "x"), "Unknown plan: 'x'. Available: (none)."),
        (("plan", "a b", *TEMPLATE, "--slots", "1", *SOON), "'a b' is not a valid plan name."),
        (("plan", "a", *TEMPLATE, "--slots", "0", *SOON), "'0' is not a valid number of notebooks."),
        (
            ("plan", "a", *TEMPLATE, "--slots", "1", "--begins", "monday", "--ends", SOON[3]),
            "'monday' is not a valid time. Write it as",
        ),
        (
            ("plan", "a", *TEMPLATE, "--slots", "1", "--begins", SOON[3], "--ends", SOON[1]),
            "The plan ends before it starts.",
        ),
        (
            ("plan", "a", *TEMPLATE, "--slots", "1", "--begins", "2020-01-01T09:00", "--ends", SOON[3]),
            "2020-01-01 09:00+08:00 is more than a year away. Check the year.",
        ),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_written(
    refused: Say, ledger: Ledger, words: tuple[str, ...], message: str
) -> None:
    assert refused(*words).startswith(f"freepool: {message}")
    assert settings_in(ledger).rows == {}
