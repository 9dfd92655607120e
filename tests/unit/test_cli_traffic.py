"""`freepool traffic` answers whose notebook used an address, also when the notebook is long gone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spawner import cli
from spawner.cli_traffic import parse_place
from spawner.errors import BadOption
from spawner.ledger import EndReason, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import instances
from spawner.pool.backends.local.connections import Connection
from spawner.pool.backends.local.traffic import Recorder
from spawner.settings import KubernetesPool, Settings
from spawner.steward.guard import prune_traffic

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLACE = Connection("tcp", "203.0.113.80", 3333)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A state folder in which ann's and bob's notebooks had a connection each, and have ended."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    made = Settings(catalog=tmp_path / "c", state=tmp_path, examples=tmp_path, ledger_url=url)
    (tmp_path / "settings.json").write_text(made.model_dump_json())
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    made.traffic_dir.mkdir()
    for number, name in enumerate(("ann", "bob")):
        begins = AT + timedelta(hours=number)
        user = HubUser(number + 1, name, "2026-01-01T00:00:00Z")
        person = ledger.write(people.of_user, user, new_id=lambda name=name: f"person-{name}", now=begins)
        ledger.write(
            instances.request, instance_id=f"i-{name}", person_id=person.id, user_name=name, server_name="",
            flavor="small", image="cpu", example=None, hub_epoch="1", now=begins, at_most=1,
        )  # fmt: skip
        ledger.write(instances.attach_slot, f"i-{name}", f"s-{name}")
        pod = f"http://10.1.2.{number + 3}:8888"
        ledger.write(instances.mark_running, f"i-{name}", url=pod, now=begins, ends_at=begins + timedelta(hours=4))
        recorder = Recorder(made.traffic_dir, f"s-{name}", lambda begins=begins: begins.timestamp() + 60)
        recorder.note(PLACE)
        recorder.close()
        ledger.write(instances.mark_stopping, f"i-{name}", reason=EndReason.STOPPED, now=begins + timedelta(minutes=9))
        ledger.write(instances.mark_ended, f"i-{name}", now=begins + timedelta(minutes=10))
    ledger.close()
    return made


def ask(settings: Settings, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The command's lines."""
    cli.main(["traffic", *arguments, "--state", str(settings.state)])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["203.0.113.80"], ["ann", "bob"]),
        (["203.0.113.80:3333"], ["ann", "bob"]),
        (["203.0.113.80", "--at", "2026-03-01T12:03+00:00"], ["ann"]),
        (["203.0.113.80", "--at", "2026-03-01T14:03+01:00"], ["bob"]),
        (["203.0.113.80", "--at", "2026-03-01T12:30+00:00", "--minutes", "40"], ["ann", "bob"]),
        (["203.0.113.80", "--user", "bob"], ["bob"]),
        (["203.0.113.80", "--user", "person-ann"], ["ann"]),
    ],
)
def test_the_person_is_named(
    arguments: list[str], names: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ask(settings, capsys, *arguments)
    assert len(lines) == len(names)
    for line, name in zip(lines, names, strict=True):
        assert f"tcp 203.0.113.80:3333  1 connection(s)  {name} (person-{name})  instance i-{name}" in line
    if names == ["ann"]:
        assert lines[0].startswith("2026-03-01 12:01:00 to 2026-03-01 12:01:00 UTC")


@pytest.mark.parametrize(
    "arguments", [["203.0.113.80:443"], ["203.0.113.81"], ["203.0.113.80", "--at", "2026-03-01T18:00+00:00"]]
)
def test_nobody_is_said_with_how_far_the_log_goes_back(
    arguments: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(settings, capsys, *arguments) == ["No notebook had a connection to it then. The log goes back 30 days."]


def test_a_log_that_is_not_whole_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    Recorder(settings.traffic_dir, "s-ann", AT.timestamp).missed()
    assert "more connections than could be written" in ask(settings, capsys, "203.0.113.80")[1]


def test_a_slot_that_served_nobody_is_named(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    Recorder(settings.traffic_dir, "warm", AT.timestamp).note(Connection("tcp", "203.0.113.9", 443))
    assert "no user's notebook, or one whose row is deleted (slot warm)" in ask(settings, capsys, "203.0.113.9")[0]


def test_on_a_cluster_it_says_whose_pod_had_an_address(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    pods = settings.model_copy(update={"kubernetes": KubernetesPool(namespace="pool")})
    (settings.state / "settings.json").write_text(pods.model_dump_json())
    (line,) = ask(settings, capsys, "10.1.2.4", "--at", "2026-03-01T13:05+00:00")
    assert line == "2026-03-01 13:00:00 to 2026-03-01 13:10:00 UTC  pod 10.1.2.4  bob (person-bob)  instance i-bob"
    (line,) = ask(settings, capsys, "10.1.2.4", "--at", "2026-03-01T12:05+00:00")
    assert "No notebook's pod had this address then." in line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("203.0.113.7", ("203.0.113.7", None)),
        ("203.0.113.7:443", ("203.0.113.7", 443)),
        ("2001:DB8::7", ("2001:db8::7", None)),
        ("[2001:db8::7]:443", ("2001:db8::7", 443)),
    ],
)
def test_a_place_can_be_written_in_these_ways(text: str, place: tuple[str, int | None]) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["pool.example.org", "203.0.113.7:x", "[::1", "1.2.3", ""])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(BadOption, match="is not an IP address"):
        parse_place(text)


def test_logs_go_when_their_time_is_over(settings: Settings) -> None:
    import os

    os.utime(settings.traffic_dir / "s-ann.jsonl", (time.time() - 31 * 86400,) * 2)
    prune_traffic(settings)
    assert [path.name for path in settings.traffic_dir.iterdir()] == ["s-bob.jsonl"]
    off = settings.model_copy(update={"network": settings.network.model_copy(update={"log_days": 0})})
    prune_traffic(off)
    assert list(settings.traffic_dir.iterdir()) == []
