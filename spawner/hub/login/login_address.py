"""What `freepool up` tells people to open: a link where links are how people log in, else the login page."""

from __future__ import annotations

import getpass
from http import HTTPStatus

import aiohttp

from spawner.hub.login.link import end_of, login_link
from spawner.settings import Settings


async def where_to_log_in(session: aiohttp.ClientSession, settings: Settings) -> str:
    """The address, with what else the reader needs to know: the callback URL, or the link's end."""
    if settings.login.has_provider or not await _has_links(session, settings):
        told = f" (login by {settings.login.title}; its callback URL: {settings.login_callback})"
        return f"{settings.public_url}hub/login{told if settings.login.has_provider else ''}"
    days = settings.login.link_days
    link = login_link(settings.public_url, settings.secret("link"), getpass.getuser(), days=days)
    return f"{link} (until {end_of(days)})"


async def _has_links(session: aiohttp.ClientSession, settings: Settings) -> bool:
    """Ask the running hub whether it has the page that links open: its own file may name another login."""
    try:
        async with session.head(f"{settings.local_url}hub/link") as answer:
            return answer.status != HTTPStatus.NOT_FOUND
    except (TimeoutError, aiohttp.ClientError, OSError):
        return True
