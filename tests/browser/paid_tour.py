"""The way through the pages of paid notebooks, with the demo cloud: from linking an account to the receipt."""

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

from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from spawner.desk.paid.texts import WHY
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import Order, OrderState, StopReason
from tests.browser.axe import violations
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import READY, Visitor, button, heading
from tests.cloud.steer import ADA, LI, QUICK, STANDSTILL, Steer
from tests.hub.paid import Person, Platform
from tests.stack import Stack, eventually

Picture = Callable[..., None]
WIDE = {"width": 1280, "height": 900}
USERS = {"en": ("ada", ADA), "zh-CN": ("lilei", LI)}
"""Who tours in which language: a user, and their account in the cloud."""
HELLO = "from the free one"
CAP = PRICE = Decimal("0.65")
"""The spending limit and the price of an hour: the limit is reached before the run's two hours are over."""
PAST_THE_CAP = 4000


class Tour:
    """A user's tour through the pages. Each is checked with axe and on a phone, and a screenshot is saved."""

    def __init__(self, page: Page, language: str, picture: Picture) -> None:
        self.page, self.language, self.picture = page, language, picture
        self.say = load_translations()[language].say
        self.violations: list[str] = []

    def look(self, name: str) -> None:
        page = self.page
        expect(page.get_by_text(self.say("This is a simulated cloud. No real money is charged."))).to_be_visible()
        self.picture(page, name, full_page=True)
        self._judge(page, name)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if self.language == "en":  # its texts are the longer ones
            assert_fits(page)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        self.picture(page, f"{name}-phone", full_page=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def look_at_cloud(self, page: Page, name: str) -> None:
        """Check a page of the demo cloud, which shows both languages at once."""
        expect(page.get_by_role("note")).to_contain_text("DEMO · 演示")
        self.picture(page, f"cloud-{name}", full_page=True)
        self._judge(page, name)

    def _judge(self, page: Page, name: str) -> None:
        self.violations += [f"{name}: {violation}" for violation in violations(page)]

    def link(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("link", name=self.say(words, **params)).first

    def button(self, words: str, **params: object) -> Any:
        return self.page.get_by_role("button", name=self.say(words, **params)).first


def tour_as_owner(tour: Tour, visitor: Visitor, demo: Stack, cloud: Steer) -> None:
    """Link an account, run an instance up to its spending limit, move files, delete it, unlink."""
    name, account = USERS[tour.language]
    since = cloud.last()
    page = tour.page
    button(page, tour.say("Start")).click()
    expect(heading(page)).to_have_text(READY[tour.language])
    put_file(demo, name)
    tour.look("desk")

    link_account(tour, account)
    consent_to_start(tour, cloud, since)
    instance, order = page.url, page.url.rpartition("/")[2]
    page.goto(instance)
    expect(page.locator("#open")).to_be_visible(timeout=90_000)
    tour.look("running")
    move_files(tour)
    page.goto(f"{demo.url}/services/desk/")
    expect(page.locator(".own-run")).to_be_visible()
    tour.look("desk-paid")
    page.goto(f"{instance}/stop")
    tour.look("stop")

    exceed_the_limit(tour, demo, cloud, account, order, since)
    page.goto(instance)
    expect(page.locator(".receipt-title")).to_be_visible(timeout=60_000)
    expect(page.locator(".why")).to_have_text(tour.say(WHY[StopReason.CAP]))
    tour.look("receipt")
    assert cloud.calls(since=since, action="StopInstance") == [], "the cloud stopped it"
    ended = order_of(demo, order)
    assert (ended.state, ended.reason) == (OrderState.STOPPED, StopReason.CAP)
    assert 0 < Decimal(ended.spent or 0) <= CAP
    assert CAP / 2 < cloud.owes(account) <= CAP + PRICE / 60, "the bill, with the minute that had begun"

    clean_up(tour, demo, instance)
    assert tour.violations == []
    assert visitor.unexpected == []


def link_account(tour: Tour, account: str) -> None:
    """Link an account, starting at the desk, and create the role by the cloud's page."""
    page = tour.page
    tour.link("Link a cloud account").click()
    tour.look("home")
    tour.button("Link {cloud}", cloud=tour.say("Alibaba Cloud PAI-DSW")).click()
    page.wait_for_url("**/oauth2/v1/auth**")
    tour.look_at_cloud(page, "sign-in")
    page.locator(f"form:has(input[value='{account}']) button[value=main]").click()
    page.wait_for_url("**/paid/accounts/*")
    page.get_by_text(tour.say("What the role allows, and how to create it manually")).click()
    tour.look("role")
    with page.expect_popup() as opened:
        tour.link("Create the role in the cloud console").click()
    console = opened.value
    tour.look_at_cloud(console, "role")
    console.locator(f"button[value='{account}']").click()
    expect(console.get_by_role("heading", level=1)).to_contain_text("The role is made")
    console.close()
    tour.button("Check").click()
    expect(page.get_by_role("status").first).to_contain_text(
        tour.say("Everything is set up: only Freepool can use this role. Nothing was created and nothing was charged.")
    )
    tour.look("linked")


def consent_to_start(tour: Tour, cloud: Steer, since: int) -> None:
    """Choose an instance type and limits, and consent. Before the consent no request changes anything in the cloud."""
    page = tour.page
    tour.link("Machine types and prices").click()
    tour.look("prices")
    page.locator(".quote a").first.click()
    page.locator("#cap").fill(str(CAP))
    page.locator("#hours").select_option("2")
    page.locator("#idle").select_option("0")
    tour.look("limits")
    tour.button("Review terms").click()
    page.wait_for_url("**/paid/consents/*")
    expect(page.locator(".terms")).to_contain_text(f"CNY {CAP}")
    tour.look("question")
    assert cloud.mutations(since=since) == []
    cloud.quirk(pace=STANDSTILL)
    tour.button("Approve and start").click()
    page.wait_for_url("**/paid/instances/*")
    expect(page.locator(".steps, #open").first).to_be_visible()
    tour.look("starting")
    cloud.quirk(pace=QUICK)


def move_files(tour: Tour) -> None:
    """Move files from the free instance to the paid one, as the page describes."""
    page = tour.page
    with page.expect_download() as download:
        tour.link("Download freepool-files.zip").click()
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
    tour.look_at_cloud(lab, "lab")
    with lab.expect_download() as moved:
        lab.get_by_role("link", name="hello.txt").click()
    assert Path(moved.value.path()).read_text() == HELLO
    lab.close()


def exceed_the_limit(tour: Tour, demo: Stack, cloud: Steer, account: str, order: str, since: int) -> None:
    """The spending limit is reached while the steward is suspended."""
    assert [call.action for call in cloud.calls(since=since, action="CreateIdleInstanceCuller")] == [], (
        "no idle timeout was chosen"
    )
    with held_steward(demo):
        cloud.advance(PAST_THE_CAP)
        assert cloud.instance(order_of(demo, order).name)["status"] == "Stopped"
        assert cloud.calls(since=since, action="StopInstance") == []
        assert order_of(demo, order).state is OrderState.ACTIVE, "the steward has not seen it"
        console = tour.page.context.new_page()
        console.goto(f"{cloud.endpoints.main}/console/{account}")
        tour.look_at_cloud(console, "console")
        console.close()
        tour.page.goto(f"{demo.url}/services/desk/paid/consents")
        tour.look("answers")


def clean_up(tour: Tour, demo: Stack, instance: str) -> None:
    """Read the consent, delete the instance, and unlink the account."""
    page = tour.page
    tour.link("Approved terms").click()
    tour.look("answer")
    page.goto(f"{instance}/delete")
    tour.look("delete")
    tour.button("Delete permanently").click()
    order = instance.rpartition("/")[2]
    eventually(lambda: order_of(demo, order).state is OrderState.GONE, seconds=60, what="the end of the order")
    page.goto(f"{demo.url}/services/desk/paid")
    tour.look("home-linked")
    page.locator("a[href$='/unlink']").first.click()
    tour.look("unlink")
    tour.button("Unlink").click()
    expect(heading(page)).to_have_text(tour.say("Account unlinked"))
    tour.look("unlinked")


def tour_as_administrator(tour: Tour, demo: Stack, cloud: Steer) -> None:
    """Turn new paid notebooks off and on again, beside a user's running one."""
    owner = Person(Platform(demo, cloud, demo.ledger), f"owner-{tour.language.lower()}")
    with ThreadPoolExecutor(1) as thread:  # this thread has Playwright's event loop
        consent = thread.submit(owner.agree, "paid-1").result()
    with owner.clicking(consent):
        owner.appears("paid-1")
        page = tour.page
        page.goto(f"{demo.url}/services/desk/admin/paid")
        expect(page.get_by_role("cell").get_by_text(owner.name)).to_be_visible()
        tour.look("admin")
        tour.button("Turn off new paid notebooks").click()
        expect(page.get_by_role("alert")).to_contain_text(
            tour.say(
                "Creating and starting is turned off for everyone. Running notebooks continue, and their owners "
                "can stop them."
            )
        )
        tour.look("admin-paused")
        tour.button("Turn on again").click()
        expect(tour.button("Turn off new paid notebooks")).to_be_visible()
    owner.wait_running("paid-1")
    owner.delete("paid-1")
    owner.wait_state("paid-1", OrderState.GONE)
    assert tour.violations == []


def put_file(stack: Stack, user: str) -> None:
    """Put a file into the free instance, once the proxy has its route: the desk shows the instance shortly before."""
    url, headers = f"{stack.url}/user/{user}/api/", {"Authorization": f"token {stack.user_token(user)}"}
    eventually(
        lambda: stack.http.get(url + "status", headers=headers, timeout=30).status_code == 200, what="the proxy's route"
    )
    body = {"type": "file", "format": "text", "content": HELLO}
    answer = stack.http.put(f"{url}contents/hello.txt", headers=headers, json=body, timeout=30)
    assert answer.status_code == 201, answer.text


def order_of(stack: Stack, order: str) -> Order:
    return stack.ledger.read(orders.get, order)


@contextmanager
def held_steward(stack: Stack) -> Iterator[None]:
    """Suspend the steward; a killed one would be replaced at once. It is not suspended while it writes to the ledger,
    because all other writers would wait for it."""
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
    """Whether a transaction holds the ledger's write lock."""
    with closing(sqlite3.connect(stack.state / "ledger.sqlite", timeout=0, isolation_level=None)) as ledger:
        try:
            ledger.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        ledger.execute("ROLLBACK")
        return False
