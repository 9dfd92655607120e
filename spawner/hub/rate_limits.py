"""The hub's part of the rate limits: by address before a handler is made, by person once JupyterHub knows them."""

from __future__ import annotations

import logging
from functools import wraps
from http import HTTPStatus
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.log import log_request
from jupyterhub.user import User
from jupyterhub.utils import maybe_future
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from spawner import siblings
from spawner.errors import RateLimited
from spawner.hub.login.pages import Heading, both
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.rules import Kind, kind_of
from spawner.rate_limits.server import LimitedServer, is_unforwarded, log_and_note
from spawner.rate_limits.texts import NEXT, NEXT_ZH, PERSON, PERSON_ZH
from spawner.refusals import REFUSAL_HEADER, encode_refusal
from spawner.settings import Settings

log = logging.getLogger("freepool.hub")


class TooOften(HTTPError):
    """Shown in both languages on JupyterHub's error page, and as JSON in its API."""

    def __init__(self, kind: Kind, refusal: RateLimited) -> None:
        super().__init__(refusal.status, "%s", refusal, reason=HTTPStatus(refusal.status).phrase)
        self.jupyterhub_message = f"{refusal.message} {refusal.next_step}"
        self.jupyterhub_html_message = both(
            f"{PERSON[kind]} {NEXT}", f"{PERSON_ZH[kind]}{NEXT_ZH}", seconds=str(refusal.seconds)
        )
        self.heading = Heading.TOO_MANY
        self.headers = {"Retry-After": str(refusal.seconds), REFUSAL_HEADER: encode_refusal(refusal)}


def limit_rates(c: Any, settings: Settings) -> None:
    """Limit what comes to this hub. Its configuration is otherwise complete."""
    limiter = RateLimiter(settings.rate_limits)
    c.Authenticator.post_auth_hook = count_logins(c.Authenticator.post_auth_hook, limiter)
    tornado = c.JupyterHub.tornado_settings
    tornado["log_function"] = log_and_note(tornado.get("log_function", log_request), limiter)
    if not JupyterHub.initialized():
        return  # the file is read without a hub
    count_people(limiter)
    _serve_limited(JupyterHub.instance(), limiter, settings)


def _serve_limited(hub: Any, limiter: RateLimiter, settings: Settings) -> None:
    """JupyterHub has no setting for what stands between its server and its application."""
    make_application = hub.init_tornado_application
    proofs = tuple(siblings.proof(settings.secret(name)) for name in ("desk", "steward"))

    def is_sibling(peer: str, headers: HTTPHeaders) -> bool:
        return is_unforwarded(peer, headers) or siblings.is_proven(headers.get(siblings.HEADER), proofs)

    def make_limited_application() -> None:
        make_application()
        hub.tornado_application = LimitedServer(
            hub.tornado_application, limiter, trusted_proxies=settings.trusted_proxies, is_sibling=is_sibling
        )

    hub.init_tornado_application = make_limited_application


def count_logins(then: Any, limiter: RateLimiter) -> Any:
    """JupyterHub's `post_auth_hook`: a login of which it is known whose it is."""

    async def counted(authenticator: Any, handler: Any, authentication: dict[str, Any]) -> dict[str, Any] | None:
        model: dict[str, Any] | None = authentication
        if then is not None:
            model = await maybe_future(then(authenticator, handler, authentication))
        if model is not None:
            _require(limiter, Kind.LOGIN, model["name"])
        return model

    return counted


def count_people(limiter: RateLimiter) -> None:
    """Count requests of people at their own start, before a page or an API of JupyterHub does anything."""
    prepare = BaseHandler.prepare
    prepare = getattr(prepare, "uncounted", prepare)

    @wraps(prepare)
    async def counted(handler: Any) -> None:
        await prepare(handler)
        kind = kind_of(handler.request.method, handler.request.path)
        is_limited = kind in (Kind.START, Kind.API) and not handler._finished
        if is_limited and isinstance(handler.current_user, User) and not _is_of_sibling(handler.request):
            _require(limiter, kind, handler.current_user.name)

    counted.uncounted = prepare  # type: ignore[attr-defined]
    BaseHandler.prepare = counted


def _is_of_sibling(request: Any) -> bool:
    """The desk asks with the user's own token, and has counted the user's request to it."""
    return bool(getattr(request.connection.context, "is_sibling", False))


def _require(limiter: RateLimiter, kind: Any, person: str) -> None:
    try:
        limiter.require(kind, person)
    except RateLimited as refusal:
        raise TooOften(kind, refusal) from refusal
