"""The proxy's port and routes outlive the proxy, and instances reach hub and desk by loopback."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from spawner.settings import LOOPBACK
from tests.hub.front import Front, running_front

HOST = "lab.localhost"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running_front() as running:
        yield running


def test_a_killed_proxy_gives_its_port_to_nobody_and_answers_what_came_meanwhile(front: Front) -> None:
    front.kill()
    for reuse in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        for address in (LOOPBACK, "0.0.0.0"):
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, reuse, 1)
                with pytest.raises(OSError, match="in use") as caught:
                    thief.bind((address, front.port))
                assert caught.value.errno == errno.EADDRINUSE
    found: list[str] = []
    asks = threading.Thread(target=lambda: found.append(front.get("user/ann/lab").text))
    asks.start()
    front.start()
    asks.join(30)
    assert found == ["notebook /user/ann/lab 0"], "the new proxy knows the notebook, without the hub"
    front.wait()


def test_a_removed_route_does_not_come_back_with_the_next_proxy(front: Front) -> None:
    target = f"http://{LOOPBACK}:{front.notebook.server_address[1]}"
    assert front.routes("POST", "/user/bob", target=target).status_code == 201
    assert front.get("user/bob/x").text == "notebook /user/bob/x 0"
    assert front.routes("DELETE", "/user/bob").status_code == 204
    front.kill()
    front.start()
    front.wait()
    assert front.get("user/bob/x").text == "hub /user/bob/x 0"
    assert front.get("services/desk/").text == "desk /services/desk/ 0"


def test_the_gates_port_and_routes_to_it_lead_to_the_desk(front: Front) -> None:
    """The hub looks at the port before the route is there."""
    assert httpx.get(f"{front.gate}/user/ann/paid-1/api").text == "desk /user/ann/paid-1/api 0"
    assert front.get("user/ann/paid-1/lab").text == "notebook /user/ann/paid-1/lab 0"
    assert front.routes("POST", "/user/ann/paid-1", target=front.gate).status_code == 201
    assert front.get("user/ann/paid-1/lab").text == "desk /user/ann/paid-1/lab 0"


def test_only_the_supervisors_siblings_may_use_the_api(front: Front) -> None:
    assert (front.folder / "proxy.sock").stat().st_mode & 0o077 == 0
    for port in (front.port, front.port + 1):
        try:
            with socket.create_connection((LOOPBACK, port)) as client:
                client.sendall(b"GET /api/routes HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"hub /api/routes" in client.recv(65536)
        except ConnectionRefusedError:
            continue


def test_with_a_host_for_each_person_loopback_stands_for_the_hubs_host() -> None:
    with running_front(host=HOST) as front:
        for host in (f"{LOOPBACK}:{front.port}", "[::1]", HOST):
            assert front.get("services/desk/x", Host=host).text == "desk /services/desk/x 0"
            assert front.get("hub/api/", Host=host).text == "hub /hub/api/ 0"
        ann = f"ann.{HOST}:{front.port}"
        assert front.get("user/ann/x", Host=ann).text == "notebook /user/ann/x 0"
        assert front.get("user/ann/x", Host=LOOPBACK).text == "hub /user/ann/x 0", "a notebook only under its own host"
        assert front.get("services/desk/x", Host=ann).text == "hub /services/desk/x 0", "no desk on a notebook's host"


def test_an_apps_host_leads_to_the_notebook_of_its_user_and_nowhere_else() -> None:
    with running_front(host=HOST) as front:
        app = f"p7860--ann.{HOST}"
        for asked, led in (
            ("", ""),
            ("lab?a=%2F..", "lab?a=%2F.."),
            ("user/ann/api", "user/ann/api"),
            ("a/%2e%2e/%2e%2e/user/ann/x", "user/ann/x"),
            ("hub/api/", "hub/api/"),
            ("services/desk/", "services/desk/"),
            ("_chp_healthz", "_chp_healthz"),
        ):
            assert front.get(asked, Host=f"{app}:{front.port}").text == f"notebook /freepool-app/7860/{led} 0"
        assert front.get("x", Host=app.upper()).text == "notebook /freepool-app/7860/x 0"
        assert front.get("robots.txt", Host=app).text == "User-agent: *\nDisallow: /\n"
        assert "Allow: /$" in front.get("robots.txt", Host=HOST).text
        for host in (f"p7860--bob.{HOST}", f"p7860--p7860--ann.{HOST}"):
            assert front.get("hub/api/", Host=host).status_code == 404, "no notebook runs there"
        for host in (f"p80--ann.{HOST}", f"p07860--ann.{HOST}", f"p7860-ann.{HOST}", f"p7860--ann.x.{HOST}"):
            assert front.get("x", Host=host).text == "hub /x 0", "no app's host"
        assert front.get("freepool-app/7860/x", Host=f"ann.{HOST}").text == "hub /freepool-app/7860/x 0"
        front.kill()
        front.start()
        front.wait()
        assert front.get("x", Host=app).text == "notebook /freepool-app/7860/x 0", "also after a restart"
        assert front.routes("DELETE", f"/ann.{HOST}/user/ann").status_code == 204
        assert front.get("x", Host=app).status_code == 404


def test_what_an_app_says_to_browsers_ends_at_its_own_host() -> None:
    """The notebook's server takes it out, too, but is in a sandbox of the owner's. Its own clearing passes."""
    with running_front(host=HOST) as front:
        front.notebook.says = {"Strict-Transport-Security": "max-age=1", "Alt-Svc": 'h3=":1"', "X-Other": "kept"}
        for said, passed in (
            ('"cookies"', None),
            ('"*"', None),
            ("", None),
            ('"cache", "cookies","storage"', '"cache", "storage"'),
        ):
            front.notebook.says["Clear-Site-Data"] = said
            headers = front.get("x", Host=f"p7860--ann.{HOST}").headers
            assert headers.get("Clear-Site-Data") == passed
            assert not {"strict-transport-security", "alt-svc"} & headers.keys()
            assert headers["X-Other"] == "kept"
