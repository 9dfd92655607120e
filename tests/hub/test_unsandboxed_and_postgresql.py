"""Other configurations: without a sandbox, and with a PostgreSQL ledger that is away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import URL, create_engine, text

from spawner.ledger import EndReason, Instance, open_ledger
from spawner.ledger.people import people
from spawner.ledger.pool import instances
from tests.ledger.postgres import fresh_database, running_postgres
from tests.stack import Stack, eventually, running_stack


def test_without_a_sandbox_notebooks_run_and_users_see_a_warning(state: Path) -> None:
    with running_stack(state / "s", arguments=("--unsafe-no-sandbox",)) as stack:
        assert any("WARNING" in line and "not isolated from each other" in line for line in stack.output)
        stack.add_user("trusting")
        stack.run("trusting")
        token = stack.user_token("trusting")
        headers = {"Authorization": f"token {token}"}
        listing = stack.http.get(f"{stack.url}/user/trusting/api/contents", headers=headers, timeout=20).json()
        assert [entry["name"] for entry in listing["content"]] == ["examples"]
        shown = stack.desk("GET", "api/state", token=token).json()["pool"]
        assert shown["isolated"] is False
        assert "No isolation" in shown["notice"]
        slot = next(instance.slot_id for instance in stack.unended())
        assert stack.stop("trusting").status_code == 204
        assert slot not in stack.slot_folders()


@contextmanager
def away(server: URL, database: str) -> Iterator[None]:
    """PostgreSQL ends the database's connections and refuses new ones."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    try:
        with engine.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false"))
            connection.execute(text(cut), {"name": database})
            yield
            connection.execute(text(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true"))
    finally:
        engine.dispose()


def server_of(stack: Stack, user: str) -> Any:
    """The user's default server as JupyterHub describes it."""
    return stack.api("GET", f"/users/{user}").json()["servers"][""]


def is_up(stack: Stack) -> bool:
    try:
        return stack.http.get(f"{stack.url}/hub/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_notebook_runs_with_a_postgresql_ledger_that_is_away_at_its_stop(state: Path) -> None:
    with (
        running_postgres() as server,
        fresh_database(server, "whole_stack") as url,
        running_stack(state / "s", ledger_url=url.render_as_string(hide_password=False)) as stack,
    ):
        stack.add_user("ann")
        stack.run("ann")
        assert [instance.user_name for instance in stack.unended()] == ["ann"]
        assert stack.stop("ann").status_code == 204
        last = stack.ledger.read(instances.last_ended, stack.person_of("ann"))
        assert last is not None
        stack.wait_warm()

        # The hub writes a stop when the ledger is back.
        for user in ("ben", "cy"):
            stack.add_user(user)
            assert stack.start(user).status_code in (201, 202)
        eventually(lambda: all(server_of(stack, user)["ready"] for user in ("ben", "cy")), what="both notebooks")
        with away(server, "whole_stack"):
            assert stack.api("DELETE", "/users/ben/server").status_code == 204
        eventually(lambda: [instance.user_name for instance in unended(url)] == ["cy"], what="the end of ben's")

        # A hub that is killed before that has no server any more. The desk's stop button ends the instance.
        with away(server, "whole_stack"):
            assert stack.api("DELETE", "/users/cy/server").status_code == 204
            stack.kill("hub")
        eventually(lambda: is_up(stack), what="the hub")
        token = stack.user_token("cy")
        eventually(lambda: stack.desk("GET", "api/state", token=token).status_code == 200, what="the desk")
        assert stack.desk("GET", "api/state", token=token).json()["instance"]["state"] == "running"
        shown = stack.desk("POST", "api/instance/stop", token=token, json={}).json()
        assert shown["instance"] is None
        with closing(open_ledger(url.render_as_string(hide_password=False))) as ledger:
            last = ledger.read(instances.last_ended, ledger.read(people.of_name, "cy")[0].id)
            assert last is not None
            assert last.reason is EndReason.STOPPED
            assert last.slot_id not in stack.slot_folders()


def unended(url: URL) -> list[Instance]:
    with closing(open_ledger(url.render_as_string(hide_password=False))) as ledger:
        return ledger.read(instances.unended)
