"""The page of messages: an address is entered, confirmed by mail, tried out and removed; a stranger's is blocked."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, button, heading
from tests.channels.servers import MailBox, link_in
from tests.stack import Stack

Picture = Callable[..., None]


def enter_address(page: Page, address: str, save: str) -> None:
    form = page.locator("form", has=page.locator("input[type=email]"))
    form.locator("input[type=email]").fill(address)
    form.get_by_role("button", name=save, exact=True).click()


@told_in("zh-CN")
def test_an_address_is_entered_confirmed_tried_and_removed(
    enter: Callable[..., Visitor], mail_box: MailBox, picture: Picture, language: str
) -> None:
    say = load_translations()[language].say
    address = f"ann-{secrets.token_hex(4)}@example.org"
    visitor = enter(locale=language)
    page = visitor.open_desk()
    page.locator(".account summary").click()
    page.get_by_role("link", name=say("Messages"), exact=True).click()
    expect(heading(page)).to_have_text(say("Messages"))
    violations = findings(page, "empty")
    picture(page, "empty", full_page=True)

    enter_address(page, address, say("Save"))
    expect(page.get_by_role("status").first).to_contain_text(
        say("A message is on its way to this address. Open the link in it to confirm.")
    )
    violations += findings(page, "asked")
    picture(page, "asked", full_page=True)

    mail = mail_box.wait_for(address)
    link = link_in(mail, "channel/confirm")
    page.goto(link)
    expect(heading(page)).to_have_text(say("Confirm this address?"))
    expect(page.get_by_role("main")).to_contain_text(visitor.user)
    violations += findings(page, "confirm")
    picture(page, "confirm")
    button(page, say("Yes, confirm")).click()
    expect(heading(page)).to_have_text(say("The address is confirmed."))
    page.get_by_role("link", name=say("Messages"), exact=True).click()
    expect(page.get_by_role("main")).to_contain_text(say("Messages are sent to {address}.", address=address))

    button(page, say("Send a test")).click()
    expect(page.get_by_role("status").first).to_contain_text(say("A test message is on its way."))
    told = mail_box.wait_for(address, 2)
    assert (say("Messages") == "Messages") == (told["Subject"] == "Test message from Freepool")
    page.set_viewport_size(PHONE)
    assert_fits(page)
    violations += findings(page, "confirmed")
    picture(page, "confirmed", full_page=True)

    page.goto(link_in(told, "channel/unsubscribe"))
    expect(heading(page)).to_have_text(say("Stop all messages?"))
    violations += findings(page, "unsubscribe")
    button(page, say("Remove this address")).click()
    expect(heading(page)).to_have_text(say("This address gets no messages."))
    assert violations == []


def test_who_did_not_ask_says_so_and_the_address_is_blocked(
    enter: Callable[..., Visitor], mail_box: MailBox, shared_stack: Stack
) -> None:
    address = f"victim-{secrets.token_hex(4)}@example.org"
    visitor = enter()
    page = visitor.open_desk()
    page.goto(f"{shared_stack.url}/services/desk/channel")
    enter_address(page, address, "Save")
    link = link_in(mail_box.wait_for(address), "channel/confirm")
    page.goto(link)
    button(page, "That was not me").click()
    expect(heading(page)).to_have_text("Nothing more is sent to this address.")

    visitor.expected += ["status of 400", "status of 404"]
    page.goto(link)
    expect(heading(page)).to_have_text("This link is no longer valid.")
    page.goto(f"{shared_stack.url}/services/desk/channel")
    enter_address(page, address, "Save")
    expect(page.get_by_role("alert")).to_contain_text("The owner of this address does not want messages from here.")
    assert page.locator("input[type=email]").input_value() == address


def test_a_page_of_another_origin_changes_no_address(enter: Callable[..., Visitor], shared_stack: Stack) -> None:
    visitor = enter()
    visitor.expected.append("status of 403")
    page = visitor.open_desk()
    for path in ("enter", "again", "test", "remove"):
        answer = page.request.post(
            f"{shared_stack.url}/services/desk/channel/{path}", form={"kind": "email", "address": "x@example.org"}
        )
        assert answer.status == 403, path


def test_administrators_see_whether_messages_arrive(
    enter: Callable[..., Visitor], shared_stack: Stack, picture: Picture
) -> None:
    name = f"admin-{secrets.token_hex(3)}"
    assert shared_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
    page = enter(name).open_desk()
    page.locator(".account summary").click()
    page.get_by_role("link", name="Messages to users", exact=True).click()
    expect(heading(page)).to_have_text("Messages to users")
    expect(page.get_by_role("main")).to_contain_text(f"127.0.0.1:{shared_stack.settings.channels.mail.actual_port}")  # type: ignore[union-attr]
    assert findings(page, "admin") == []
    picture(page, "admin", full_page=True)
    metrics = page.request.get(f"{shared_stack.url}/services/desk/metrics").text()
    assert 'freepool_channel_messages{kind="email",state="late"} 0.0' in metrics
