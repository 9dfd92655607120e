"""The whole upgrade in a browser, with the stand-in cloud beside the desk: from the link to the receipt."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from spawner.desk.texts import load_texts
from spawner.ledger import orders
from spawner.ledger.paid_model import OrderState
from tests.browser.test_axe import findings
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import READY, Visitor, button, heading
from tests.cloud.steer import ADA, LI, Steer
from tests.paid_desk.conftest import steer
from tests.stack import Stack, eventually, running_stack, write_catalog

Picture = Callable[[Page, str], None]
WIDE = {"width": 1280, "height": 1300}


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    """A Freepool with a stand-in for the cloud."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        catalog = write_catalog(folder / "catalog.yaml")
        with running_stack(folder / "s", catalog=catalog, arguments=("--demo-cloud",)) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cloud(demo: Stack) -> Iterator[Steer]:
    made = steer(demo)
    yield made
    made.close()


class Way:
    """One person's way, with a look at each page on it: axe, a phone, a picture."""

    def __init__(self, page: Page, language: str, picture: Picture) -> None:
        self.page, self.language, self.picture = page, language, picture
        self.say = load_texts()[language].say
        self.found: list[str] = []

    def look(self, name: str) -> None:
        page = self.page
        expect(page.get_by_text(self.say("The cloud is a stand-in, and no money is real."))).to_be_visible()
        if self.language == "en":
            page.emulate_media(color_scheme="light")
        else:
            page.emulate_media(color_scheme="dark")
        page.screenshot(full_page=True)  # lets everything settle
        self.picture(page, name)
        self.found += findings(page, name)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert_fits(page)
        self.picture(page, f"{name}-phone")
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def link(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("link", name=self.say(words, **params)).first

    def button(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("button", name=self.say(words, **params)).first


@pytest.mark.parametrize(("language", "account"), [("en", ADA), ("zh-CN", LI)])
def test_the_whole_way(  # noqa: PLR0915  (one story)
    chromium: Browser, demo: Stack, cloud: Steer, picture: Picture, language: str, account: str
) -> None:
    name = {"en": "ada", "zh-CN": "lilei"}[language]
    scheme = {"en": "light", "zh-CN": "dark"}[language]
    visitor = Visitor.enter(
        chromium, demo, name, locale=language, color_scheme=scheme, viewport=WIDE, reduced_motion="reduce"
    )
    since = cloud.last()
    page = visitor.open_desk()
    way = Way(page, language, picture)
    say = way.say

    # A free instance, with something in it.
    button(page, say("Start")).click()
    expect(heading(page)).to_have_text(READY[language])
    token = demo.user_token(name)
    put_file(demo, name, token)
    way.look("desk")

    # Link, with the role by one click.
    way.link("Link a cloud account").click()
    way.look("home")
    way.button("Link {cloud}", cloud="Alibaba Cloud PAI-DSW").click()
    page.wait_for_url("**/oauth2/v1/auth**")
    page.locator(f"form:has(input[value='{account}']) button[value=main]").click()
    page.wait_for_url("**/paid/accounts/*")
    page.get_by_text(say("What the role says, line by line; and how to make it by hand")).click()
    way.look("role")
    with page.expect_popup() as opened:
        way.link("Make the role at the cloud").click()
    console = opened.value
    console.locator(f"button[value='{account}']").click()
    console.wait_for_load_state()
    console.close()
    way.button("Check").click()
    expect(page.get_by_role("status").first).to_contain_text(
        say("All is well: the role lets us in, and nobody else. Nothing was made, and nothing costs anything.")
    )
    way.look("linked")

    # Prices, limits, the question.
    way.link("Prices and machines").click()
    way.look("prices")
    page.locator(".quote a").first.click()
    way.look("limits")
    way.button("Read the terms").click()
    page.wait_for_url("**/paid/consents/*")
    way.look("question")
    assert cloud.mutations(since=since) == []
    cloud.quirk(pace={"boot": [3, 3, 3, 3], "stop": 1, "delete": 1})
    way.button("Start and be billed").click()
    page.wait_for_url("**/paid/instances/*")
    expect(page.locator(".steps, #open").first).to_be_visible()
    way.look("starting")
    expect(page.locator("#open")).to_be_visible(timeout=90_000)
    way.look("running")
    instance = page.url

    # The files, from the one to the other.
    with page.expect_download() as download:
        way.link("Download freepool-files.zip").click()
    archive = Path(download.value.path())
    assert "hello.txt" in zipfile.ZipFile(BytesIO(archive.read_bytes())).namelist()
    with page.expect_popup() as opened:
        page.locator("#open").click()
    lab = opened.value
    lab.wait_for_url("**/gate/**")
    lab.locator("#file").set_input_files({"name": "freepool-files.zip", "mimeType": "application/zip",
                                          "buffer": archive.read_bytes()})  # fmt: skip
    expect(lab.locator("#files")).to_contain_text("freepool-files.zip")
    lab.close()

    # Below the free ones on the desk.
    page.goto(f"{demo.url}/services/desk/")
    expect(page.locator(".own-run")).to_be_visible()
    way.look("desk-paid")

    # Its end, and the receipt.
    page.goto(instance)
    way.link("Stop…").click()
    way.look("stop")
    way.button("Stop it").click()
    expect(page.locator(".receipt-title")).to_be_visible(timeout=60_000)
    way.look("receipt")
    way.link("What you agreed to").click()
    way.look("answer")
    page.goto(f"{demo.url}/services/desk/paid/consents")
    way.look("answers")
    page.goto(f"{instance}/delete")
    way.look("delete")
    way.button("Delete it for good").click()
    order = instance.rpartition("/")[2]
    eventually(lambda: state_of(demo, order) is OrderState.GONE, seconds=60, what="its end")
    page.goto(f"{demo.url}/services/desk/paid")
    way.look("home-linked")
    page.locator("a[href$='/unlink']").first.click()
    way.look("unlink")
    way.button("Unlink").click()
    expect(heading(page)).to_have_text(say("The account is unlinked"))
    assert way.found == []
    assert visitor.unexpected == []
    visitor.leave()


def test_the_operators_page(chromium: Browser, demo: Stack, picture: Picture) -> None:
    name = "chief"
    assert demo.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
    visitor = Visitor.enter(chromium, demo, name, viewport=WIDE, reduced_motion="reduce")
    visitor.open_desk()
    page, _ = visitor.visit("/services/desk/operator/paid")
    way = Way(page, "en", picture)
    way.look("operator")
    way.button("No new paid instances").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody can make or start any.")
    way.look("operator-paused")
    way.button("Allow them again").click()
    expect(way.button("No new paid instances")).to_be_visible()
    assert way.found == []
    visitor.leave()


def put_file(stack: Stack, user: str, token: str) -> None:
    import httpx

    answer = httpx.put(
        f"{stack.url}/user/{user}/api/contents/hello.txt",
        headers={"Authorization": f"token {token}"},
        content=json.dumps({"type": "file", "format": "text", "content": "from the free one"}),
        timeout=30,
    )
    assert answer.status_code in (200, 201), answer.text


def state_of(stack: Stack, order: str) -> OrderState:
    ledger = stack.ledger()
    try:
        return ledger.read(orders.get, order).state
    finally:
        ledger.close()
