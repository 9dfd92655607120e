"""URLs below `freepool/` for the JupyterLab extension of this server. None of them counts as activity."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from spawner.instance.activity import INPUT
from spawner.instance.session import DeskAway, Session, Sessions

LARGEST_BODY = 16 * 1024
ALIVE_SECONDS, REPEAT_SECONDS = 5, 20
"""How often a sign of life is sent (not every proxy tells a browser that a server was killed), and the whole state: it
has the desk's time, and a computer may have slept."""
FORWARDED = {"extend": "api/session/extend", "notices": "api/session/notices", "answer": "api/session/answer"}
AWAY = {
    "en": ("The platform is not responding.", "Try again in a minute."),
    "zh-CN": ("平台暂时没有响应。", "请稍后再试。"),
}


class SessionHandler(APIHandler):
    """What the lab asks of its server. Not activity."""

    auth_resource = "freepool"
    _track_activity = False

    @property
    def sessions(self) -> Sessions:
        """Made by the extension."""
        found: Sessions = self.settings["freepool_sessions"]
        return found

    @property
    def wanted(self) -> str:
        """The language of the tab."""
        return str(self.get_query_argument("language", "en"))[:20]

    def body(self) -> Mapping[str, Any]:
        """The JSON object of the request. Raises 400 and 413."""
        if len(self.request.body) > LARGEST_BODY:
            raise HTTPError(413)
        found = self.get_json_body()
        if not isinstance(found, dict):
            raise HTTPError(400, "Send a JSON object.")
        return found


class EventsHandler(SessionHandler):
    """GET /freepool/session/events?language=: server-sent events, each the whole session. `once`: as JSON, now."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Send the state now, at each change, and as a sign of life."""
        session = self.sessions.of(self.wanted)
        with session.listening():
            if self.get_query_argument("once", ""):
                if session.state is None:
                    await session.newer(session.version, ALIVE_SECONDS)
                self.finish(json.dumps(session.view()))
                return
            self.set_header("Content-Type", "text/event-stream")
            self.set_header("Cache-Control", "no-store")
            self.set_header("X-Accel-Buffering", "no")
            with suppress(StreamClosedError):
                while True:
                    version = session.version
                    self.write(f"data: {json.dumps(session.view())}\n\n")
                    await self.flush()
                    await self._wait(session, version)

    async def _wait(self, session: Session, version: int) -> None:
        """Until there is something to say, with signs of life."""
        for _ in range(REPEAT_SECONDS // ALIVE_SECONDS):
            if await session.newer(version, ALIVE_SECONDS) != version or session.is_away:
                return
            self.write(": alive\n\n")
            await self.flush()

    def send_error(self, status_code: int = 500, **options: Any) -> None:
        """Tornado cancels the handler of a closed connection, and would log that its answer has begun already."""
        if not self._headers_written:
            super().send_error(status_code, **options)


class ForwardHandler(SessionHandler):
    """POST /freepool/session/extend, notices and answer: the desk's own."""

    @authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Answer what the desk answers; 503 where it does not."""
        body, wanted = self.body(), self.wanted
        language = self.sessions.of(wanted).language
        try:
            answer = await self.sessions.link.ask("POST", f"{FORWARDED[name]}?language={language}", body)
        except DeskAway as error:
            self.log.info("freepool: the desk does not answer: %s", error)
            message, after = AWAY[language]
            self.set_status(503)
            self.finish(json.dumps({"error": {"code": "desk_away", "message": message, "next": after}}))
            return
        self.sessions.learn(answer, wanted)
        self.set_status(answer.status)
        self.finish(json.dumps(answer.body))


class InputHandler(SessionHandler):
    """POST /freepool/input: a person has used a page of this server in a visible tab."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Note the time."""
        self.settings[INPUT] = time.time()
        self.set_status(204)
        self.finish()
