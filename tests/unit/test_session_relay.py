"""A notebook server passes the desk's session on to its pages, and knows the time without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from spawner.instance.session import (
    BACK_OFF,
    LARGEST_STATE,
    LINGER_SECONDS,
    DeskAnswer,
    DeskAway,
    EventReader,
    NoStream,
    Session,
    Sessions,
    desk_address,
    read_state,
)
from spawner.instance.session_notices import MINUTES, TEXTS, own_notice, seconds_to_next

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()


def session(minutes: float, **more: Any) -> dict[str, Any]:
    """A session that ends so many minutes after noon."""
    end = datetime.fromtimestamp(NOON + minutes * 60, UTC).isoformat()
    return {"id": "one", "ends_at": end, "now": "2026-11-27T12:00:00Z", "notices": [], **more}


def told(minutes: int) -> dict[str, Any]:
    return {"id": "desk's", "kind": "deadline", "params": {"minutes": minutes}}


@pytest.mark.parametrize(
    ("minutes", "warned"), [(31, None), (30, 30), (29, 30), (10.5, 30), (10, 10), (5, 5), (1.5, 5), (1, 1), (0, None)]
)
def test_the_most_urgent_warning_is_given(minutes: float, warned: int | None) -> None:
    found = own_notice(session(minutes), NOON, "en")
    assert (found and found["params"]["minutes"]) == warned


def test_what_the_desk_has_said_is_not_said_again() -> None:
    for kind in ("deadline", "maintenance"):
        assert own_notice(session(9, notices=[told(10) | {"kind": kind}]), NOON, "en") is None
    assert own_notice(session(4, notices=[told(10)]), NOON, "en") is not None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"ends_at": None},
        {"ends_at": "soon"},
        {"ends_at": 5},
        session(9, notices=None),
        session(9, notices=[None, {}]),
    ],
)
def test_missing_fields_are_no_error(odd: dict[str, Any]) -> None:
    own_notice(odd, NOON, "en")
    seconds_to_next(odd, NOON)


def test_both_languages_have_the_words() -> None:
    chinese = own_notice(session(9), NOON, "zh-Hans-CN")
    english = own_notice(session(9), NOON, "fr")
    assert chinese is not None
    assert chinese["title"] == "还剩 10 分钟"
    assert english is not None
    assert english["title"] == "10 min left"
    assert set(TEXTS) == {"en", "zh-CN"}


@pytest.mark.parametrize(("language", "deleted"), [("en", "deleted"), ("zh-CN", "删除")])
def test_kept_files_are_not_said_to_be_deleted(language: str, deleted: str) -> None:
    wiped, kept = (own_notice(session(9, keeps_files=keeps), NOON, language) for keeps in (False, True))
    assert wiped is not None
    assert kept is not None
    assert deleted in wiped["text"]
    assert deleted not in kept["text"]


def test_the_next_warning_is_waited_for_exactly() -> None:
    assert seconds_to_next(session(31), NOON) == 60
    assert seconds_to_next(session(30), NOON) == 20 * 60
    assert seconds_to_next(session(0.5), NOON) == 30
    assert seconds_to_next(session(-1), NOON) is None
    assert sorted(MINUTES) == list(MINUTES)


def test_events_may_be_cut_anywhere() -> None:
    whole = b'data: {"id": "\xe4\xb8\x80"}\r\n\r\nevent: alive\ndata: still here\n\n: comment\n\ndata: last\n\n'
    for size in (1, 2, 7, len(whole)):
        reader = EventReader()
        found = [text for at in range(0, len(whole), size) for text in reader.feed(whole[at : at + size])]
        assert found == ['{"id": "一"}', "still here", "", "last"], size


def test_an_event_without_end_is_dropped() -> None:
    with pytest.raises(DeskAway):
        EventReader().feed(b"x" * (LARGEST_STATE + 1))


@pytest.mark.parametrize("text", ["", "still here", "[]", "{}", '{"id": 5}', "nan"])
def test_only_a_session_is_a_state(text: str) -> None:
    assert read_state(text) is None


def test_the_desk_is_found_by_its_variable_or_beside_the_hub() -> None:
    assert desk_address({"FREEPOOL_DESK_URL": "http://proxy/services/desk"}) == "http://proxy/services/desk/"
    assert (
        desk_address({"JUPYTERHUB_API_URL": "http://127.0.0.1:8000/hub/api"}) == "http://127.0.0.1:8000/services/desk/"
    )
    assert desk_address({}) == ""


@dataclass
class Desk:
    """A link whose streams do what the test says, in turn; then they stay open."""

    streams: list[Callable[[Callable[[bytes], None]], None]] = field(default_factory=list)
    polled: dict[str, Any] | None = None
    began: int = 0
    ended: int = 0

    async def stream(self, path: str, heard: Callable[[bytes], None]) -> None:
        self.began += 1
        try:
            if self.streams:
                return self.streams.pop(0)(heard)
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> DeskAnswer:
        if self.polled is None:
            raise DeskAway("no")
        return DeskAnswer(200, self.polled)


def says(state: dict[str, Any]) -> Callable[[Callable[[bytes], None]], None]:
    return lambda heard: heard(f"data: {json.dumps(state)}\n\n".encode())


def refuses(error: Exception) -> Callable[[Callable[[bytes], None]], None]:
    def run(_: Callable[[bytes], None]) -> None:
        raise error

    return run


class Clock:
    """Sleeps take no time, and move the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def make(desk: Desk) -> tuple[Session, Clock]:
    clock = Clock()
    return Session(desk, "en", clock=lambda: clock.now, sleep=clock.sleep), clock


