"""Notebooks on subdomains of their own: another origin than the desk's, which is the hub's."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.cloud.steer import steer_beside
from tests.hub.paid import Person, Platform
from tests.stack import Stack, eventually, free_port, local_settings, running_stack, write_catalog

PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class ByName(httpx.HTTPTransport):
    """Resolves every host below localhost to 127.0.0.1, as a browser does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        there = request.url.copy_with(host="127.0.0.1")
        sent = httpx.Request(
            request.method, there, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return super().handle_request(sent)


def test_desk_and_hub_share_a_host_and_notebooks_do_not() -> None:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    port = free_port()
    host = f"http://localhost:{port}"
    settings = local_settings(folder / "local.yaml", public=f"{host}/", subdomain_host=host)
    catalog = write_catalog(folder / "catalog.yaml")
    try:
        with running_stack(
            folder / "s", catalog=catalog, settings=settings, arguments=("--port", str(port), "--demo-cloud")
        ) as stack:
            stack.add_user("ann")
            with httpx.Client(transport=ByName(), follow_redirects=True, timeout=60) as browser:
                page = browser.get(stack.link_for("ann"))
                assert page.status_code == 200, (page.text, page.history)
                assert str(page.url) == f"{host}/services/desk/"
                assert browser.get(f"{host}/services/desk/paid", headers=PERSON).status_code == 200
                assert stack.start("ann").status_code in (201, 202)

                def notebook() -> httpx.Response | None:
                    answer = browser.get(f"{host}/user/ann/api/status")
                    return answer if urlsplit(str(answer.url)).path == "/user/ann/api/status" else None

                answer = eventually(notebook, seconds=60, what="the notebook")
                assert answer is not None
                assert urlsplit(str(answer.url)).hostname == "ann.localhost"
                a_paid_instance_is_reached_through_the_desk(stack, host, browser)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def a_paid_instance_is_reached_through_the_desk(stack: Stack, host: str, browser: httpx.Client) -> None:
    """The user's host redirects to the desk, and the desk to the cloud. Another user gets 404."""
    cloud = steer_beside(stack.state)
    platform = Platform(stack, cloud, stack.ledger)
    ann = Person(platform, "ann")
    assert ann.start(ann.agree("paid-1")).status_code in (201, 202)
    ann.wait_running("paid-1")
    eventually(lambda: (ann.server("paid-1") or {}).get("ready"), seconds=60, what="the paid server")
    hers = f"http://ann.{urlsplit(host).netloc}/user/ann/paid-1/lab"
    page = browser.get(hers)
    assert str(page.url).startswith(cloud.endpoints.gates)
    assert [str(step.url.copy_with(query=None)) for step in page.history[:2]] == [
        hers,
        f"{host}/services/desk/paid/open/paid-1",
    ]
    stack.add_user("bob")
    with httpx.Client(transport=ByName(), follow_redirects=True, timeout=60) as other:
        assert other.get(stack.link_for("bob")).status_code == 200
        assert other.get(hers).status_code == 404
    ann.delete("paid-1")
