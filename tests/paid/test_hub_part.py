"""The hub's side of a paid server, without a hub: it calls no cloud, and an unavailable ledger ends no server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.utils import utcnow

from spawner.errors import NoConsent, NotOffered, SetupError
from spawner.hub import paid_server as hub_paid
from spawner.hub.paid_server import HubServices, PaidServer, PaidServerKey
from spawner.hub.spawner import InstanceSpawner
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.paid import audit, consents, orders
from spawner.ledger.paid.rows import ConsentState, OrderState, StopReason
from spawner.paid.build import check
from spawner.paid.names import name_of
from spawner.paid.orders.progress import lines
from spawner.paid.orders.service import begin, is_over, pop_start_token, read_progress, start_token
from spawner.paid_settings import PaidSettings
from tests.paid.make import NOW, order, write_binding, write_consent, write_order

KEY = "0" * 64


@pytest.fixture
def ledger(migrated: Path, tmp_path: Path) -> Ledger:
    (tmp_path / "ledger.sqlite").write_bytes(migrated.read_bytes())
    made = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    write_binding(made)
    return made


def server(ledger: Ledger, later: list[Coroutine[Any, Any, None]] | None = None, **changes: Any) -> PaidServer:
    services: dict[str, Any] = {
        "url": "http://desk",
        "signing_key": lambda: KEY,
        "is_offered": True,
        "now": lambda: NOW,
        "is_ending": lambda: False,
        "in_background": (later if later is not None else []).append,
        "note_activity": lambda: None,
    }
    return PaidServer(ledger, PaidServerKey("ann", "paid-1"), HubServices(**services | changes))


def test_the_hub_imports_no_sdk_of_any_cloud() -> None:
    code = (
        "import sys, spawner.hub.config, spawner.hub.spawner;"
        "print([name for name in sys.modules if name.split('.')[0] in ('boto3', 'botocore', 'darabonba', 'Tea')"
        " or name.startswith('alibabacloud')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"person_id": "bob"},
        {"server_name": "paid-2"},
        {"token": ""},
        {"key": "1" * 64},
    ],
)
def test_a_consent_is_spent_only_by_its_user_server_and_start_token(ledger: Ledger, changes: dict[str, str]) -> None:
    write_consent(ledger, "c1", ConsentState.ACCEPTED)
    right = {
        "person_id": "ann",
        "server_name": "paid-1",
        "token": start_token(KEY, "c1"),
        "key": KEY,
    }
    with pytest.raises(NoConsent):
        ledger.write(begin, **right | changes, now=NOW)
    assert ledger.read(consents.get, "c1").state is ConsentState.ACCEPTED
    made = ledger.write(begin, **right, now=NOW)
    assert (made.state, made.name) == (OrderState.INTENDED, name_of("c1"))
    assert ledger.write(begin, **right, now=NOW).id == made.id, "a second click is the same order"
    assert ledger.read(consents.get, "c1").state is ConsentState.SPENT


def test_an_expired_consent_starts_nothing(ledger: Ledger) -> None:
    write_consent(ledger, "c1", ConsentState.ACCEPTED)
    with pytest.raises(NoConsent):
        ledger.write(
            begin, person_id="ann", server_name="paid-1", token=start_token(KEY, "c1"), key=KEY,
            now=NOW + timedelta(seconds=601),
        )  # fmt: skip


async def test_only_the_owner_starts_a_paid_server_and_only_where_it_is_offered(ledger: Ledger) -> None:
    write_consent(ledger, "c1", ConsentState.ACCEPTED)
    token = start_token(KEY, "c1")
    with pytest.raises(NoConsent):
        await server(ledger).start(by_owner=False, token=token)
    with pytest.raises(NotOffered):
        await server(ledger, is_offered=False).start(by_owner=True, token=token)
    assert ledger.read(orders.alive) == []


@pytest.mark.parametrize("is_hub_ending", [False, True])
async def test_a_cancelled_start_requests_a_stop_unless_the_hub_is_ending(ledger: Ledger, is_hub_ending: bool) -> None:
    write_consent(ledger, "c1", ConsentState.ACCEPTED)
    paid = server(ledger, is_ending=lambda: is_hub_ending)
    start = asyncio.create_task(paid.start(by_owner=True, token=start_token(KEY, "c1")))
    await asyncio.sleep(0)  # the order is being written
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await ledger.awrite(lambda connection: None)  # waits for the write before
    (found,) = ledger.read(orders.of_person, "ann")
    assert (found.stop_wanted_at is None) is is_hub_ending


async def test_an_unavailable_ledger_ends_no_server_and_loses_no_stop_request(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_paid, "RETRY_SECONDS", 0.05)
    write_order(ledger, "o1", OrderState.ACTIVE, server_name="paid-1")
    waiting: list[Coroutine[Any, Any, None]] = []
    paid = server(ledger, waiting)
    path, aside = tmp_path / "ledger.sqlite", tmp_path / "aside"
    ledger._engine.dispose()
    path.rename(aside)
    path.mkdir()
    assert await paid.poll() is None
    await paid.stop()
    (stop_request,) = waiting
    retrying = asyncio.create_task(stop_request)
    await asyncio.sleep(0.2)
    assert not retrying.done()
    path.rmdir()
    aside.rename(path)
    await asyncio.wait_for(retrying, 10)
    found = ledger.read(orders.get, "o1")
    assert (found.stop_wanted_at, found.reason) == (NOW, StopReason.HUB), "the owner may not have requested it"
    assert await paid.poll() is None, "an instance that is being stopped may cost money"


async def test_a_running_instance_counts_as_active_and_an_ended_one_does_not(ledger: Ledger) -> None:
    noted: list[str] = []
    write_order(ledger, "o1", OrderState.ACTIVE, server_name="paid-1")
    paid = server(ledger, note_activity=lambda: noted.append("active"))
    assert await paid.poll() is None
    assert noted == ["active"]
    ledger.write(orders.update_read, ledger.read(orders.get, "o1"), {"state": OrderState.STOPPED})
    assert await paid.poll() == 0
    assert noted == ["active"]


def test_activity_is_written_where_cullers_read_it() -> None:
    session = orm.new_session_factory("sqlite://")()
    row = orm.Spawner(name="paid-1", last_activity=datetime(2020, 1, 1))  # noqa: DTZ001
    session.add(row)
    session.commit()
    InstanceSpawner._note_activity(SimpleNamespace(orm_spawner=row))  # type: ignore[arg-type]
    session.expire_all()
    assert utcnow(with_tz=False) - row.last_activity < timedelta(minutes=1)
    session.close()


def test_an_order_is_over_when_it_ended_or_is_to_be_stopped_before_it_ran() -> None:
    over = {state for state in OrderState if is_over(order("o1", state))}
    assert over == {OrderState.STOPPED, OrderState.DELETING, OrderState.GONE, OrderState.REJECTED}
    assert is_over(order("o1", OrderState.UNKNOWN, stop_wanted_at=NOW))
    assert is_over(None)


def test_progress_shows_the_present_run_only(ledger: Ledger) -> None:
    write_order(ledger, "o1", OrderState.ACTIVE, remote_state="provisioning", raw_state="EnvPreparing")

    def note(connection: Any) -> None:
        for what in ("ordered", "made", "stopped", "ordered", "started", "armed"):
            audit.note(connection, "o1", at=NOW, by="x", what=what)

    ledger.write(note)
    shown = [template.format(**words) for _, template, words in lines(ledger.read(read_progress, "o1"))]
    assert shown == [
        "Order received",
        "The cloud is starting your notebook",
        "Auto-stop timer set in the cloud",
        "Cloud status: EnvPreparing",
    ]


def test_mistakes_in_the_settings_are_located_without_quoting_values() -> None:
    with pytest.raises(ValueError, match="name a cloud"):
        PaidSettings(label="installation-1")
    wrong = PaidSettings(label="installation-1", dsw={"principal": "s3cret", "key_file": "x", "regions": {}})
    with pytest.raises(SetupError) as raised:
        check(wrong)
    assert "paid.dsw.principal" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_start_token_is_removed_from_the_options_under_its_new_and_its_old_name() -> None:
    for options in ({"start_token": "t"}, {"start_word": "t"}, {"start_token": "t", "start_word": "old"}):
        assert pop_start_token(options) == "t"
        assert options == {}
    assert pop_start_token({}) is None
