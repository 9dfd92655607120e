"""Render the demo cloud's pages. Each shows that it is a demonstration without real money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, PackageLoader

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TEMPLATES = Environment(loader=PackageLoader("spawner.demo_cloud"), autoescape=True, trim_blocks=True)
HEADERS = {
    "Cache-Control": "no-store",
    # With "no-referrer" the browser would send "Origin: null" for the forms of these pages.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'",
}


def page(template: str, *, status: int = 200, nonce: str = "", **values: Any) -> web.Response:
    """Render a template. Scripts of the page need `nonce`."""
    text = TEMPLATES.get_template(template).render(nonce=nonce, **values)
    headers = {name: value.replace("{nonce}", nonce or "none") for name, value in HEADERS.items()}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


@web.middleware
async def own_forms_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse forms that pages of other origins submit."""
    origin = request.headers.get("Origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != request.host
    if request.method == "POST" and is_foreign and not request.path.startswith(("/v1/", "/api/")):
        raise web.HTTPForbidden(text="That form came from another page.")
    return await handler(request)
