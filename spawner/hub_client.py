"""Calls to JupyterHub's REST API: the desk's, always with the user's own token, and the steward's with its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from spawner import siblings
from spawner.errors import BackendUnavailable, FreepoolError, Refusal, SignedOut
from spawner.refusals import REFUSAL_HEADER
from spawner.settings import Settings

PERSON_PATH = "freepool/person"
"""Of the handler that `spawner.hub.people` adds, below JupyterHub's API."""
OTHER_HUB_PATH = "other-hub"
"""Below the desk: where the hub redirects a login whose user is another hub's."""
HUB_SECONDS = 320
"""Longer than JupyterHub's own limit for a start."""
STOPPING = "stopping"
STOPPING_SECONDS = 10.0
STOPPING_PAUSE = 0.1
"""Between attempts at a start while JupyterHub still finishes the previous stop, which has ended in the ledger.
JupyterHub has no event for it."""
STOP_TRIES, STOP_PAUSE = 4, 0.5
"""Where two clients stop one start, JupyterHub answers 500 to the second, because the first stop is pending. The next
try gets the right answer."""


class HubRefused(Refusal):
    """JupyterHub refused; `status` is its own."""

    code = "hub"

    def __init__(
        self,
        status: int,
        template: str,
        *,
        code: str = "hub",
        next_step: str = "",
        details: str = "",
        facts: Mapping[str, object] | None = None,
        **params: object,
    ) -> None:
        super().__init__(template, next_step=next_step, details=details, **params)
        self.status = status  # type: ignore[misc]  # per answer, not per class
        self.code = code  # type: ignore[misc]
        self.facts = dict(facts or {})


class HubClient:
    """Starts and stops users' servers."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str) -> None:
        self._session = session
        self._api_url = api_url

    async def start(self, user_name: str, token: str, options: Mapping[str, str], *, server_name: str = "") -> None:
        """Ask for a server. Returns when JupyterHub has it running or pending. Raises `HubRefused`."""
        path = f"users/{quote(user_name, safe='')}/servers/{quote(server_name, safe='')}"
        body = {"user_options": dict(options)}
        for _ in range(int(STOPPING_SECONDS / STOPPING_PAUSE)):
            try:
                await self._call("POST", path, token, body)
                return
            except HubRefused as refusal:
                if refusal.code != STOPPING:
                    raise
                await asyncio.sleep(STOPPING_PAUSE)
        await self._call("POST", path, token, body)

    async def stop(self, user_name: str, token: str) -> bool:
        """Ask for the default server's end. False while JupyterHub still stops it; True where it has no such server.

        Raises `HubRefused`.
        """
        path = f"users/{quote(user_name, safe='')}/server"
        for _ in range(STOP_TRIES):
            try:
                return await self._delete(path, token)
            except HubRefused as refusal:
                if refusal.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                await asyncio.sleep(STOP_PAUSE)
        return await self._delete(path, token)

    async def _delete(self, path: str, token: str) -> bool:
        status, _ = await self._call("DELETE", path, token)
        return status == HTTPStatus.NO_CONTENT

    async def is_up(self) -> bool:
        """Whether JupyterHub answers its health check. Raises `BackendUnavailable`."""
        status, _ = await self._send("GET", "health", {})
        return status == HTTPStatus.OK

    async def person_id(self, token: str | None) -> str:
        """The person whose token this is. Raises `SignedOut` where it is nobody's any more."""
        try:
            _, model = await self._call("POST", PERSON_PATH, token or "")
            return str(model["person"])
        except HubRefused as refusal:
            if refusal.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and refusal.code == HubRefused.code:
                raise SignedOut("You are not signed in.", next_step="Sign in again.") from refusal
            raise

    async def last_activity(self, user_name: str, token: str, *, server_name: str = "") -> datetime | None:
        """When a server was last used, as the proxy saw it; None where JupyterHub has no such server."""
        _, model = await self._call("GET", f"users/{quote(user_name, safe='')}", token)
        server = (model.get("servers") or {}).get(server_name) or {}
        last_activity = server.get("last_activity")
        return datetime.fromisoformat(last_activity) if last_activity else None

    async def user_of_cookie(self, name: str, value: str) -> str | None:
        """The user whom the hub's login cookie belongs to; None where it is not valid. Raises `BackendUnavailable`."""
        try:
            _, model = await self._send("GET", "user", {"Cookie": f"{name}={value}"})
        except HubRefused as refusal:
            if refusal.status == HTTPStatus.FORBIDDEN:
                return None
            raise
        return str(model["name"])

    async def _call(self, method: str, path: str, token: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of an answer, empty where there is none. Raises `HubRefused`."""
        return await self._send(method, path, {"Authorization": f"token {token}"}, body)

    async def _send(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> tuple[int, dict[str, Any]]:
        url = f"{self._api_url}/{path}"
        try:
            async with self._session.request(
                method,
                url,
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=HUB_SECONDS),
            ) as answer:
                if answer.status < 400:
                    text = await answer.text()
                    return answer.status, dict(json.loads(text)) if text.startswith("{") else {}
                raise _refusal_of(answer.status, answer.headers.get(REFUSAL_HEADER), await answer.text())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise BackendUnavailable(
                "The server is not responding. Running notebooks are not affected.",
                next_step="Try again in a few seconds.",
            ) from error


@asynccontextmanager
async def open_hub_client(settings: Settings, service: str) -> AsyncIterator[HubClient]:
    """A client of the hub of these settings, with connections of its own: over the hub's socket where it has one.

    `service` is the caller: desk or steward.
    """
    if settings.hub_socket is None:
        connector, api_url = None, settings.hub_api_url
    else:
        connector, api_url = aiohttp.UnixConnector(path=str(settings.hub_socket)), "http://hub/hub/api"
    headers = {siblings.HEADER: siblings.proof(settings.secret(service))}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield HubClient(session, api_url)


def _refusal_of(status: int, refusal: str | None, body: str) -> FreepoolError:
    if refusal:
        fields = json.loads(refusal)
        return HubRefused(
            status,
            fields["template"],
            code=fields["code"],
            next_step=fields["next"],
            details=fields["details"],
            facts=fields.get("facts"),
            **fields["params"],
        )
    try:
        message = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    if "pending" in message or "already running" in message:
        return HubRefused(
            409,
            "Your notebook is already starting, running, or stopping.",
            code=STOPPING if "pending stop" in message else "busy",
            next_step="Wait a moment, then reload the page.",
        )
    return HubRefused(status, "The request was refused: {why}", why=message or f"status {status}")
