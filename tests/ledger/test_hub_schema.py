"""The schema of PostgreSQL in which the tables of one of several hubs are."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyterhub import orm
from sqlalchemy import URL, create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from spawner.hub_settings import HubSettings
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import make_schema
from spawner.settings import Settings
from tests.ledger.conftest import fresh_database, text_of

HUBS = HubSettings(name="b", others={"main": "https://a.example.org"})


def test_jupyterhubs_tables_of_hub_b_are_in_its_schema_and_nowhere_else(postgres: URL) -> None:
    with fresh_database(postgres, "hub_schema") as url:
        settings = Settings(
            catalog=Path("c"), state=Path("s"), examples=Path("e"), ledger_url=text_of(url), shared_database=True
        ).model_copy(update={"hubs": HUBS})
        assert settings.hub_schema == "hub_b"
        engine = make_engine(text_of(url))
        make_schema(engine, settings.hub_schema)
        with orm.new_session_factory(settings.hub_database)() as session:
            session.add(orm.User(name="ann"))
            session.commit()
            session.get_bind().dispose()
        assert "users" in inspect(engine).get_table_names("hub_b")
        assert inspect(engine).get_table_names("public") == []
        engine.dispose()


def test_a_role_that_may_make_no_schema_uses_one_that_exists(postgres: URL) -> None:
    with fresh_database(postgres, "schema_made_by_hand") as url:
        owner = create_engine(url)
        with owner.begin() as connection:
            connection.execute(text("CREATE SCHEMA hub_b"))
            connection.execute(text("CREATE ROLE without_create LOGIN"))
        engine = make_engine(text_of(url.set(username="without_create")))
        make_schema(engine, "hub_b")
        with pytest.raises(ProgrammingError, match="permission denied"):
            make_schema(engine, "hub_c")
        engine.dispose()
        with owner.begin() as connection:
            connection.execute(text("DROP ROLE without_create"))
        owner.dispose()
