"""The migrations create exactly the code's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import VERSION_TABLE, check_version, migrate, run_migrations
from spawner.ledger.schema import metadata
from spawner.ledger.version import SCRIPTS, is_current, versions


def definitions(engine: Engine) -> dict[str, str]:
    """The SQL of each table and index in SQLite, which quotes the name of a table that was made anew."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query)
        return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}


def migrate_step_by_step(engine: Engine) -> None:
    """As an installation does that has had every release."""
    with engine.execution_options(freepool_write=True).begin() as connection:
        run_migrations(connection)


def rows(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """What each table holds."""
    with engine.connect() as connection:
        names = [*metadata.tables, VERSION_TABLE]
        return {name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")] for name in names}


def test_migrated_tables_are_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate_step_by_step(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_an_empty_database_gets_what_all_migrations_make_with_the_same_sql(tmp_path: Path) -> None:
    migrated = make_engine(f"sqlite:///{tmp_path / 'migrated.sqlite'}")
    migrate_step_by_step(migrated)
    created = make_engine(f"sqlite:///{tmp_path / 'created.sqlite'}")
    migrate(created)
    assert definitions(migrated) == definitions(created)
    assert rows(migrated) == rows(created)
    assert "WHERE state IN ('starting', 'running')" in definitions(migrated)["instances_one_live"]
    migrated.dispose()
    created.dispose()


def test_a_database_with_other_tables_gets_ours_and_one_that_lost_its_version_is_left_alone(tmp_path: Path) -> None:
    shared = make_engine(f"sqlite:///{tmp_path / 'shared.sqlite'}")
    with shared.execution_options(freepool_write=True).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE spawners (id INTEGER)")  # JupyterHub's own
    migrate(shared)
    check_version(shared)
    with shared.execution_options(freepool_write=True).begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    before = definitions(shared)
    with pytest.raises(OperationalError, match="already exists"):
        migrate(shared)
    assert definitions(shared) == before
    shared.dispose()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine)
    before = definitions(engine)
    migrate(engine)
    check_version(engine)
    assert definitions(engine) == before
    engine.dispose()


def test_the_names_of_the_scripts_say_the_versions_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert versions() == newest_first[::-1]


def test_a_ledger_is_current_only_after_the_last_migration(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert not is_current(engine)
    migrate(engine)
    assert is_current(engine)
    with engine.execution_options(freepool_write=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = ?", (versions()[-2],))
    assert not is_current(engine)
    engine.dispose()


@pytest.mark.parametrize("module", ["spawner.steward.runner", "spawner.local.up"])
def test_a_program_that_opens_the_ledger_does_not_load_alembic(module: str) -> None:
    subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; assert 'alembic' not in sys.modules"],
        check=True,
        timeout=60,
    )
