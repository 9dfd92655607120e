"""Asks users to accept the terms before they start a notebook at the hub. The page of acceptance is the desk's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.pages import SpawnHandler

from spawner.errors import OfAnotherHub
from spawner.hub.context import HubPool, hub_pool
from spawner.hub.other_hubs import redirect_to_hub
from spawner.hub.people import hub_people
from spawner.ledger.people import terms
from spawner.ledger.people.rows import Person
from spawner.terms.refusal import not_accepted

PAGE = "services/desk/terms/accept"


def ask_before_spawn() -> None:
    """JupyterHub's page `/hub/spawn` checks its user first."""

    async def prepare(handler: Any) -> None:
        await BaseHandler.prepare(handler)
        if not handler._finished:
            await check_before_spawn(handler)

    SpawnHandler.prepare = prepare


async def check_before_spawn(handler: Any) -> None:
    """Redirect a user who was moved to their own hub, and one who has not accepted the terms to the page that asks."""
    context = hub_pool(handler.settings)
    must_accept = context.documents.must_accept
    if not is_user(handler.current_user) or not (must_accept or context.settings.hubs.has_others):
        return
    people_of_hub = hub_people(handler.settings)
    try:
        person = await people_of_hub.of(people_of_hub.user(handler.current_user))
    except OfAnotherHub as refusal:
        redirect_to_hub(handler, context.settings, refusal)
    if must_accept and not await has_accepted(context, person):
        handler.redirect(accept_url(handler.hub.base_url, handler.request.uri))


async def require_accepted(context: HubPool, person: Person, asking: Any) -> None:
    """Raise `TermsNotAccepted` where a user asks for a start of this person's notebook, who has not accepted.

    `asking`: JupyterHub's model of who asks. The steward starts for those whose turn has come: they were asked before.
    """
    if not is_user(asking) or not context.documents.must_accept or await has_accepted(context, person):
        return
    raise not_accepted(f"{context.settings.public_url.rstrip('/')}/{PAGE}")


async def has_accepted(context: HubPool, person: Person) -> bool:
    """Whether the person has accepted the present texts."""
    return bool(await context.pool.ledger.aread(terms.has_accepted, person.id, context.documents.version))


def accept_url(base_url: str, target: str) -> str:
    """The page that asks, and then leads to `target`. `base_url` is the hub's."""
    return f"{base_url.removesuffix('hub/')}{PAGE}?{urlencode({'next': target})}"


def is_user(asking: Any) -> bool:
    """Whether it is a user's browser or token, and no service's."""
    return isinstance(getattr(asking, "orm_user", None), orm.User)
