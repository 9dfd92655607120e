"""Passes the desk's session API on to the JupyterLab pages of this server.

One connection to the desk for all tabs of one language, only while a tab listens. It asks with the server's own token,
which the tabs do not have. Where the desk does not answer, the tabs keep the last state, and `session_notices` warns of
the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from spawner.instance.session_notices import language_of, own_notice, seconds_to_next, time_of

log = logging.getLogger("freepool.session")
DESK_VARIABLE = "FREEPOOL_DESK_URL"
LARGEST_STATE = 256 * 1024
"""Bytes of one state. The desk's is about 3 kB."""
SILENT_SECONDS = 60
"""The desk writes at least every 10 seconds. After this the connection counts as broken."""
POLL_SECONDS = 30
"""Between two questions where the desk has no stream."""
LINGER_SECONDS, LOOK_SECONDS = 90, 15
"""How long the connection stays without a tab: hidden ones ask every 30 to 60 seconds. How often that is looked at."""
BACK_OFF = (1, 2, 4, 8, 15, 30)
"""Seconds before the next try. The last repeats."""


class DeskAway(Exception):
    """The desk cannot be reached, or what it says is no answer of a desk."""


class NoStream(Exception):
    """The desk has no stream of this session, but answers."""


@dataclass(frozen=True)
class DeskAnswer:
    """An answer to a single request."""

    status: int
    body: Any


class DeskLink(Protocol):
    """How the desk is reached."""

    async def stream(self, path: str, heard: Callable[[bytes], None]) -> None:
        """Pass on what the desk sends until it ends. Raises `DeskAway` and `NoStream`."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> DeskAnswer:
        """One request. Raises `DeskAway`."""


class EventReader:
    """Reads server-sent events: `feed` returns the `data` of each that is whole. Raises `DeskAway` for a line without
    end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """The next piece, which may end anywhere."""
        *events, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > LARGEST_STATE:
            raise DeskAway("an event is too long")
        return ["\n".join(_data_lines(event)) for event in events]


def _data_lines(event: bytes) -> list[str]:
    lines = event.decode("utf-8", "replace").split("\n")
    return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]


def read_state(text: str) -> dict[str, Any] | None:
    """A session of the desk's; None for what is none, such as a sign of life."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(found.get("id"), str):
            return found
    return None


LATE_SECONDS = 30
"""How much older than what is known a late answer can be. What is older than that is of a clock that was set back."""


@dataclass
class Session:
    """What is known, for tabs of one language. `clock` is monotonic, so that the node's own time does not matter."""

    link: DeskLink
    language: str
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    state: dict[str, Any] | None = None
    is_away: bool = False
    """Whether the desk has not answered for a while."""
    version: int = 0
    _received: float = 0
    _offset: float | None = None
    """The desk's clock minus ours."""
    _listeners: int = 0
    _left_at: float = 0
    """When the last tab has gone."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def view(self) -> dict[str, Any]:
        """What tabs are told: the desk's JSON, with the desk's time now and, where it is away, a warning of ours."""
        now = None if self._offset is None else self.clock() + self._offset
        view: dict[str, Any] = {**(self.state or {}), "relay": {"away": self.is_away, "now": now}}
        if self.is_away and self.state is not None and now is not None:
            notice = own_notice(self.state, now, self.language)
            if notice is not None:
                view["notices"] = [*(self.state.get("notices") or []), notice]
        return view

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A tab listens: keep a connection to the desk."""
        self._listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._listeners -= 1
            self._left_at = self.clock()

    @property
    def _is_wanted(self) -> bool:
        return self._listeners > 0 or self.clock() - self._left_at < LINGER_SECONDS

    async def newer(self, after: int, seconds: float) -> int:
        """Wait for something newer than version `after`, at most so long. Returns the version now.

        It returns as well when a warning of ours becomes due.
        """
        if self.version == after:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(seconds, self._pause()))
        return self.version

    def _pause(self) -> float:
        """How long nothing changes by itself."""
        if not self.is_away or self.state is None or self._offset is None:
            return SILENT_SECONDS
        return (seconds_to_next(self.state, self.clock() + self._offset) or SILENT_SECONDS) + 0.01

    def learn(self, state: dict[str, Any] | None) -> None:
        """The desk has answered: with a state, or with a sign of life."""
        now = self.clock()
        if state is not None and self._is_late(state):
            state = None
        news = self.is_away or (state is not None and state != self.state)
        self.is_away, self._received = False, now
        if state is not None:
            self.state = state
            told = time_of(state, "now")
            self._offset = None if told is None else told - now
        if news:
            self._tell()

    def _is_late(self, state: dict[str, Any]) -> bool:
        """Whether a newer state has overtaken this one: the answer to a change and the stream come by two ways."""
        known, told = time_of(self.state or {}, "now"), time_of(state, "now")
        return known is not None and told is not None and 0 < known - told < LATE_SECONDS

    def _lose(self) -> None:
        if not self.is_away:
            self.is_away = True
            self._tell()

    def _tell(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _run(self) -> None:
        """Keep the connection until no tab has listened for a while."""
        failures = 0
        while self._is_wanted:
            before = self._received
            try:
                await self._connect()
            except DeskAway as error:
                log.info("the desk does not answer: %s", error)
            except Exception:
                log.exception("the connection to the desk failed")
            failures = 0 if self._received > before else failures + 1
            if failures:
                self._lose()
            wait = BACK_OFF[min(failures, len(BACK_OFF)) - 1] if failures else BACK_OFF[0]
            await self.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  (servers shall not come all at once)

    async def _connect(self) -> None:
        try:
            await self._stream()
        except NoStream:
            answer = await self.link.ask("GET", f"api/session?language={self.language}")
            state = read_state(json.dumps(answer.body))
            if state is None:
                raise DeskAway(f"status {answer.status}") from None
            self.learn(state)
            await self.sleep(POLL_SECONDS)

    async def _stream(self) -> None:
        reader = EventReader()

        def heard(piece: bytes) -> None:
            for text in reader.feed(piece):
                self.learn(read_state(text))

        task = asyncio.ensure_future(self.link.stream(f"api/session/events?language={self.language}", heard))
        try:
            began = self.clock()
            while not task.done():
                await asyncio.wait({task}, timeout=LOOK_SECONDS)
                if self.clock() - max(self._received, began) > SILENT_SECONDS:
                    raise DeskAway("it is silent")
                if not self._is_wanted:
                    return
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, DeskAway, NoStream):
                await task


class Sessions:
    """The sessions of one server, by language."""

    def __init__(self, link: DeskLink) -> None:
        self.link = link
        self._of: dict[str, Session] = {}

    def of(self, language: str) -> Session:
        """For a BCP 47 tag. There are as many as there are languages of ours."""
        chosen = language_of(language)
        if chosen not in self._of:
            self._of[chosen] = Session(self.link, chosen)
        return self._of[chosen]

    def learn(self, answer: DeskAnswer, language: str) -> None:
        """The answer to a change may be the new state, which the other tabs shall see at once."""
        state = read_state(json.dumps(answer.body))
        if answer.status == 200 and state is not None:
            self.of(language).learn(state)


def desk_address(environment: Mapping[str, str] = os.environ) -> str:
    """Base URL of the desk as this server reaches it; empty where it does not."""
    if environment.get(DESK_VARIABLE):
        return environment[DESK_VARIABLE].rstrip("/") + "/"
    hub, found, _ = environment.get("JUPYTERHUB_API_URL", "").rpartition("/hub/api")
    return f"{hub}/services/desk/" if found else ""
