"""JupyterLab in the language that the user has chosen on Freepool's pages.

Its default language is that of the request: a cookie of this server's, which links from those pages set by
`?language=`, else the browser's. What a user chooses in JupyterLab's own settings wins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import unquote_plus

from jupyterlab_server.handlers import LabHandler
from jupyterlab_server.settings_utils import SchemaHandler
from jupyterlab_server.translation_utils import L10N_SCHEMA_NAME

COOKIE, ARGUMENT = "freepool-language", "language"
"""The cookie has the name of the desk's. Where notebooks share its host, the desk's is sent as well, and counts."""
LOCALES = {"en": "en", "zh-CN": "zh_CN"}
"""JupyterLab's names of our languages, by BCP 47 tag."""
LONGEST_HEADER = 500


def choose_language(chosen: str | None, accept: str | None) -> str:
    """A key of `LOCALES`: the cookie's, else the best of an Accept-Language header, else English."""
    if chosen in LOCALES:
        return str(chosen)
    ranked: list[tuple[float, str]] = []
    for part in (accept or "")[:LONGEST_HEADER].split(","):
        tag, _, quality = part.replace(" ", "").partition(";q=")
        try:
            ranked.append((-float(quality or 1), tag.lower().partition("-")[0]))
        except ValueError:
            continue
    best = next((tag for _, tag in sorted(ranked, key=lambda pair: pair[0]) if tag in ("en", "zh")), "en")
    return "zh-CN" if best == "zh" else "en"


def language_of_request(handler: Any) -> str:
    """For a request to this server."""
    return choose_language(handler.get_cookie(COOKIE), handler.request.headers.get("Accept-Language"))


def without_language(uri: str) -> str:
    """A request's address without the argument that asks for a language."""
    path, _, query = uri.partition("?")
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != ARGUMENT]
    return f"{path}?{'&'.join(kept)}" if kept else path


def install() -> None:
    """Have JupyterLab's handlers of this process use the language of each request."""
    handlers: tuple[Any, Any] = LabHandler, SchemaHandler
    page, settings = handlers
    page.get = _remember(page.get)
    settings.initialize = _default_to_request(settings.initialize)


def _remember(get: Callable[..., Any]) -> Callable[..., Any]:
    """JupyterLab's page: keep the language that its address asks for, and go on without it."""

    @wraps(get)
    def remembered(handler: Any, *arguments: Any, **named: Any) -> Any:
        asked = handler.get_query_argument(ARGUMENT, None)
        if asked not in LOCALES:
            return get(handler, *arguments, **named)
        handler.set_cookie(
            COOKIE,
            asked,
            path=handler.settings["base_url"],
            expires_days=365,
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )
        return handler.redirect(without_language(handler.request.uri))

    return remembered


def _default_to_request(initialize: Callable[..., None]) -> Callable[..., None]:
    """JupyterLab's settings: the request's language is the default of the setting `locale`."""

    @wraps(initialize)
    def initialized(handler: Any, *arguments: Any, **named: Any) -> None:
        initialize(handler, *arguments, **named)
        ours = {L10N_SCHEMA_NAME: {"locale": LOCALES[language_of_request(handler)]}}
        handler.overrides = {**(handler.overrides or {}), **ours}

    return initialized
