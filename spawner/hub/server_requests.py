"""Requests that start and stop one server at the same time, as several tabs and programs of one user send them.

JupyterHub cancels a start that is stopped, waits a second, and then stops what runs by then. It answers 500 to a second
stop in that second, and to the request whose start was cancelled; and it stops a start that began in that second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado.web import HTTPError

from spawner.errors import StartCancelled
from spawner.hub.refusal import SpawnRefused

STOPS = "freepool_stops"
"""Among the hub's Tornado settings: by user and server, a future of each DELETE that is in progress."""
CANCEL_SECONDS = 10.0
"""How long a stop waits for the end of the start that it cancelled: the start writes to the ledger first."""
PAUSE = 0.05

Stops = dict[tuple[int, str], asyncio.Future[bool]]
Stop = Callable[..., Awaitable[Any]]


def order_server_requests() -> None:
    """Change JupyterHub's handlers. It has no setting for this."""
    spawn = getattr(BaseHandler.spawn_single_user, "unordered", BaseHandler.spawn_single_user)
    stop = getattr(BaseHandler.stop_single_user, "unordered", BaseHandler.stop_single_user)
    delete = getattr(UserServerAPIHandler.delete, "unordered", UserServerAPIHandler.delete)
    BaseHandler.spawn_single_user = _start_after_stop(spawn)
    BaseHandler.stop_single_user = _stop_what_is_there(stop)
    UserServerAPIHandler.delete = needs_scope("delete:servers")(_stop_once(delete.__wrapped__))
    UserServerAPIHandler.delete.unordered = delete


def _start_after_stop(spawn: Any) -> Any:
    @wraps(spawn)
    async def ordered(handler: Any, user: Any, server_name: str = "", *values: Any, **options: Any) -> Any:
        spawner = user.spawners.get(server_name)
        pending = "stop" if (user.id, server_name) in _stops(handler) else spawner and spawner.pending
        if pending:  # in JupyterHub's words
            raise HTTPError(400, f"{user.name if spawner is None else spawner._log_name} is pending {pending}")
        try:
            return await spawn(handler, user, server_name, *values, **options)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # this request is cancelled: the hub ends
                raise
            raise SpawnRefused(StartCancelled("Start cancelled.", next_step="Start a notebook.")) from None

    ordered.unordered = spawn  # type: ignore[attr-defined]
    return ordered


def _stop_what_is_there(stop: Any) -> Any:
    @wraps(stop)
    async def ordered(handler: Any, user: Any, server_name: str = "") -> Any:
        spawner = user.spawners.get(server_name)
        if spawner is not None and spawner.pending == "spawn":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_no_start(spawner), CANCEL_SECONDS)
            spawner = user.spawners.get(server_name)
        if spawner is None:
            return None
        if spawner.pending == "stop":
            return spawner._stop_future
        return await stop(handler, user, server_name)

    ordered.unordered = stop  # type: ignore[attr-defined]
    return ordered


async def _no_start(spawner: Any) -> None:
    while spawner.pending == "spawn":
        if spawner._spawn_future is not None:
            await asyncio.wait([spawner._spawn_future])
        await asyncio.sleep(PAUSE)  # JupyterHub has no event for the end of a request that looks whether to start


def _stop_once(delete: Stop) -> Stop:
    @wraps(delete)
    async def ordered(handler: Any, user_name: str, server_name: str = "") -> None:
        user, stops = handler.find_user(user_name), _stops(handler)
        if user is None:
            raise HTTPError(404)
        key = (user.id, server_name)
        body = handler.get_json_body() or {}
        if not isinstance(body, dict):
            raise HTTPError(400, "Body must be a JSON object")  # in JupyterHub's words
        does_remove = bool(body.get("remove"))
        while (other := stops.get(key)) is not None:
            if await other and not does_remove:  # no start has begun meanwhile
                spawner = user.spawners.get(server_name)
                handler.set_header("Content-Type", "text/plain")
                handler.set_status(202 if spawner is not None and spawner._stop_pending else 204)
                return
        own = stops[key] = asyncio.get_running_loop().create_future()
        is_done = False
        try:
            await delete(handler, user_name, server_name)
            is_done = True
        finally:
            del stops[key]
            own.set_result(is_done)

    return ordered


def _stops(handler: Any) -> Stops:
    found: Stops = handler.settings.setdefault(STOPS, {})
    return found
