"""The log of connections: what is written, read, kept and deleted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spawner.pool.backends.local import traffic
from spawner.pool.backends.local.connections import Connection, parse
from spawner.pool.backends.local.network import TrafficLimits
from spawner.pool.backends.local.traffic import LARGEST_FILE, QUIET_SECONDS, Recorder, Use

WEB, MINE = Connection("tcp", "203.0.113.80", 443), Connection("tcp", "203.0.113.81", 3333)
SIX = Connection("udp", "2001:db8::80", 443)


class Clock:
    """The time as the test sets it."""

    time = 1000.0

    def __call__(self) -> float:
        return self.time


def ended(one: Connection, size: int) -> Connection:
    return Connection(one.protocol, one.address, one.port, is_end=True, bytes=size)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in (folder / "a.jsonl").read_text().splitlines()]


def test_a_place_is_written_at_its_first_connection_and_summed_up_when_it_has_been_quiet(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, "a", clock)
    recorder.note(WEB)
    assert lines(tmp_path) == [{"at": 1000, "protocol": "tcp", "to": "203.0.113.80", "port": 443}]
    clock.time += 5
    recorder.note(WEB)
    recorder.note(ended(WEB, 100))
    recorder.write_ended()
    assert len(lines(tmp_path)) == 1, "one is still open"
    clock.time += 5
    recorder.note(ended(WEB, 23))
    recorder.write_ended()
    assert len(lines(tmp_path)) == 1, "a browser comes back within a minute"
    clock.time += QUIET_SECONDS + 1
    recorder.write_ended()
    assert lines(tmp_path)[1] == {**lines(tmp_path)[0], "until": 1010, "count": 2, "bytes": 123}
    recorder.note(WEB)
    assert lines(tmp_path)[2]["at"] == 1071


def test_what_is_open_at_the_slots_end_ends_with_it(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, "a", clock)
    recorder.note(WEB)
    clock.time += 3600
    recorder.close()
    (use,) = traffic.find(tmp_path, "203.0.113.80")
    assert use == Use("a", "tcp", "203.0.113.80", 443, 1000, 4600, 1, None)


def test_a_killed_keepers_log_has_each_place_and_no_end(tmp_path: Path) -> None:
    Recorder(tmp_path, "a", Clock()).note(WEB)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"at":1001,"protocol":"tcp","to":"203.0.113.80","po')  # cut off
    (use,) = traffic.find(tmp_path, "203.0.113.80", 443)
    assert (use.at, use.until, use.count) == (1000, None, 1)
    assert traffic.find(tmp_path, "203.0.113.80", 80) == []


def test_ipv6_is_found_however_it_is_written(tmp_path: Path) -> None:
    Recorder(tmp_path, "a", Clock()).note(SIX)
    assert traffic.find(tmp_path, "2001:0DB8:0::0080")[0].address == "2001:db8::80"


def test_a_file_has_a_largest_size_and_says_so(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", Clock(), most=500)
    for number in range(100):
        recorder.note(Connection("tcp", f"203.0.113.{number}", 443))
    assert (tmp_path / "a.jsonl").stat().st_size < 600
    recorder.missed()
    assert traffic.incomplete(tmp_path) == {"a": ["full"]}


def test_nobody_fills_a_file_in_a_session_of_four_hours(tmp_path: Path) -> None:
    """Who could, would do unseen what comes after."""
    clock = Clock()
    clock.time = 1_795_748_705
    recorder = Recorder(tmp_path, "a", clock)
    longest = Connection("tcp", "203.113.113.113", 50000)
    recorder.note(longest)
    recorder.note(ended(longest, 100_000))
    recorder.close()
    size = (tmp_path / "a.jsonl").stat().st_size
    assert size * TrafficLimits().new_connections * 4 * 3600 < LARGEST_FILE


def test_places_with_a_port_of_interest_are_read_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", Clock())
    recorder.note(WEB)
    recorder.note(MINE)
    found, read = traffic.contacts(tmp_path, "a", frozenset({3333}))
    assert found == ["203.0.113.81:3333"]
    assert traffic.contacts(tmp_path, "a", frozenset({3333}), after=read) == ([], read)
    recorder.note(Connection("tcp", "2001:db8::81", 3333))
    assert traffic.contacts(tmp_path, "a", frozenset({3333}), after=read)[0] == ["[2001:db8::81]:3333"]
    assert traffic.contacts(tmp_path, "none", frozenset({3333})) == ([], 0)


@pytest.mark.parametrize(
    ("most", "left", "early"), [(1_000_000, ["b", "c"], []), (250, ["c"], ["b"]), (50, [], ["b", "c"])]
)
def test_old_files_go_and_the_oldest_of_too_many(most: int, left: list[str], early: list[str], tmp_path: Path) -> None:
    for name, age in (("a", 300), ("b", 200), ("c", 100)):
        (tmp_path / f"{name}.jsonl").write_text("x" * 200)
        os.utime(tmp_path / f"{name}.jsonl", (1000 - age, 1000 - age))
    assert traffic.prune(tmp_path, before=750, most_bytes=most) == early
    assert sorted(path.stem for path in tmp_path.iterdir()) == left


def test_what_is_no_event_is_no_connection() -> None:
    assert list(parse(b"")) == list(parse(b"\0" * 40)) == []
    assert list(parse(b"\x18\0\0\0\0\1" + b"\0" * 18)) == [], "a new connection without a tuple"
