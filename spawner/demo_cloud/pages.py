"""How this cloud's pages are made. Every one of them says that it is a demonstration and that no money moves."""

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
    # With "no-referrer" a browser would not say that a form is our own.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'",
}


def page(template: str, *, status: int = 200, nonce: str = "", **values: Any) -> web.Response:
    """A page from a template."""
    text = TEMPLATES.get_template(template).render(nonce=nonce, **values)
    headers = {name: value.replace("{nonce}", nonce or "none") for name, value in HEADERS.items()}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


@web.middleware
async def own_forms_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A form of somebody else's page changes nothing here."""
    origin = request.headers.get("Origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.host
    if request.method == "POST" and foreign and not request.path.startswith(("/v1/", "/api/")):
        raise web.HTTPForbidden(text="That form came from another page.")
    return await handler(request)
