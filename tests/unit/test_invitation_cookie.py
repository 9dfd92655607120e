"""The cookie of an invitation: bound to the hub's host where TLS and a host for each user's notebooks are on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub.handlers.base import BaseHandler
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from spawner.hub.invitation_cookie import drop_code, keep_code, kept_code
from spawner.ledger.people import invitations
from spawner.settings import Settings

CODE = invitations.read_code(invitations.new_code())


def settings(public: str) -> Settings:
    return Settings(catalog=Path(), state=Path(), examples=Path(), public=public)


@asynccontextmanager
async def hub_with(found: Settings) -> AsyncIterator[str]:
    """A server that sets, reads and removes the cookie with JupyterHub's own function."""

    class Handler(RequestHandler):
        hub = SimpleNamespace(base_url="/hub/")
        log = logging.getLogger("test")
        _set_cookie = BaseHandler._set_cookie

        def get(self, what: str) -> None:
            if what == "keep":
                assert CODE is not None
                keep_code(self, found, CODE)
            elif what == "drop":
                drop_code(self, found)
            self.finish(kept_code(self, found) or "none")

    listener, port = bind_unused_port(address="127.0.0.1")
    server = HTTPServer(Application([("/(.*)", Handler)], cookie_secret="secret"))
    server.add_sockets([listener])
    yield f"http://127.0.0.1:{port}/"
    server.stop()


async def cookie_of(url: str, cookie: str = "") -> tuple[Morsel[str] | None, str]:
    """The cookie that an answer sets, and the code that the server has read."""
    answer = await AsyncHTTPClient().fetch(url, headers={"Cookie": cookie})
    set_now = SimpleCookie(answer.headers.get("Set-Cookie", ""))
    return next(iter(set_now.values()), None), answer.body.decode()


@pytest.mark.parametrize(
    ("public", "name", "path", "is_secure"),
    [
        ("https://lab.example.org", "__Host-freepool-invitation", "/", True),
        ("http://lab.localhost:8000", "freepool-invitation", "/hub/", False),
    ],
)
async def test_the_cookie_is_bound_to_the_host_where_it_can_be(
    public: str, name: str, path: str, is_secure: bool
) -> None:
    async with hub_with(settings(public)) as url:
        kept, _ = await cookie_of(f"{url}keep")
        assert kept is not None
        assert (kept.key, kept["path"], bool(kept["secure"]), kept["domain"]) == (name, path, is_secure, "")
        sent = f"{kept.key}={kept.coded_value}"
        assert (await cookie_of(f"{url}look", sent))[1] == CODE
        dropped, _ = await cookie_of(f"{url}drop", sent)
        assert dropped is not None
        assert (dropped.value, dropped.key, dropped["path"], bool(dropped["secure"])) == ("", name, path, is_secure)


async def test_a_cookie_that_another_host_could_have_set_does_not_count() -> None:
    async with hub_with(settings("http://lab.localhost:8000")) as url:
        plain, _ = await cookie_of(f"{url}keep")
    assert plain is not None
    async with hub_with(settings("https://lab.example.org")) as url:
        assert (await cookie_of(f"{url}look", f"{plain.key}={plain.coded_value}"))[1] == "none"
