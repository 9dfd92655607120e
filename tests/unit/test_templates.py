"""On one machine, too, a warm slot is of the present template only: image, code, sizes and examples."""

from __future__ import annotations

import os
from pathlib import Path

from spawner.catalog import Catalog
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.templates import is_current, version_of
from tests.unit import make


def test_each_change_of_a_sandbox_changes_the_version_of_warm_slots(tmp_path: Path) -> None:
    backend = LocalBackend(folder=tmp_path / "slots", images=tmp_path, examples=tmp_path, isolated=False)
    ready = tmp_path / "cpu" / ".ready"
    ready.parent.mkdir()
    ready.touch()

    def version(catalog: Catalog) -> str:
        return version_of(catalog, backend, catalog.flavors[0], catalog.images[0])

    usual = version(make.catalog(make.flavor()))
    assert version(make.catalog(make.flavor(session_minutes=5, warm=3))) == usual, "not of the sandbox"
    for changes in ({"memory": 2 * make.GIB}, {"disk": 2 * make.GIB}, {"cpu": 2}, {"processes": 99}):
        assert version(make.catalog(make.flavor(**changes))) != usual
    assert version(make.catalog(make.flavor(), images=(make.image("cpu"),))) != usual, "it has an example"
    os.utime(ready, ns=(1, 1))
    assert version(make.catalog(make.flavor())) != usual, "the image was installed again"
    os.utime(ready, ns=(0, 0))
    usual = version(make.catalog(make.flavor()))
    backend.code_changed_at += 1
    assert version(make.catalog(make.flavor())) != usual, "another Freepool was installed"


def test_a_slot_without_a_version_counts_as_current() -> None:
    assert is_current(make.slot("s"), "1")
    assert is_current(make.slot("s", version="1"), "1")
    assert not is_current(make.slot("s", version="0"), "1")
