"""Other configurations: without a sandbox, and with a PostgreSQL ledger."""

from __future__ import annotations

from pathlib import Path

from spawner.ledger.pool import instances
from tests.ledger.postgres import fresh_database, running_postgres
from tests.stack import running_stack


def test_without_a_sandbox_notebooks_run_and_users_see_a_warning(state: Path) -> None:
    with running_stack(state / "s", arguments=("--unsafe-no-sandbox",)) as stack:
        assert any("WARNING" in line and "not isolated from each other" in line for line in stack.output)
        stack.add_user("trusting")
        assert stack.start("trusting").status_code == 201
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


def test_a_notebook_runs_with_a_postgresql_ledger(state: Path) -> None:
    with (
        running_postgres() as server,
        fresh_database(server, "whole_stack") as url,
        running_stack(state / "s", ledger_url=url.render_as_string(hide_password=False)) as stack,
    ):
        stack.add_user("ann")
        assert stack.start("ann").status_code == 201
        assert [instance.user_name for instance in stack.unended()] == ["ann"]
        assert stack.stop("ann").status_code == 204
        last = stack.ledger.read(instances.last_ended, stack.person_of("ann"))
        assert last is not None
        stack.wait_warm()
