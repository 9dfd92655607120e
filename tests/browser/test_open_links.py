"""From a badge in a README to a cell that has run, and what an open link never does."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser import lab
from tests.browser.axe import findings
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, button, heading
from tests.links.repositories import commit, notebook
from tests.save.git_server import GitServer, git
from tests.stack import Stack

Enter = Callable[..., Visitor]
Picture = Callable[..., None]
HOSTILE_LAUNCHER = "import pathlib; pathlib.Path.home().joinpath('ran').write_text('x'); raise SystemExit"


def test_from_a_badge_to_a_cell_that_has_run(
    enter: Enter, picture: Picture, git_server: tuple[GitServer, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    server, _ = git_server
    visitor = enter()
    check = "import pathlib; ran = pathlib.Path.home().joinpath('ran').exists()"
    files = {
        "course/first.ipynb": notebook("import helper", check, "print('RESULT:', helper.VALUE, ran)"),
        "course/helper.py": "VALUE = 42\n",
        "course/ipykernel_launcher.py": HOSTILE_LAUNCHER,
    }
    url = commit(server, "badge.git", files)
    steps: list[tuple[str, float]] = [("begin", time.monotonic())]

    def step(name: str) -> None:
        steps.append((name, time.monotonic()))

    page, _ = visitor.visit(f"/open?git={quote(url, safe='')}&ref=main&path=course/first.ipynb")
    expect(heading(page)).to_have_text("first.ipynb")
    expect(page.locator(".open-facts")).to_contain_text("badge")
    step("page of the link, signed out")
    picture(page, "stranger")
    assert findings(page, "stranger") == []
    for _ in range(3):
        answer = visitor.stack.http.get(page.url)
        assert answer.status_code == 200
    assert not any("badge.git/info" in path for path in server.seen), "a GET fetches nothing"
    assert visitor.instances() == []

    step("checks of the test")
    page.goto(visitor.stack.link_for(visitor.user))
    expect(button(page, "Start")).to_be_visible()
    expect(heading(page)).to_have_text("first.ipynb")
    step("login")
    picture(page, "open", full_page=True)
    offers_what_this_server_has(page)
    assert findings(page, "open") == []
    fits_a_phone(page)
    assert visitor.instances() == [], "the page starts nothing by itself"
    button(page, "Look up commit").click()
    expect(page.locator(".open-facts")).to_contain_text("Commit")
    tip = git(server.folder / "badge.git", "rev-parse", "main").decode()
    expect(page.locator(".open-facts")).to_contain_text(tip[:12])
    expect(button(page, "Look up commit")).to_have_count(0)
    assert visitor.instances() == [], "nor does looking"
    step("checks of the test")
    button(page, "Start").click()
    page.wait_for_url("**/lab/tree/badge/course/first.ipynb")
    step("start, download, and the notebook file's address")
    ran = lab.run_all(page)
    step("JupyterLab, its kernel, and the cells")
    said = ran.locator(".jp-OutputArea-output").last.inner_text().strip()
    assert said == "RESULT: 42 False", "the repository's own launcher never ran"
    lines = [f"{after[1] - before[1]:6.2f} s  {after[0]}" for before, after in itertools.pairwise(steps)]
    with capsys.disabled():
        print("", *lines, sep="\n")
    shares_the_open_file(page, url)
    opens_in_the_running_notebook(visitor, page, url)
    picture(page, "failed")
    assert findings(page, "failed") == []


def fits_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)
    assert_fits(page)
    page.set_viewport_size({"width": 1280, "height": 800})


def offers_what_this_server_has(page: Page) -> None:
    """It has no GPU, so no machine type with one is listed."""
    expect(page.get_by_role("radio", name=re.compile("^CPU"))).to_have_count(2)
    expect(page.get_by_role("radio", name=re.compile("GPU"))).to_have_count(0)


def shares_the_open_file(page: Page, url: str) -> None:
    """JupyterLab's panel leads to the page that makes the same link."""
    page.get_by_role("button", name=re.compile("Open the Freepool panel")).click()
    with page.context.expect_page() as opened:
        button(page, "Share the open file").click()
    made = opened.value
    expect(made.get_by_role("region", name="Markdown")).to_contain_text("path=course/first.ipynb")
    expect(made.get_by_role("region", name="Link")).to_contain_text(quote(url, safe="/"))
    assert findings(made, "badge") == []
    made.close()
    shares_from_the_file_browser(page)


def shares_from_the_file_browser(page: Page) -> None:
    """Its context menu leads there, too; of a file in no repository it says why not."""
    files = page.get_by_role("region", name="file browser")
    share = page.get_by_role("menuitem", name="Share with a Link or Badge…")
    files.get_by_role("listitem", name=re.compile("^Name: helper.py")).click(button="right")
    with page.context.expect_page() as opened:
        share.click()
    expect(opened.value.get_by_role("region", name="Markdown")).to_contain_text("path=course/helper.py")
    opened.value.close()
    files.locator(".jp-BreadCrumbs-home").click()
    files.get_by_role("listitem", name=re.compile("^Name: examples")).click(button="right")
    share.click()
    expect(page.get_by_text("Only files in a public Git repository can be shared by a link.")).to_be_visible()


def opens_in_the_running_notebook(visitor: Visitor, page: Page, url: str) -> None:
    """Other links, and one whose file is not there."""
    base, before = visitor.stack.url, visitor.instances()[0]
    page.goto(f"{base}/hub/user-redirect/git-pull?repo={quote(url, safe='')}&urlpath=lab/tree/badge/course")
    expect(page.locator(".open-facts")).to_contain_text("course")
    page.goto(f"{base}/open?example=language")
    expect(page.get_by_text("Your files stay.")).to_be_visible()
    button(page, "Open in my notebook").click()
    page.wait_for_url("**/lab/tree/examples/language/language.ipynb")
    assert visitor.instances()[0].id == before.id, "a running notebook is kept"
    page.goto(f"{base}/open?git={quote(url, safe='')}&path=nothing.ipynb")
    button(page, "Open in my notebook").click()
    expect(page.locator("#progress")).to_have_text("The repository has no such file.")
    back = page.get_by_role("link", name="Back to the link")
    expect(back).to_be_visible()
    back.evaluate("link => { link.hidden = true }")
    expect(back).to_be_hidden()


def test_everybody_can_make_a_link_and_its_badge(shared_stack: Stack) -> None:
    desk = f"{shared_stack.url}/services/desk/"
    address = "https://git.example.org/ada/course/blob/main/week 1/first.ipynb"
    page = shared_stack.http.get(f"{desk}open/badge", params={"address": address})
    link = f"{shared_stack.url}/open?git=https%3A//git.example.org/ada/course&ref=main&path=week%201/first.ipynb"
    markdown = f"[![Open in Freepool]({desk}open/badge.svg)]({link})"
    assert markdown in unescape(page.text)
    led = shared_stack.http.get(link, follow_redirects=True)
    assert "<title>first.ipynb - Freepool</title>" in led.text
    picture = shared_stack.http.get(f"{desk}open/badge.svg")
    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert picture.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    for hostile in (
        "javascript:alert(1)",
        "https://[x",
        "https://10.0.0.1/a/b.ipynb",
        'https://a.b/"><script>/x.ipynb',
    ):
        refused = shared_stack.http.get(f"{desk}open/badge", params={"address": hostile})
        assert refused.status_code == 200
        assert "must begin with https://" in refused.text
        assert "open-copy" not in refused.text
        assert "<script>/x" not in refused.text
