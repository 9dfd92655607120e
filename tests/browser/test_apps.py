"""An app on a port of a notebook, in the browser: from JupyterLab, on its own host, and by a link for others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from tests.apps.run import PORT, PROGRAM_PORT, start_app
from tests.browser.lab import contents, run_all
from tests.browser.test_closed_lid import notebook
from tests.browser.test_lab import GONE, open_lab, status
from tests.browser.visitor import Visitor

FAILED = "That did not work: the notebook is not responding. Try again."
TRIED = "socket hello; events 0 1 2; upload 52428800; moved to /seen;"


def run_app(visitor: Visitor) -> None:
    """Start the app in the visitor's notebook. Playwright's own event loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, start_app(visitor.stack, visitor.user)).result()


def try_all(page: Page) -> None:
    """Have the app's page try a websocket, events, an upload of 50 MB and a redirect to a whole address."""
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("status")).to_have_text(TRIED)


@contextmanager
def without(lab: Page, path: str) -> Iterator[None]:
    """While requests to a path fail, as those to a notebook that does not answer."""
    lab.route(re.compile(path), lambda route: route.abort())
    yield
    lab.unroute_all()


def open_by_printed_address(ann: Visitor, lab: Page) -> None:
    """Follow the address that a cell prints, and of which JupyterLab makes a link."""
    address = f"http://127.0.0.1:{PORT}/seen?a=1"
    assert contents(
        lab, "PUT", "printed.ipynb", {"type": "notebook", "format": "json", "content": notebook(f"print({address!r})")}
    )[0] == 201  # fmt: skip
    lab.get_by_title("Refresh the file browser.").click()
    lab.get_by_role("listitem", name="printed.ipynb").dblclick()
    run_all(lab)
    with ann.context.expect_page() as opened:
        lab.get_by_role("link", name=address).click()
    expect(opened.value).to_have_url(f"http://p{PORT}--{ann.user}.localhost:{ann.stack.port}/seen?a=1")
    opened.value.close()
    # The launcher, which has the tiles, is in front again.
    lab.get_by_role("tab", name="Launcher").click()


def open_by_tile(ann: Visitor, lab: Page) -> None:
    """Start a program from the launcher, at first without success."""
    panel, tile = lab.locator("#freepool-panel"), lab.locator(".jp-LauncherCard", has_text="Streamlit")
    with without(lab, "/freepool/apps/tools/"), ann.context.expect_page() as opened:
        tile.click()
        expect(panel).to_contain_text(FAILED)
    expect(opened.value.locator("body")).to_contain_text(FAILED)
    opened.value.close()
    with ann.context.expect_page() as opened:
        tile.click()
    expect(opened.value.get_by_role("heading", name="An app")).to_be_visible()
    expect(opened.value).to_have_url(f"http://p{PROGRAM_PORT}--{ann.user}.localhost:{ann.stack.port}/")
    expect(lab.get_by_role("tab", name="Terminal 1")).to_be_visible()
    expect(panel).not_to_contain_text(FAILED)


def share(panel: Locator) -> str:
    """Make a link for others."""
    panel.get_by_role("button", name=f"Share {PORT}").click()
    expect(panel).to_contain_text(re.compile(rf"can use the app on port {PORT}, until .* no longer than this notebook"))
    return panel.get_by_role("textbox", name="Link to the app").input_value()


def stop_sharing(lab: Page, panel: Locator, link: str) -> None:
    """End it, at first without success."""
    stop = panel.get_by_role("button", name=f"Stop sharing {PORT}")
    with without(lab, "/freepool/apps/shares/"):
        stop.click()
        expect(panel).to_contain_text(FAILED)
    expect(panel.get_by_role("textbox", name="Link to the app")).to_have_value(link)
    stop.click()
    expect(panel).to_contain_text("The link was revoked and does not work any more.")


def test_an_app_is_opened_from_jupyterlab_shared_and_revoked(
    enter: Callable[..., Visitor], picture: Callable[..., None]
) -> None:
    ann, guest = enter(), enter(locale="zh-CN")
    ann.expected.append("net::ERR_FAILED")
    guest.expected.append(GONE)
    ann.stack.add_user(ann.user)
    ann.stack.run(ann.user)
    run_app(ann)
    ann.open_desk()
    lab = ann.context.new_page()
    lab.goto(f"{ann.notebook_url}lab")
    status(lab).click()
    panel = lab.locator("#freepool-panel")
    with ann.context.expect_page() as opened:
        panel.get_by_role("link", name=f"Open the app on port {PORT}").click()
    page = opened.value
    expect(page).to_have_url(f"http://p{PORT}--{ann.user}.localhost:{ann.stack.port}/")
    try_all(page)
    assert page.evaluate("window.opener") is None
    names = {cookie["name"] for cookie in ann.context.cookies(page.url)}
    assert names == {"freepool-app", "mine"}, "no cookie of the lab's or the hub's"
    open_by_printed_address(ann, lab)
    open_by_tile(ann, lab)

    link = share(panel)
    picture(lab, "panel")
    theirs = guest.context.new_page()
    theirs.goto(link)
    expect(theirs.get_by_role("heading", name=f"{ann.user} 分享给你的应用")).to_be_visible()
    picture(theirs, "shared")
    theirs.get_by_role("button", name="打开应用").click()
    try_all(theirs)
    theirs.evaluate("localStorage.left = 1")

    stop_sharing(lab, panel, link)
    theirs.goto(link)
    expect(theirs.get_by_role("heading", name="此链接已失效")).to_be_visible()
    theirs.goto(page.url)
    expect(theirs).to_have_url(re.compile("/hub/login"))

    theirs.goto(share(panel))
    theirs.get_by_role("button", name="打开应用").click()
    expect(theirs.get_by_role("heading", name="An app")).to_be_visible()
    assert theirs.evaluate("localStorage.length") == 0, "what an earlier visit has stored is cleared"


def test_the_address_with_a_token_for_other_programs_is_copied_and_ends_with_the_notebook(visitor: Visitor) -> None:
    stack = visitor.stack
    lab = open_lab(visitor)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    status(lab).click()
    panel = lab.locator("#freepool-panel")

    def copied() -> tuple[str, dict[str, str]]:
        panel.get_by_role("button", name="Copy address and token for VS Code").click()
        expect(panel).to_contain_text("It opens this notebook only, until ")
        url, _, token = lab.evaluate("navigator.clipboard.readText()").partition("?token=")
        return url, {"Authorization": f"token {token}"}

    url, headers = copied()
    assert url == f"{stack.url}/user/{visitor.user}/", "the host that programs find"
    assert stack.http.get(f"{url}api/contents", headers=headers).status_code == 200
    assert stack.http.post(f"{url}freepool/program-token", headers=headers).status_code == 403, "no successor"
    for path in ("/hub/api/user", "/services/desk/api/state", "/services/desk/api/session"):
        assert stack.http.get(stack.url + path, headers=headers).status_code in (401, 403), path
    panel.get_by_role("button", name="Revoke all tokens").click()
    expect(panel).to_contain_text("The tokens were revoked and do not work any more.")
    assert stack.http.get(f"{url}api/contents", headers=headers).status_code in (302, 403)
    url, headers = copied()
    stack.stop(visitor.user)
    stack.run(visitor.user)
    assert stack.http.get(f"{url}api/contents", headers=headers).status_code in (302, 403), "another notebook"