async def test_all_tabs_share_one_connection_and_the_last_one_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.instance.session.LOOK_SECONDS", 0.01)
    desk = Desk([says(session(60))])
    relay, clock = make(desk)
    with relay.listening(), relay.listening(), relay.listening():
        assert await relay.newer(0, 5) == 1
        assert relay.view()["id"] == "one"
        while desk.began < 2:  # the first stream has ended
            await asyncio.sleep(0)
        assert desk.began == 2
    await asyncio.sleep(0.05)
    assert desk.ended == 1, "the tab may only be reloaded"
    clock.now += LINGER_SECONDS
    task = relay._task
    assert task is not None
    await asyncio.wait_for(task, 5)
    assert desk.ended == desk.began == 2


async def test_tabs_are_told_of_silence_and_of_the_return() -> None:
    desk = Desk(
        [says(session(4)), refuses(DeskAway("down")), refuses(DeskAway("down")), says(session(4, notices=[told(5)]))]
    )
    relay, clock = make(desk)
    seen: list[tuple[bool, list[str]]] = []
    with relay.listening():
        version = 0
        while version < 3:
            version = await relay.newer(version, 5)
            seen.append((relay.is_away, [one["id"] for one in relay.view()["notices"]]))
    assert seen == [(False, []), (True, ["own-5"]), (False, ["desk's"])]
    assert relay.view()["relay"]["now"] == pytest.approx(NOON, abs=60), "the desk's clock, not the machine's"
    assert clock.slept[1] <= BACK_OFF[1] * 1.2


async def test_a_desk_without_a_stream_is_asked_now_and_then() -> None:
    relay, _clock = make(Desk([refuses(NoStream())], polled=session(60)))
    with relay.listening():
        await relay.newer(0, 5)
    assert relay.view()["id"] == "one"


async def test_a_sign_of_life_is_no_news() -> None:
    relay, _ = make(Desk())
    relay.learn(session(60))
    relay.learn(None)
    relay.learn(session(60))
    assert relay.version == 1


async def test_the_answer_to_a_change_reaches_the_other_tabs() -> None:
    sessions = Sessions(Desk())
    sessions.learn(DeskAnswer(409, session(60)), "en")
    assert sessions.of("en").state is None
    sessions.learn(DeskAnswer(200, session(60)), "en-GB")
    assert sessions.of("en").state is not None
    assert sessions.of("zh-TW") is sessions.of("zh-CN") is not sessions.of("de")


async def test_an_answer_that_a_newer_state_has_overtaken_is_not_shown() -> None:
    relay, _ = make(Desk())
    newer, older = (session(minutes) | {"now": f"2026-03-01T12:00:0{second}Z"} for minutes, second in ((9, 2), (29, 1)))
    relay.learn(newer)
    relay.learn(older)
    assert relay.view()["ends_at"] == newer["ends_at"]
    relay.learn(older | {"now": "2026-03-01T11:00:00Z"})  # the clock was set back
    assert relay.view()["ends_at"] == older["ends_at"]
