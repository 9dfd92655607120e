"""The language of a page of the hub, and the links that change it."""

from __future__ import annotations

from functools import partial, wraps
from pathlib import Path
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from tornado.httputil import url_concat

from spawner import __version__
from spawner.hub.announcement import announced
from spawner.hub.context import hub_pool
from spawner.hub.pages.reports import report_of
from spawner.i18n import (
    LANGUAGE_COOKIE,
    LANGUAGE_NAMES,
    LANGUAGES,
    Translations,
    choose_language,
    read_translations,
    set_language_cookie,
)

TRANSLATIONS = Path(__file__).parent.parent / "translations"
ASSETS = "freepool/"
"""Below the hub's base URL: style sheet, scripts, pictures."""


def asked_language(handler: Any) -> str | None:
    """The language that a link on a page asks for with `?language=`."""
    found = handler.get_query_argument("language", None)
    return found if found in LANGUAGES else None


def language_links(uri: str) -> list[tuple[str, str, str]]:
    """For each language: its tag, its name, and this page's address with it."""
    path, _, query = uri.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("language="))
    here = f"{path}?{kept}" if kept else path
    return [(tag, name, url_concat(here, {"language": tag})) for tag, name in LANGUAGE_NAMES.items()]


def translate_pages(report_to: str | None = None) -> None:
    """Give each template of the hub its language. JupyterHub gives templates nothing of the request."""
    texts = read_translations(TRANSLATIONS)
    render = getattr(BaseHandler.render_template, "untranslated", BaseHandler.render_template)

    @wraps(render)
    def translated(handler: Any, name: str, sync: bool = False, **values: Any) -> Any:
        return render(handler, name, sync=sync, **(_of_request(handler, texts, report_to) | values))

    translated.untranslated = render  # type: ignore[attr-defined]
    BaseHandler.render_template = translated


def _of_request(handler: Any, texts: dict[str, Translations], report_to: str | None) -> dict[str, Any]:
    asked = asked_language(handler)
    if asked is not None and not handler._headers_written:
        set_language_cookie(handler, asked)
    chosen = asked or handler.get_cookie(LANGUAGE_COOKIE)
    language = choose_language(chosen, handler.request.headers.get("Accept-Language"))
    base = handler.hub.base_url
    has_links = getattr(handler, "has_language_links", True)
    is_page = handler.request.method in ("GET", "HEAD")
    return {
        "language": language,
        "t": texts[language].say,
        "languages": language_links(handler.request.uri if is_page else base) if has_links else [],
        "assets": f"{base}{ASSETS}",
        "desk": base.removesuffix("hub/") + "services/desk/",
        "version": __version__,
        "announced": announced(handler, language),
        "has_kept_files": hub_pool(handler.settings).pool.catalog.keep.enabled,
        "report_of": partial(report_of, handler, report_to, language),
    }
