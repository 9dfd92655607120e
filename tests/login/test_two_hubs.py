"""Two hubs on one ledger, one pool and one line, whose people log in at one provider.

Pods share a pool; here the hubs share a folder of slots without sandboxes, which is the same to hub, desk and steward.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from spawner.ledger import TicketState
from spawner.ledger.people import people
from spawner.ledger.people.rows import Person
from spawner.ledger.pool import tickets
from tests.lean import make_images, with_lean
from tests.login.conftest import ACCEPT_AT_ONCE
from tests.login.provider import CLIENT, SECRET, Provider, running_provider
from tests.stack import NO_TLS, ByName, Stack, browser_client, eventually, free_port, local_settings, running_stack
from tests.stack import write_catalog as catalog_with

NAMES = {"main": "a", "b": "b"}
"""Hosts by name of the hub. Cookies know no ports, so each hub needs a host."""
LOGIN = "/hub/oauth_login?next=%2Fservices%2Fdesk%2F"


def one_large(data: dict[str, Any]) -> None:
    """`cpu-large` can be had once, so that two people are enough for a line."""
    with_lean(data)
    next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")["limit"] = 1


def by_name() -> httpx.Client:
    """A client without memory that finds names below localhost."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(transport=ByName(verify=NO_TLS), timeout=60, cookies=no_cookies)


@pytest.fixture(scope="module")
def hubs() -> Iterator[tuple[Stack, Stack, Provider]]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    ports, provider_port = {name: free_port() for name in NAMES}, free_port()
    urls = {name: f"http://{NAMES[name]}.localhost:{port}" for name, port in ports.items()}
    (folder / "client-secret").write_text(SECRET)
    catalog = catalog_with(folder / "catalog.yaml", one_large)
    images = str(make_images(folder / "images"))

    def start(name: str) -> Any:
        settings = local_settings(
            folder / f"{name}.yaml",
            images=images,
            public=urls[name],
            slots=str(folder / "slots"),
            terms={"version": "test-1"},
            hubs={"name": name, "others": {other: url for other, url in urls.items() if other != name}},
            login={
                "kind": "oidc",
                "issuer": f"http://127.0.0.1:{provider_port}",
                "client_id": CLIENT,
                "client_secret_file": "client-secret",
                "allow_all": True,
            },
        )
        return running_stack(
            folder / name,
            catalog=catalog,
            settings=settings,
            ledger_url=f"sqlite:///{folder / 'ledger.sqlite'}",
            arguments=("--unsafe-no-sandbox",),
            port=ports[name],
        )

    try:
        with start("main") as first:
            (folder / "b").mkdir(mode=0o700)
            shutil.copytree(folder / "main" / "secrets", folder / "b" / "secrets")
            callbacks = [f"{url}/hub/oauth_callback" for url in urls.values()]
            with start("b") as second, running_provider(provider_port, *callbacks) as provider:
                first.ledger.write(lambda connection: connection.execute(text(ACCEPT_AT_ONCE)))
                first.http.close()
                second.http.close()
                with by_name() as first.http, by_name() as second.http:
                    yield first, second, provider
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def visit(browser: httpx.Client, url: str, account: str = "") -> httpx.Response:
    """Open a page, press the hub's button to sign in, and do so at the provider where it asks."""
    shown = browser.get(url)
    if shown.url.path == "/hub/login":
        shown = browser.get(str(shown.url).replace("/hub/login", "/hub/oauth_login", 1))
    for fields in ({"account": account}, {}):
        if "/interaction/" in str(shown.url):
            shown = browser.post(shown.url, data=fields)
    return shown


@pytest.fixture
def browsers() -> Iterator[Callable[[], httpx.Client]]:
    """Makes browsers, which are closed after the test."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(browser_client())


def log_in(browser: httpx.Client, stack: Stack, provider: Provider, account: str) -> httpx.Client:
    provider.account(account)
    shown = visit(browser, f"{stack.url}{LOGIN}", account)
    assert (shown.status_code, str(shown.url)) == (200, f"{stack.url}/services/desk/")
    return browser


def person(stack: Stack, name: str) -> Person:
    (found,) = stack.ledger.read(people.of_name, name)
    return found


def running(stack: Stack) -> dict[str, str]:
    """Ids of running instances by user, on all hubs."""
    return {one.user_name: one.id for one in stack.unended() if one.state == "running"}


def answers(stack: Stack, user: str) -> bool:
    headers = {"Authorization": f"token {stack.user_token(user)}"}
    return stack.http.get(f"{stack.url}/user/{user}/api/contents", headers=headers).status_code == 200


def restart(stack: Stack, *names: str) -> None:
    """kill -9, after which the supervisor starts it again."""
    for name in names:
        stack.kill(name)
    eventually(lambda: is_up(stack), what="the hub")


def is_up(stack: Stack) -> bool:
    try:
        return stack.http.get(f"{stack.url}/hub/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_two_hubs_share_a_pool_and_a_line_and_end_nothing_of_each_other(
    hubs: tuple[Stack, Stack, Provider], browsers: Callable[[], httpx.Client]
) -> None:
    a, b, provider = hubs
    of_ann, of_carol = (log_in(browsers(), a, provider, name) for name in ("ann", "carol"))
    of_bob = log_in(browsers(), b, provider, "bob")
    assert (person(a, "ann").hub, person(a, "bob").hub) == ("main", "b")
    assert person(a, "ann").hub_id == person(a, "bob").hub_id, "each hub numbers its users by itself"

    # Whoever comes to another hub is led to theirs, with the page that they asked for.
    page = "/services/desk/admin?page=2"
    assert str(visit(of_bob, f"{a.url}{page}").url) == f"{b.url}{page}"
    assert len(a.ledger.read(people.of_name, "bob")) == 1

    # One line of one place: Bob waits on his hub for what Ann has on hers, and his own hub starts it for him.
    a.run("ann", flavor="cpu-large")
    assert b.start("bob", flavor="cpu-large").status_code == 503
    assert [one.state for one in a.ledger.read(tickets.alive)] == [TicketState.WAITING]
    a.stop("ann")
    eventually(lambda: running(a).keys() == {"bob"}, seconds=60, what="Bob's notebook")
    a.run("ann", flavor="cpu-basic")
    before = running(a)
    assert before.keys() == {"ann", "bob"}

    # A restart of one hub and its steward ends nothing of either.
    for stack in (a, b):
        restart(stack, "hub", "steward")
        eventually(lambda: answers(a, "ann") and answers(b, "bob"), what="both notebooks")
    assert running(a) == before

    # Neither does a drain. Who has no notebook is moved, and new people go to the other hub.
    settings = json.loads((a.state / "settings.json").read_text())
    settings["hubs"]["drain_to"] = "b"
    (a.state / "settings.json").write_text(json.dumps(settings))
    carol = person(a, "carol")
    restart(a, "hub", "steward")
    eventually(lambda: person(a, "carol").hub == "b", what="Carol's move")
    shown = visit(of_carol, f"{a.url}/services/desk/")
    assert (shown.status_code, str(shown.url)) == (200, f"{b.url}/services/desk/")
    log_in(browsers(), b, provider, "carol")
    assert person(a, "carol").id == carol.id
    provider.account("dora")
    assert str(visit(browsers(), f"{a.url}{LOGIN}", "dora").url) == f"{b.url}/services/desk/"
    assert person(a, "dora").hub == "b"
    assert person(a, "ann").hub == "main"
    assert of_ann.get(f"{a.url}/services/desk/").url.host == "a.localhost"
    assert answers(a, "ann")
    assert answers(b, "bob")
    assert running(a) == before
