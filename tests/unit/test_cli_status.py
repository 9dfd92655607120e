"""`freepool status` says what the administrator's page says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from spawner.catalog import load_catalog
from spawner.cli import main
from spawner.ledger import EndReason, Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import instances, slots
from spawner.pool.admin.announcement import AnnouncementChange, announce
from spawner.pool.build import make_backend, utc_now
from spawner.pool.templates import version_of
from spawner.settings import SETTINGS_VARIABLE, load_settings
from tests.stack import write_catalog

Say = Callable[..., str]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of the settings in the environment."""
    catalog = write_catalog(tmp_path / "catalog.yaml")
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    about = {"catalog": str(catalog), "state": str(tmp_path), "examples": "examples", "ledger_url": url}
    (tmp_path / "settings.json").write_text(json.dumps(about))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(tmp_path / "settings.json"))
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    yield ledger
    ledger.close()


def test_the_state_is_printed_with_failures_the_announcement_and_who_runs_what(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = utc_now()
    catalog = load_catalog(tmp_path / "catalog.yaml")
    for name, run in (("ann", "i-1"), ("bob", "i-2")):
        ledger.write(
            instances.request,
            instance_id=run,
            person_id=f"p-{name}",
            user_name=name,
            server_name="",
            flavor="cpu-basic",
            image="light",
            example=None,
            hub_epoch="1",
            now=now,
            at_most=1,
        )
    ledger.write(instances.mark_stopping, "i-2", reason=EndReason.OUT_OF_MEMORY, now=now)
    ledger.write(instances.mark_ended, "i-2", now=now)
    change = AnnouncementChange(en="Closed on Friday", ends=now + timedelta(hours=1))
    ledger.write(announce, catalog, change, now=now, by="root")

    main(["status"])
    out = capsys.readouterr().out
    assert "The steward is not running" in out
    assert "Closed on Friday" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("cpu-basic ")]
    assert row[:5] == ["cpu-basic", "0", "1", "0", "0"]
    assert "cpu-basic: Out of memory: 1. Offer a machine type with more memory" in out
    assert "ann" not in out

    main(["status", "--who"])
    (who,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ann ")]
    assert (who[1:4], who[-1]) == (["cpu-basic", "light", "starting"], "i-1")


def test_notebooks_that_began_before_a_change_are_counted_and_named(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = utc_now()
    catalog = load_catalog(tmp_path / "catalog.yaml")
    flavor, image = catalog.flavor("cpu-basic"), catalog.image("light")
    present = version_of(catalog, make_backend(load_settings(), catalog), flavor, image)
    for run, version in (("i-1", present), ("i-2", "0")):
        ledger.write(
            instances.request,
            instance_id=run, person_id=run, user_name=run, server_name="", flavor=flavor.id, image=image.id,
            example=None, hub_epoch="1", now=now, at_most=1,
        )  # fmt: skip
        about = {"flavor": flavor.id, "image": image.id, "holder_id": run, "now": now}
        slot = ledger.write(slots.intend, slot_id=f"s-{run}", version=version, **about)
        ledger.write(slots.mark_claimed, slot.id, now=now)
    main(["status", "--who"])
    out = capsys.readouterr().out
    assert "was last changed: 1." in out
    assert [line.split()[0] for line in out.splitlines() if " older " in line] == ["i-2"]
