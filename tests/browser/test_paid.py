"""The whole upgrade in a browser, with the stand-in cloud beside the desk: from the link to the receipt."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from spawner.desk.i18n import load_translations
from spawner.desk.paid.texts import WHY
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import Order, OrderState, StopReason
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import READY, Visitor, button, heading
from tests.cloud.steer import ADA, LI, QUICK, STANDSTILL, Steer
from tests.hub.paid import Person, Platform
from tests.stack import Stack, eventually

Picture = Callable[..., None]
WIDE = {"width": 1280, "height": 900}
HELLO = "from the free one"
CAP = PRICE = Decimal("0.65")
"""What may be spent, and what an hour costs: it is reached before the two hours that it may run."""
PAST_THE_CAP = 4000


@pytest.fixture
def demo(demo_stack: Stack) -> Stack:
    """A Freepool with a stand-in for the cloud."""
    return demo_stack


@pytest.fixture
def cloud(cloud_beside: Steer) -> Steer:
    return cloud_beside


class Way:
    """One person's way, with a look at each page on it: axe, a phone, a picture."""

    def __init__(self, page: Page, language: str, picture: Picture) -> None:
        self.page, self.language, self.picture = page, language, picture
        self.say = load_translations()[language].say
        self.axe = Axe()
        self.found: list[str] = []

    def look(self, name: str) -> None:
        page = self.page
        expect(page.get_by_text(self.say("The cloud is a stand-in, and no money is real."))).to_be_visible()
        self.picture(page, name, full_page=True)
        self._judge(page, name)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if self.language == "en":  # its words are the longer ones
            assert_fits(page)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        self.picture(page, f"{name}-phone", full_page=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def look_at_cloud(self, page: Page, name: str) -> None:
        """A page of the stand-in, which speaks both languages at once."""
        expect(page.get_by_role("note")).to_contain_text("DEMO · 演示")
        self.picture(page, f"cloud-{name}", full_page=True)
        self._judge(page, name)

    def _judge(self, page: Page, name: str) -> None:
        for violation in self.axe.run(page).response["violations"]:
            self.found += [f"{name}: {violation['id']}: {node['html']}" for node in violation["nodes"]]

    def link(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("link", name=self.say(words, **params)).first

    def button(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("button", name=self.say(words, **params)).first


@pytest.mark.parametrize(("language", "account"), [("en", ADA), ("zh-CN", LI)])
def test_the_whole_way(
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

    button(page, way.say("Start")).click()
    expect(heading(page)).to_have_text(READY[language])
    put_file(demo, name)
    way.look("desk")

    link_account(way, account)
    read_and_agree(way, cloud, since)
    instance, order = page.url, page.url.rpartition("/")[2]
    page.goto(instance)
    expect(page.locator("#open")).to_be_visible(timeout=90_000)
    way.look("running")
    move_files(way)
    page.goto(f"{demo.url}/services/desk/")
    expect(page.locator(".own-run")).to_be_visible()
    way.look("desk-paid")
    page.goto(f"{instance}/stop")
    way.look("stop")

    the_cloud_stops_it(way, demo, cloud, account, order, since)
    page.goto(instance)
    expect(page.locator(".receipt-title")).to_be_visible(timeout=60_000)
    expect(page.locator(".why")).to_have_text(way.say(WHY[StopReason.CAP]))
    way.look("receipt")
    assert cloud.calls(since=since, action="StopInstance") == [], "it was the cloud"
    ended = order_of(demo, order)
    assert (ended.state, ended.reason) == (OrderState.STOPPED, StopReason.CAP)
    assert 0 < Decimal(ended.spent or 0) <= CAP
    assert CAP / 2 < cloud.owes(account) <= CAP + PRICE / 60, "the bill itself, with the minute that was begun"

    clean_up(way, demo, instance)
    assert way.found == []
    assert visitor.unexpected == []
    visitor.leave()


def link_account(way: Way, account: str) -> None:
    """From the desk to an account that is linked, with the role by one click."""
    page = way.page
    way.link("Link a cloud account").click()
    way.look("home")
    way.button("Link {cloud}", cloud=way.say("Alibaba Cloud PAI-DSW")).click()
    page.wait_for_url("**/oauth2/v1/auth**")
    way.look_at_cloud(page, "sign-in")
    page.locator(f"form:has(input[value='{account}']) button[value=main]").click()
    page.wait_for_url("**/paid/accounts/*")
    page.get_by_text(way.say("What the role says, line by line; and how to make it by hand")).click()
    way.look("role")
    with page.expect_popup() as opened:
        way.link("Make the role at the cloud").click()
    console = opened.value
    way.look_at_cloud(console, "role")
    console.locator(f"button[value='{account}']").click()
    expect(console.get_by_role("heading", level=1)).to_contain_text("The role is made")
    console.close()
    way.button("Check").click()
    expect(page.get_by_role("status").first).to_contain_text(
        way.say("All is well: the role lets us in, and nobody else. Nothing was made, and nothing costs anything.")
    )
    way.look("linked")


def read_and_agree(way: Way, cloud: Steer, since: int) -> None:
    """Prices, limits, the question, and the yes. Until that, nothing was asked of the cloud that changes anything."""
    page = way.page
    way.link("Prices and machines").click()
    way.look("prices")
    page.locator(".quote a").first.click()
    page.locator("#cap").fill(str(CAP))
    page.locator("#hours").select_option("2")
    page.locator("#idle").select_option("0")
    way.look("limits")
    way.button("Read the terms").click()
    page.wait_for_url("**/paid/consents/*")
    expect(page.locator(".terms")).to_contain_text(f"CNY {CAP}")
    way.look("question")
    assert cloud.mutations(since=since) == []
    cloud.quirk(pace=STANDSTILL)
    way.button("Start and be billed").click()
    page.wait_for_url("**/paid/instances/*")
    expect(page.locator(".steps, #open").first).to_be_visible()
    way.look("starting")
    cloud.quirk(pace=QUICK)


def move_files(way: Way) -> None:
    """From the free instance to the paid one, as the page says."""
    page = way.page
    with page.expect_download() as download:
        way.link("Download freepool-files.zip").click()
    with page.expect_popup() as opened:
        page.locator("#open").click()
    lab = opened.value
    lab.wait_for_url("**/gate/**")
    packed = {"name": "freepool-files.zip", "mimeType": "application/zip"}
    lab.locator("#file").set_input_files([{**packed, "buffer": Path(download.value.path()).read_bytes()}])
    expect(lab.locator("#files")).to_contain_text("freepool-files.zip")
    lab.locator("#command").fill(page.locator("#unpack").inner_text())
    lab.get_by_role("button", name="Run").click()
    lab.get_by_role("link", name="freepool-files/").click()
    expect(lab.locator("#files")).to_contain_text("hello.txt")
    way.look_at_cloud(lab, "lab")
    with lab.expect_download() as moved:
        lab.get_by_role("link", name="hello.txt").click()
    assert Path(moved.value.path()).read_text() == HELLO
    lab.close()


def the_cloud_stops_it(way: Way, demo: Stack, cloud: Steer, account: str, order: str, since: int) -> None:
    """The limit is reached while nobody of ours is there to see it."""
    assert [call.action for call in cloud.calls(since=since, action="CreateIdleInstanceCuller")] == [], "idle: never"
    with held_steward(demo):
        cloud.advance(PAST_THE_CAP)
        assert cloud.instance(order_of(demo, order).name)["status"] == "Stopped"
        assert cloud.calls(since=since, action="StopInstance") == []
        assert order_of(demo, order).state is OrderState.ACTIVE, "nobody of ours has seen it"
        console = way.page.context.new_page()
        console.goto(f"{cloud.endpoints.main}/console/{account}")
        way.look_at_cloud(console, "console")
        console.close()
        way.page.goto(f"{demo.url}/services/desk/paid/consents")
        way.look("answers")


def clean_up(way: Way, demo: Stack, instance: str) -> None:
    """What was agreed to, and the end of the instance and of the link."""
    page = way.page
    way.link("What you agreed to").click()
    way.look("answer")
    page.goto(f"{instance}/delete")
    way.look("delete")
    way.button("Delete it for good").click()
    order = instance.rpartition("/")[2]
    eventually(lambda: order_of(demo, order).state is OrderState.GONE, seconds=60, what="its end")
    page.goto(f"{demo.url}/services/desk/paid")
    way.look("home-linked")
    page.locator("a[href$='/unlink']").first.click()
    way.look("unlink")
    way.button("Unlink").click()
    expect(heading(page)).to_have_text(way.say("The account is unlinked"))
    way.look("unlinked")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_operators_page(chromium: Browser, demo: Stack, cloud: Steer, picture: Picture, language: str) -> None:
    owner = Person(Platform(demo, cloud, demo.ledger), f"owner-{language.lower()}")
    with ThreadPoolExecutor(1) as thread:  # this one has a loop of Playwright's
        consent = thread.submit(owner.agree, "paid-1").result()
    with owner.clicking(consent):
        owner.appears("paid-1")
        name = f"chief-{language.lower()}"
        assert demo.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
        visitor = Visitor.enter(chromium, demo, name, locale=language, viewport=WIDE, reduced_motion="reduce")
        visitor.open_desk()
        page, _ = visitor.visit("/services/desk/admin/paid")
        way = Way(page, language, picture)
        expect(page.get_by_role("cell").get_by_text(owner.name)).to_be_visible()
        way.look("operator")
        way.button("No new paid instances").click()
        expect(page.get_by_role("alert")).to_contain_text(
            way.say("Nobody can make or start any. What runs goes on, and its owners can stop it.")
        )
        way.look("operator-paused")
        way.button("Allow them again").click()
        expect(way.button("No new paid instances")).to_be_visible()
    owner.wait_running("paid-1")
    owner.delete("paid-1")
    owner.wait_state("paid-1", OrderState.GONE)
    assert way.found == []
    visitor.leave()


def put_file(stack: Stack, user: str) -> None:
    """Into the free instance."""
    answer = stack.http.put(
        f"{stack.url}/user/{user}/api/contents/hello.txt",
        headers={"Authorization": f"token {stack.user_token(user)}"},
        json={"type": "file", "format": "text", "content": HELLO},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text


def order_of(stack: Stack, order: str) -> Order:
    return stack.ledger.read(orders.get, order)


@contextmanager
def held_steward(stack: Stack) -> Iterator[None]:
    """It stands still meanwhile: were it killed, another would be there at once. Not in the middle of a write, for
    whose end everybody else would wait."""
    [steward] = stack.pids("steward")
    os.kill(steward, signal.SIGSTOP)
    try:
        while is_being_written(stack):
            os.kill(steward, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(steward, signal.SIGSTOP)
        yield
    finally:
        os.kill(steward, signal.SIGCONT)


def is_being_written(stack: Stack) -> bool:
    """Whether somebody is in a transaction of the ledger that writes."""
    with closing(sqlite3.connect(stack.state / "ledger.sqlite", timeout=0, isolation_level=None)) as ledger:
        try:
            ledger.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        ledger.execute("ROLLBACK")
        return False
