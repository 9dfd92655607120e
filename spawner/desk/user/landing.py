"""What a browser that is not signed in sees: what this is, what is free now, the examples, and the way to sign in.

The page is complete without a script; with one, the numbers of free notebooks stay current.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from pathlib import Path
from shlex import quote
from shutil import which
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection
from tornado.httputil import url_concat

from spawner.catalog import Catalog
from spawner.desk.common import use_asked_language
from spawner.desk.durations import size
from spawner.desk.http import JsonHandler
from spawner.desk.i18n import Translations
from spawner.desk.user.example_view import missing_models
from spawner.desk.user.http import UserHandler
from spawner.desk.user.state import offer_of
from spawner.desk.user.views import FlavorView
from spawner.i18n import LANGUAGE_NAMES
from spawner.login_settings import LoginKind
from spawner.origins import SIGNED_IN_COOKIE
from spawner.settings import Settings

NEXT_COOKIE = "freepool-next"
"""The page to open after a login by link, which cannot carry it."""
NEXT_MINUTES = 30
LONGEST_NEXT = 2000
FREE = "{n} available"
IN_USE = "All in use. Estimated wait: {low} to {high} min"
JOIN = "All in use. You can join the queue"


class FreeView(BaseModel):
    """One machine type: what to say of it now. `is_free`: whether a notebook of it starts at once."""

    id: str
    text: str
    is_free: bool


class FreeAnswer(BaseModel):
    """What is free now."""

    flavors: list[FreeView]


def may_be_signed_in(handler: UserHandler) -> bool:
    """Whether the hub has signed this browser in, as far as its cookie says."""
    return handler.get_cookie(SIGNED_IN_COOKIE) is not None


def keep_next(handler: UserHandler, here: str) -> None:
    """Have a login by link lead to this page of the desk's."""
    if len(here) <= LONGEST_NEXT:
        kept, days = here.encode().hex(), NEXT_MINUTES / 1440
        handler.set_cookie(NEXT_COOKIE, kept, path="/hub/", expires_days=days, httponly=True, samesite="Lax")


async def show_landing(handler: UserHandler) -> None:
    """Write the page."""
    use_asked_language(handler)
    texts, settings = handler.language_texts, handler.desk.settings
    query = {name: handler.get_query_argument(name) for name in handler.request.query_arguments if name != "language"}
    here = url_concat(handler.desk.base, query)
    if query:
        keep_next(handler, here)
    offer = await read_offer(handler)
    handler.set_status(HTTPStatus.OK)
    handler.finish(
        handler.render_page(
            "user/landing.html",
            by_link=settings.login.kind is LoginKind.LINKS and settings.desk_socket is not None,
            link_command=link_command_of(settings),
            sign_in=url_concat(f"{handler.desk.base}sign-in", query),
            languages=[(tag, name, url_concat(here, {"language": tag})) for tag, name in LANGUAGE_NAMES.items()],
            flavors=[
                (flavor, resources(flavor, texts), free_view(flavor, texts))
                for flavor in offer["flavors"]
                if is_offered(flavor, handler.desk.catalog)
            ],
            # Below "run at the first click": not what would download first.
            examples=[example for example in offer["examples"] if example.available and not example.download],
            isolated=handler.desk.backend.isolated,
        )
    )


def link_command_of(settings: Settings) -> str:
    """What makes a link on this installation."""
    return link_command(Path(sys.executable), settings.state, which("freepool"), Path.home())


def link_command(python: Path, state: Path, found: str | None, home: Path) -> str:
    """What makes a link when it is run on this machine, in whichever folder. `found`: the program on PATH, if any.

    The home folder is written as `~`: strangers read it.
    """
    program = python.with_name("freepool")
    name = "freepool" if found is not None and Path(found) == program else _in_shell(program, home)
    return f"{name} link --state {_in_shell(state, home)}"


def _in_shell(path: Path, home: Path) -> str:
    inside = path.is_absolute() and path.is_relative_to(home) and path != home
    return f"~/{quote(str(path.relative_to(home)))}" if inside else quote(str(path))


async def read_offer(handler: UserHandler) -> dict[str, Any]:
    """What the pool offers everybody, in the language of the request."""
    desk = handler.desk

    def read(connection: Connection) -> dict[str, Any]:
        pool = handler.parts.snapshots.read_pool(connection)
        missing = missing_models(desk.catalog, desk.settings)
        return offer_of(pool, desk.catalog, desk.backend, handler.language_texts, desk.base, missing)

    return await desk.ledger.aread(read)


def is_offered(flavor: FlavorView, catalog: Catalog) -> bool:
    """Whether this installation can ever give it: also while it is paused, in maintenance, or has a full queue."""
    return flavor.remedy is None and catalog.flavor(flavor.id).limit > 0


def resources(flavor: FlavorView, texts: Translations) -> str:
    """ "2 CPU · 2 GB memory", with its GPU first."""
    parts = [texts.say("{n} CPU", n=f"{flavor.cpu:g}")]
    parts.append(texts.say("{size} memory", size=size(flavor.memory_bytes, texts.language)))
    if flavor.accelerator is not None:
        parts.insert(0, f"{flavor.accelerator.name} {size(flavor.accelerator.memory_bytes, texts.language)}")
    return " · ".join(part.replace(" ", "\u00a0") for part in parts)


def free_view(flavor: FlavorView, texts: Translations) -> FreeView:
    """What to say of a machine type now."""
    if flavor.available > 0:
        return FreeView(id=flavor.id, text=texts.say(FREE, n=flavor.available), is_free=True)
    if flavor.wait_seconds is None:
        return FreeView(id=flavor.id, text=flavor.reason or texts.say(JOIN), is_free=False)
    low, high = (max(1, round(seconds / 60)) for seconds in flavor.wait_seconds)
    return FreeView(id=flavor.id, text=texts.say(IN_USE, low=low, high=max(low + 1, high)), is_free=False)


class FreeHandler(UserHandler, JsonHandler):
    """GET /api/free"""

    needs_user = False

    async def get(self) -> None:
        """For everybody: it says what the landing page says."""
        offer = await read_offer(self)
        texts, catalog = self.language_texts, self.desk.catalog
        flavors = [free_view(flavor, texts) for flavor in offer["flavors"] if is_offered(flavor, catalog)]
        self.answer(FreeAnswer(flavors=flavors))


class SignInHandler(UserHandler):
    """GET /sign-in: the address that asks for a login, and then leads to the home page."""

    serves_banned = True

    async def get(self) -> None:
        """With the query of this page."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        self.redirect(url_concat(self.desk.base, query))
