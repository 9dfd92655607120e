"""A catalog with mistakes does not replace the last good one; without one, it stops a process with all its mistakes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from sqlalchemy import create_engine

from spawner.desk.admin.catalog_metrics import catalog_exposition
from spawner.errors import CatalogInvalid
from spawner.hub import spawner_options
from spawner.pool.last_catalog import NAME, read_catalog
from spawner.settings import Settings
from tests.stack import PROJECT
from tests.unit.make import NOW

GOOD = (PROJECT / "hub_config" / "catalog.yaml").read_text()
BAD = GOOD.replace("reserve: 1GiB", "reserve: 3GiB").replace("  flavor: cpu-basic", "  flavor: gone", 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(catalog=tmp_path / "catalog.yaml", state=tmp_path / "state", examples=tmp_path)


def test_after_a_change_for_the_worse_the_last_good_catalog_stays(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.state.mkdir()
    settings.catalog.write_text(GOOD)
    good = read_catalog(settings)
    assert good.mistakes is None
    settings.catalog.write_text(BAD)
    kept = read_catalog(settings)
    assert kept.catalog == good.catalog
    assert kept.mistakes is not None
    assert len(kept.mistakes.mistakes) == 2
    assert "NOT in use" in caplog.text
    assert "gone" in caplog.text
    settings.catalog.write_text(GOOD)
    assert read_catalog(settings).mistakes is None
    assert [path.name for path in settings.state.iterdir()] == [NAME]


def test_without_a_good_one_the_mistakes_are_raised(settings: Settings) -> None:
    settings.catalog.write_text(BAD)
    with pytest.raises(CatalogInvalid) as raised:
        read_catalog(settings)
    assert str(settings.catalog) in str(raised.value)
    settings.catalog.write_text(GOOD)
    assert read_catalog(settings).mistakes is None, "a state folder that cannot be written to is no mistake"


@pytest.mark.parametrize("refuse", [True, False])
def test_no_hub_starts_without_a_catalog(
    settings: Settings, refuse: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(JupyterHub, "initialized", classmethod(lambda _: True))
    hub = JupyterHub()
    hub.log = logging.getLogger("hub")
    monkeypatch.setattr(JupyterHub, "instance", classmethod(lambda _: hub))
    settings.catalog.write_text(BAD)
    hub.init_logging = lambda: None
    spawner_options.check_options(settings, refuse=refuse)
    with pytest.raises(SystemExit):
        hub.init_logging()
    assert "gone" in caplog.text
    settings.catalog.write_text(GOOD)
    hub.init_logging()


def test_the_desk_says_so_as_a_metric() -> None:
    with create_engine("sqlite://").connect() as connection:
        for is_refused, value in ((True, "1.0"), (False, "0.0")):
            text = catalog_exposition(connection, now=NOW, is_refused=is_refused).decode()
            assert f"freepool_catalog_refused {value}\n" in text
