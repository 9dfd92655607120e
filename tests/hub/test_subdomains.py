"""Notebooks on hosts of their own, which is the default: another origin than the desk's, which is the hub's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.backends.notebook import Notebook
from tests.cloud.steer import Steer
from tests.hub.paid import Person, Platform
from tests.stack import Stack, browser_client, eventually

ANN, BOB = "ann-of-a-host", "bob-of-a-host"


@pytest.fixture(scope="module")
def stack(demo_stack: Stack) -> Iterator[Stack]:
    """A user's notebook runs."""
    demo_stack.add_user(ANN)
    assert demo_stack.start(ANN).status_code in (201, 202)
    eventually(lambda: ready(demo_stack, ANN, ""), seconds=60, what="the notebook")
    yield demo_stack
    demo_stack.stop(ANN)


def ready(stack: Stack, user: str, server: str) -> bool:
    servers = stack.api("GET", f"/users/{user}").json()["servers"]
    return bool(servers.get(server, {}).get("ready"))


def test_desk_and_hub_share_a_host_and_notebooks_do_not(stack: Stack) -> None:
    host = f"http://localhost:{stack.port}"
    with browser_client() as visitor:
        page = visitor.get(stack.link_for(ANN))
        assert page.status_code == 200, (page.text, page.history)
        assert str(page.url) == f"{host}/services/desk/"
        answer = visitor.get(f"{host}/user/{ANN}/lab")
        assert (answer.status_code, urlsplit(str(answer.url)).netloc) == (200, f"{ANN}.localhost:{stack.port}")


def test_a_paid_instance_is_reached_through_the_desk(stack: Stack, cloud_beside: Steer) -> None:
    """The user's host redirects to the desk, and the desk to the cloud. Another user gets 404."""
    host = f"http://localhost:{stack.port}"
    ann = Person(Platform(stack, cloud_beside, stack.ledger), ANN)
    assert ann.start(ann.agree("paid-1")).status_code in (201, 202)
    ann.wait_running("paid-1")
    eventually(lambda: ready(stack, ANN, "paid-1"), seconds=60, what="the paid server")
    hers = f"http://{ANN}.localhost:{stack.port}/user/{ANN}/paid-1/lab"
    with browser_client() as visitor:
        assert visitor.get(stack.link_for(ANN)).status_code == 200
        page = visitor.get(hers)
        assert str(page.url).startswith(cloud_beside.endpoints.gates)
        assert [str(step.url.copy_with(query=None)) for step in page.history[:2]] == [
            hers,
            f"{host}/services/desk/paid/open/paid-1",
        ]
    stack.add_user(BOB)
    with browser_client() as other:
        assert other.get(stack.link_for(BOB)).status_code == 200
        assert other.get(hers).status_code == 404
    ann.delete("paid-1")


async def test_a_program_reaches_a_notebook_on_the_hubs_host_with_a_token_only(stack: Stack) -> None:
    """Most programs resolve no name below localhost. Nothing that a browser would show or run is answered."""
    url, token = f"{stack.url}/user/{ANN}/", stack.user_token(ANN)
    large = "x" * 900_000
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, url, token, "")
        assert (await notebook.run("print(6 * 7)")).strip() == "42", "by way of a websocket"
        status, _ = await notebook.call(
            "PUT", "contents/large.txt", json={"type": "file", "format": "text", "content": large}
        )
        assert status == 201
        status, model = await notebook.call("GET", "contents/large.txt")
        assert (status, model["content"] == large) == (200, True)
        together = await asyncio.gather(*(notebook.call("GET", "status") for _ in range(20)))
        assert [status for status, _ in together] == [200] * 20
        login = {"Authorization": "token wrong", "Cookie": "a=b"}
        async with session.get(f"{url}lab", headers=login, allow_redirects=False) as answer:
            assert answer.status in (302, 403)
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
            assert answer.headers["Cache-Control"] == "no-store"
        for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "token"}) * 20:
            async with session.get(f"{url}lab", headers=headers, allow_redirects=False) as answer:
                own_host = f"http://{ANN}.localhost:{stack.port}/user/{ANN}/lab"
                assert (answer.status, answer.headers["Location"]) == (302, own_host)
            async with session.options(f"{url}api/contents", headers=headers) as answer:
                assert answer.status == 403
        nobody = f"{stack.url}/user/nobody/api"
        async with session.get(nobody, headers={"Authorization": "token x"}, allow_redirects=False) as answer:
            assert (answer.status, urlsplit(answer.headers["Location"]).path) == (302, "/hub/user/nobody/api")
