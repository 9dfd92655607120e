"""What ends when somebody is banned, and the command that bans."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from spawner import cli
from spawner.errors import LedgerUnusable
from spawner.hub.bans import HubBans
from spawner.hub.people import HubPeople
from spawner.ledger import InstanceState, Ledger, TicketState, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.paid.rows import OVER, OrderState
from spawner.ledger.people import bans, groups, people
from spawner.ledger.people.rows import HubUser
from spawner.pool.admin import people as commands
from spawner.pool.admin.people import BanChange
from spawner.settings import SETTINGS_VARIABLE, Settings
from spawner.steward.bans import BanActions, decide
from tests.paid import make as make_paid
from tests.unit import make
from tests.unit.make import NOW

Freepool = Callable[..., str]


def test_everything_of_a_banned_person_ends_and_nothing_of_others() -> None:
    instances = [
        make.instance(f"{who}-{state}", state, user_name=who)
        for who in ("ann", "bob")
        for state in (InstanceState.STARTING, InstanceState.RUNNING, InstanceState.STOPPING)
    ]
    tickets = [
        make.ticket(f"{who}-{state}", state, user_name=who)
        for who in ("ann", "bob")
        for state in (TicketState.WAITING, TicketState.CALLED)
    ]
    begun = make.ticket("begun", TicketState.CALLED, user_name="ann", instance_id="ann-starting")
    orders = [
        make_paid.order(f"{who}-{state}", state, person_id=who)
        for who in ("ann", "bob")
        for state in OrderState
        if state not in OVER
    ]
    unwanted = make_paid.order("unwanted", OrderState.ACTIVE, person_id="ann", stop_wanted_at=NOW)
    found = decide({"ann"}, instances=instances, tickets=[*tickets, begun], orders=[*orders, unwanted])
    assert found.instances == ("ann-starting", "ann-running")
    assert found.tickets == ("ann-waiting", "ann-called")
    assert {name.partition("-")[0] for name in found.orders} == {"ann"}
    assert "ann-active" in found.orders
    assert not {"ann-stopped", "unwanted"} & set(found.orders)
    assert decide(set(), instances=instances, tickets=tickets, orders=orders) == BanActions()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, ledger_url=url)
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    monkeypatch.setenv("STATE", str(tmp_path))
    opened = open_ledger(url)
    for number, name in enumerate(("ann", "bob"), 1):
        user = HubUser(number, name, NOW.isoformat())
        opened.write(people.of_user, user, new_id=lambda name=name: f"p-{name}", now=NOW)
    return opened


@pytest.fixture
def freepool(capsys: pytest.CaptureFixture[str]) -> Freepool:
    def run(*arguments: str) -> str:
        cli.main(list(arguments))
        return capsys.readouterr().out

    return run


def test_bans_are_put_listed_and_lifted(ledger: Ledger, freepool: Freepool) -> None:
    assert freepool("bans") == "No bans.\n"
    said = freepool("ban", "ann", "--code", "mining", "--days", "7", "--evidence", "xmrig", "--appeal", "mail us")
    assert said.startswith("Banned: ann (p-ann), until ")
    (ban,) = ledger.read(bans.history)
    assert (ban.person_id, ban.code, ban.evidence, ban.appeal) == ("p-ann", "mining", "xmrig", "mail us")
    assert freepool("ban", "p-bob", "--for-good").startswith("Banned: bob (p-bob), for good")
    listed = freepool("bans")
    assert "ann (p-ann); mining; until " in listed
    assert "bob (p-bob); other; for good" in listed
    assert freepool("unban", "ann") == "ann (p-ann): 1 lifted.\n"
    assert "ann" not in freepool("bans")
    assert "lifted by" in freepool("bans", "--all")
    ledger.close()


def test_who_runs_the_command_is_not_banned_by_accident(
    ledger: Ledger, freepool: Freepool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    with pytest.raises(SystemExit):
        freepool("ban", "ann", "--days", "1")
    assert "Add --myself if that is meant" in capsys.readouterr().err
    assert ledger.read(bans.history) == []
    assert freepool("ban", "ann", "--days", "1", "--myself").startswith("Banned: ann")
    ledger.close()


def test_a_person_is_exported_and_forgotten(ledger: Ledger, freepool: Freepool) -> None:
    freepool("ban", "ann", "--days", "7", "--evidence", "xmrig")
    exported = json.loads(freepool("export", "ann"))
    assert (exported["schema"], exported["person"]) == ("freepool-person/1", "p-ann")
    assert exported["tables"]["bans"][0]["evidence"] == "xmrig"
    said = freepool("forget", "ann")
    assert "It cannot be done now: JupyterHub still has the user ann. Delete the user from JupyterHub first" in said
    assert "The ban then applies to no one" in said
    assert "Nothing is done yet. Add --yes" in freepool("forget", "ann", "--account-is-gone")
    assert ledger.read(people.get, "p-ann").hub_name == "ann"
    assert "Done. The name is forgotten-p-ann now" in freepool("forget", "ann", "--account-is-gone", "--yes")
    assert ledger.read(people.get, "p-ann").hub_name == "forgotten-p-ann"
    assert freepool("forget", "p-bob", "--account-is-gone", "--yes")
    assert ledger.read(people.find, "p-bob") is None
    ledger.close()


async def test_the_hub_goes_on_with_the_bans_it_knows_while_the_ledger_is_away(ledger: Ledger) -> None:
    times = iter(range(0, 100, 2))
    settings = Settings(catalog=Path(), state=Path(), examples=Path(), ledger_url="sqlite://")
    hub = HubPeople(settings, now=lambda: NOW, new_id=lambda: "new")
    hub.__dict__["ledger"] = ledger
    known = HubBans(hub, clock=lambda: next(times))
    ann, bob = (HubUser(number, name, NOW.isoformat()) for number, name in enumerate(("ann", "bob"), 1))
    assert await known.of(ann) is None
    change = BanChange(days=1.0)
    ledger.write(commands.ban, "p-ann", change, by="root", now=NOW, new_id=lambda: "b1")
    assert await known.of(ann) is not None
    assert await known.of(bob) is None
    ledger.close()

    async def fails(*_: object, **__: object) -> None:
        raise LedgerUnusable("away")

    ledger.aread = fails  # type: ignore[method-assign, assignment]
    assert await known.of(ann) is not None
    hub.now = lambda: NOW + timedelta(days=2)
    assert await known.of(ann) is None, "it ends at its time all the same"


def test_operators_groups_are_set_beside_those_of_the_login(ledger: Ledger, freepool: Freepool) -> None:
    assert freepool("groups", "ann") == "ann (p-ann)\nlogin: -\nhub: -\nadministrator: -\n"
    assert freepool("groups", "ann", "--set", "staff", "gpu") == (
        "ann (p-ann)\nlogin: -\nhub: -\nadministrator: gpu, staff\n"
    )
    assert ledger.read(groups.of, "p-ann") == ("gpu", "staff")
    assert freepool("groups", "ann", "--set") == "ann (p-ann)\nlogin: -\nhub: -\nadministrator: -\n"
    ledger.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ban", "nobody", "--days", "1"), "Unknown user: 'nobody'"),
        (("ban", "ann", "--days", "0"), "0.0 is not a valid number of days"),
        (("ban", "ann", "--days", "nan"), "nan is not a number of days"),
        (("ban", "ann", "--days", "1", "--code", "x"), "'x' is not a valid code"),
        (("unban", "ann"), "No ban is in force"),
        (("forget", "ann", "--yes"), "JupyterHub still has the user ann"),
        (("export", "nobody"), "Unknown user: 'nobody'"),
    ],
)
def test_bad_input_is_refused_in_words(
    ledger: Ledger, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(list(arguments))
    assert said in capsys.readouterr().err.replace('"', "'")
    assert ledger.read(bans.history) == []
    ledger.close()
