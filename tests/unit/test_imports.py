"""Importing the agent's modules loads no module of the platform, so that instances start fast."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

HEAVY = {"jupyterhub", "sqlalchemy", "pydantic", "tornado", "aiohttp", "alembic", "traitlets", "yaml", "babel"}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a statement loads, in a new Python process."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{statement}; {show}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["spawner", "spawner.instance.sealing", "spawner.instance.agent"])
def test_importing_an_agent_module_loads_no_heavy_module(module: str) -> None:
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_the_keeper_needs_the_standard_library_only() -> None:
    found = loaded_by("import spawner.pool.backends.local.keeper")
    assert found - set(sys.stdlib_module_names) <= {"spawner", "__main__", "sitecustomize", "usercustomize"} | {
        name for name in found if name.startswith(("_distutils_hack", "__editable__"))
    }


def test_the_spawner_class_is_imported_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("spawner.hub.spawner")
    stand_in.InstanceSpawner = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spawner.hub", ModuleType("spawner.hub"))
    monkeypatch.setitem(sys.modules, "spawner.hub.spawner", stand_in)
    import spawner

    assert spawner.InstanceSpawner is stand_in.InstanceSpawner  # type: ignore[attr-defined]


def test_an_unknown_name_is_an_attribute_error() -> None:
    import spawner

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = spawner.Nothing
