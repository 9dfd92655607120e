"""The administrator's webhook: what it gets, and when a notification counts as accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from spawner.ledger import TicketState
from spawner.steward.webhooks import Webhook
from tests.unit.make import NOW
from tests.unit.make import ticket as make_ticket

DESK = "http://lab.example.org/"


@asynccontextmanager
async def hooked(status: int) -> AsyncIterator[tuple[Webhook, list[dict[str, Any]]]]:
    """A webhook that answers with this status, and the notifications that it received."""
    notifications: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        notifications.append(await request.json())
        return web.Response(status=status)

    application = web.Application()
    application.router.add_post("/notify", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield Webhook(session, f"http://127.0.0.1:{port}/notify", DESK), notifications
    finally:
        await runner.cleanup()


async def test_a_notification_names_user_flavor_and_ticket() -> None:
    held = replace(make_ticket("t", state=TicketState.CALLED), hold_until=NOW + timedelta(minutes=10))
    async with hooked(204) as (webhook, notifications):
        assert await webhook.tell(held)
        assert await webhook.tell(replace(held, state=TicketState.SERVED))
    news = {
        "user": held.user_name,
        "server": "",
        "flavor": held.flavor,
        "image": held.image,
        "ticket": "t",
        "hold_until": (NOW + timedelta(minutes=10)).isoformat(),
        "url": "http://lab.example.org/services/desk/",
    }
    assert notifications == [news | {"event": "held"}, news | {"event": "ready"}]


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_a_refused_notification_does_not_count(status: int) -> None:
    async with hooked(status) as (webhook, notifications):
        assert not await webhook.tell(make_ticket("t", state=TicketState.SERVED))
        assert len(notifications) == 1


async def test_an_unreachable_webhook_does_not_count() -> None:
    async with hooked(200) as (webhook, _):
        pass
    async with aiohttp.ClientSession() as session:
        gone = Webhook(session, webhook._url, DESK)
        assert not await gone.tell(make_ticket("t", state=TicketState.SERVED))
