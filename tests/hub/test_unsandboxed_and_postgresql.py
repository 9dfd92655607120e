"""Another configuration: no sandbox, slots made one after the other, a PostgreSQL ledger that is away for a while."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, create_engine, text

from spawner.ledger import EndReason, Instance, StartStep, open_ledger
from spawner.ledger.people import people
from spawner.ledger.pool import instances
from tests.ledger.postgres import fresh_database, running_postgres
from tests.stack import Stack, eventually, running_stack, write_catalog

DATABASE = "whole_stack"
SHORTEST_BOOT = timedelta(seconds=0.3)
"""Minimum time that a notebook needs to start."""


def one_at_a_time(data: dict[str, Any]) -> None:
    light = next(image for image in data["images"] if image["id"] == "light")
    data["images"].append(light | {"id": "lean", "environment": "lean"})
    data["defaults"]["image"] = "lean"
    data["limits"]["slots_at_once"] = 1
    large = next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")
    large |= {"reserve": "256MiB", "limit": 3}


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def url(server: URL) -> Iterator[URL]:
    with fresh_database(server, DATABASE) as url:
        yield url


@pytest.fixture(scope="module")
def stack(url: URL, lean: Path) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        with running_stack(
            folder / "s",
            catalog=write_catalog(folder / "catalog.yaml", one_at_a_time),
            settings=lean,
            ledger_url=url.render_as_string(hide_password=False),
            arguments=("--unsafe-no-sandbox",),
        ) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_without_a_sandbox_notebooks_run_and_users_see_a_warning(stack: Stack) -> None:
    assert any("WARNING" in line and "not isolated from each other" in line for line in stack.output)
    stack.add_user("trusting")
    stack.run("trusting", image="light")
    token = stack.user_token("trusting")
    headers = {"Authorization": f"token {token}"}
    listing = stack.http.get(f"{stack.url}/user/trusting/api/contents", headers=headers, timeout=20).json()
    assert [entry["name"] for entry in listing["content"]] == ["examples"]
    base = f"{stack.url}/user/trusting/"
    apps = stack.http.get(f"{base}freepool/apps", headers=headers).json()
    assert (apps["off"], apps["ports"]) == ("shared_loopback", []), "a port may be another user's"
    assert stack.http.get(f"{base}proxy/{stack.port}/", headers=headers).status_code == 404
    shown = stack.desk("GET", "api/state", token=token).json()["pool"]
    assert shown["isolated"] is False
    assert "No isolation" in shown["notice"]
    slot = next(instance.slot_id for instance in stack.unended())
    assert stack.stop("trusting").status_code in (202, 204)
    assert slot not in stack.slot_folders()


def test_slots_are_created_one_after_the_other(stack: Stack) -> None:
    """The catalog limits how many slots are created at once: the first user does not wait for the last slot."""
    users = ["first", "second", "third"]
    stack.api("POST", "/users", json={"usernames": users})
    stack.wait_warm()  # no slot is made for the warm ones meanwhile
    with ThreadPoolExecutor() as clients:
        codes = [
            answer.status_code for answer in clients.map(lambda user: stack.start(user, flavor="cpu-large"), users)
        ]
    assert set(codes) <= {201, 202}
    eventually(
        lambda: [instance.state for instance in stack.unended()] == ["running"] * 3, seconds=60, what="all three"
    )
    steps = sorted(
        (steps_of(stack, instance.id) for instance in stack.unended()), key=lambda start: start[StartStep.RUNNING]
    )
    assert StartStep.OTHERS_FIRST not in steps[0]
    for one, next_one in pairwise(steps):
        assert next_one[StartStep.OTHERS_FIRST] < one[StartStep.RUNNING]
        assert one[StartStep.CLAIMED] >= one[StartStep.SLOT_CREATING]
        assert next_one[StartStep.SLOT_CREATING] >= one[StartStep.SLOT_CREATING] + SHORTEST_BOOT
    for user in users:
        stack.stop(user)


def steps_of(stack: Stack, instance_id: str) -> dict[StartStep, datetime]:
    """The time of each step of an instance's start."""
    return {event.step: event.at for event in stack.ledger.read(instances.events_of, instance_id)}


@contextmanager
def away(server: URL) -> Iterator[None]:
    """PostgreSQL ends the database's connections and refuses new ones."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    try:
        with engine.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"))
            connection.execute(text(cut), {"name": DATABASE})
            yield
            connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"))
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


def unended(url: URL) -> list[Instance]:
    with closing(open_ledger(url.render_as_string(hide_password=False))) as ledger:
        return ledger.read(instances.unended)


def test_a_notebook_runs_with_a_postgresql_ledger_that_is_away_at_its_stop(stack: Stack, server: URL, url: URL) -> None:
    stack.add_user("ann")
    stack.run("ann")
    assert [instance.user_name for instance in stack.unended()] == ["ann"]
    assert stack.stop("ann").status_code in (202, 204)
    last = stack.ledger.read(instances.last_ended, stack.person_of("ann"))
    assert last is not None
    stack.wait_warm()

    # The hub writes a stop when the ledger is back.
    for user in ("ben", "cy"):
        stack.add_user(user)
        assert stack.start(user).status_code in (201, 202)
    eventually(lambda: all(server_of(stack, user)["ready"] for user in ("ben", "cy")), what="both notebooks")
    with away(server):
        assert stack.api("DELETE", "/users/ben/server").status_code == 204
        metrics = stack.desk("GET", "metrics", token=stack.settings.secret("metrics"))
        assert (metrics.status_code, 'freepool_part_up{part="database"} 0.0' in metrics.text) == (200, True)
    eventually(lambda: [instance.user_name for instance in unended(url)] == ["cy"], what="the end of ben's")

    # A hub that is killed before that has no server any more. The desk's stop button ends the instance.
    with away(server):
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
