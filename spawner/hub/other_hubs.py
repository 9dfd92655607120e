"""Redirects a browser to its user's own hub, keeping the path. Only to addresses in the settings."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from tornado.web import Finish

from spawner.errors import OfAnotherHub
from spawner.hub.login import texts
from spawner.hub.login.pages import Heading, LoginRefused
from spawner.hub_client import OTHER_HUB_PATH
from spawner.settings import Settings

AUTHORIZE = "/hub/api/oauth2/authorize"
DESK_CLIENT = "service-desk"
LOGIN = ("/hub/login", "/hub/oauth_login", "/hub/oauth_callback")


def redirect_to_hub(handler: Any, settings: Settings, refusal: OfAnotherHub) -> NoReturn:
    """Redirect and end the request. Raises `LoginRefused` where the settings do not name that hub."""
    url = _url(_target(handler), settings, refusal.hub)
    if url is None:
        said = texts.unknown_hub(refusal.hub)
        raise LoginRefused(403, f"of hub {refusal.hub}", said, heading=Heading.ELSEWHERE) from refusal
    handler.redirect(url)
    raise Finish from refusal


def _url(target: str, settings: Settings, hub: str) -> str | None:
    """Where a target on this hub leads. Of its sign-in only this hub's desk knows the page that was asked for."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    if parts.path != AUTHORIZE or query.get("client_id") != [DESK_CLIENT]:
        return settings.hubs.url_on(hub, "/" if parts.path == AUTHORIZE else target)
    if settings.hubs.url_on(hub, "/") is None:
        return None
    return f"/services/desk/{OTHER_HUB_PATH}?{urlencode({'hub': hub, 'state': query.get('state', [''])[0]})}"


def _target(handler: Any) -> str:
    """Path and query that the request leads to: of a login, the page after it."""
    uri = str(handler.request.uri)
    if urlsplit(uri).path not in LOGIN:
        return uri
    following = urlsplit(str(handler.get_next_url(None) or ""))
    # JupyterHub appends the query of this request, which holds the provider's code.
    own = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    kept = [one for one in parse_qsl(following.query, keep_blank_values=True) if one not in own]
    return following._replace(scheme="", netloc="", query=urlencode(kept)).geturl()
