"""The migrations create exactly the code's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine

from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import VERSION_TABLE, check_version, migrate
from spawner.ledger.schema import metadata
from spawner.ledger.version import SCRIPTS, is_current, versions


def definitions(engine: Engine) -> dict[str, str]:
    """The SQL of each table and index in SQLite, which quotes the name of a table that was made anew."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE ? AND name NOT LIKE 'sqlite_%'"
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query, (f"{VERSION_TABLE}%",))
        return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}


def test_migrated_tables_are_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrated_tables_and_indexes_have_the_same_sql_as_the_codes(tmp_path: Path) -> None:
    migrated = make_engine(f"sqlite:///{tmp_path / 'migrated.sqlite'}")
    migrate(migrated)
    created = create_engine(f"sqlite:///{tmp_path / 'created.sqlite'}")
    metadata.create_all(created)
    assert definitions(migrated) == definitions(created)
    assert "WHERE state IN ('starting', 'running')" in definitions(migrated)["instances_one_live"]
    migrated.dispose()
    created.dispose()


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


def test_a_program_that_opens_the_ledger_does_not_load_alembic() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, spawner.steward.runner; assert 'alembic' not in sys.modules"],
        check=True,
        timeout=60,
    )
