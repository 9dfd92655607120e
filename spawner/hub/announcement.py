"""The administrators' announcement on JupyterHub's login page."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler

from spawner.errors import FreepoolError
from spawner.hub.context import hub_pool
from spawner.pool.admin.announcement import Announcement, read_announcement

log = logging.getLogger("freepool.hub")
PATIENCE = 1.0
"""Seconds that the page waits for a ledger that does not answer."""
ATTRIBUTE = "freepool_announcement"


def announce_at_login() -> None:
    """Read the announcement before the page is rendered: JupyterHub's templates can wait for nothing."""

    async def prepare(handler: Any) -> None:
        await BaseHandler.prepare(handler)
        if not handler._finished:
            setattr(handler, ATTRIBUTE, await _read(handler))

    LoginHandler.prepare = prepare


async def _read(handler: Any) -> Announcement | None:
    pool = hub_pool(handler.settings).pool
    try:
        async with asyncio.timeout(PATIENCE):
            return await pool.ledger.aread(read_announcement, now=pool.now())
    except (FreepoolError, TimeoutError) as error:
        log.warning("the announcement cannot be read: %s", error or "no answer")
        return None


def announced(handler: Any, language: str) -> str:
    """The text in a language; empty where nothing is announced."""
    found: Announcement | None = getattr(handler, ATTRIBUTE, None)
    return "" if found is None else found.text(language)
