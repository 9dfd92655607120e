"""The administrator's pages of users: found, banned, read by the banned user, lifted, exported, forgotten.

Everything is done by keyboard in both languages, and axe looks at every page.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from spawner.ledger.people import bans, people
from spawner.pool.build import utc_now
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_keyboard import tab_to
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, heading
from tests.stack import Stack, eventually

Picture = Callable[..., None]


def press(page: Page, role: str, name: str) -> None:
    """Go to a link or button by Tab, and press Enter."""
    target = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    tab_to(page, target)
    page.keyboard.press("Enter")


@told_in("en")
def test_a_user_is_found_banned_unbanned_exported_and_forgotten_by_keyboard(  # noqa: PLR0915  (one story)
    enter: Callable[..., Visitor], shared_stack: Stack, picture: Picture, language: str, tmp_path: Path
) -> None:
    say = load_translations()[language].say
    mark = secrets.token_hex(3)
    admin_name, name = f"admin-{mark}", f"user-{mark}"
    assert shared_stack.api("POST", f"/users/{admin_name}", json={"admin": True}).status_code == 201
    banned, admin = enter(name, locale=language), enter(admin_name, locale=language)
    banned.expected.append("status of 403")
    admin.expected.append("status of 403")
    their_desk, desk = banned.open_desk(), admin.open_desk()
    person_id = shared_stack.person_of(name)

    desk.goto(f"{shared_stack.url}/services/desk/admin")
    press(desk, "link", say("Users"))
    expect(heading(desk)).to_have_text(say("Users"))
    violations = findings(desk, "search")
    tab_to(desk, desk.get_by_role("searchbox"))
    desk.keyboard.type(name[-6:])
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("heading", level=2)).to_have_text(say("Found"))
    violations += findings(desk, "found")
    picture(desk, "found")
    press(desk, "link", name)
    expect(heading(desk)).to_have_text(name)
    violations += findings(desk, "user")

    press(desk, "link", say("Ban…"))
    expect(heading(desk)).to_have_text(say("Ban {name}?", name=name))
    expect(desk.get_by_role("main")).to_contain_text(
        say("Tokens and sessions are refused until the ban ends or you lift it.")
    )
    violations += findings(desk, "ban")
    picture(desk, "ban", full_page=True)
    tab_to(desk, desk.get_by_label(say("Reason, shown to the user")))
    desk.keyboard.press("Home")
    tab_to(desk, desk.get_by_label(say("How to appeal, shown to the user")))
    desk.keyboard.type("mail appeals@example.org")
    tab_to(desk, desk.get_by_label(say("Evidence, for administrators")))
    desk.keyboard.type("<b>xmrig</b>")
    press(desk, "button", say("Ban"))
    expect(heading(desk)).to_have_text(name)
    section = desk.get_by_role("region", name=say("Bans"))
    expect(section).to_contain_text(say("Mining"))
    expect(section).to_contain_text("<b>xmrig</b>")
    violations += findings(desk, "banned user")
    picture(desk, "user", full_page=True)

    expect(heading(their_desk)).to_have_text(say("Account banned"))  # the open page asks by itself
    why = their_desk.get_by_role("main")
    expect(why).to_contain_text(say("Your account is banned: it was used for cryptocurrency mining."))
    expect(why).to_contain_text("mail appeals@example.org")
    expect(why).not_to_contain_text("xmrig")
    violations += findings(their_desk, "the banned user's page")
    picture(their_desk, "banned")
    other = {"en": "zh-CN", "zh-CN": "en"}[language]
    their_desk.get_by_role("button", name={"en": "English", "zh-CN": "简体中文"}[other]).click()
    expect(heading(their_desk)).to_have_text(load_translations()[other].say("Account banned"))
    hub_page, answer = banned.visit("/hub/home")
    assert answer.status == 403
    expect(hub_page.locator(".said:visible").filter(has_text="mail appeals@example.org")).to_have_count(1)

    press(desk, "link", say("Lift the bans…"))
    violations += findings(desk, "unban")
    press(desk, "button", say("Lift the bans"))
    expect(section).to_contain_text(say("lifted by {name}", name=admin_name))
    assert shared_stack.ledger.read(bans.of_person, person_id, now=utc_now()) is None

    with desk.expect_download() as download:
        press(desk, "link", say("Download all data"))
    file = tmp_path / "user.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["tables"]["bans"][0]["evidence"] == "<b>xmrig</b>"

    press(desk, "link", say("Erase data…"))
    expect(desk.get_by_role("main")).to_contain_text(say("JupyterHub still has the user {name}.", name=name))
    expect(desk.get_by_role("button", name=say("Erase"), exact=True)).to_have_count(0)
    violations += findings(desk, "forget, refused")
    banned.context.pages[0].goto("about:blank")
    assert shared_stack.api("DELETE", f"/users/{name}").status_code == 204
    eventually(lambda: shared_stack.ledger.read(people.get, person_id).hub_id is None, what="the deletion")
    desk.reload()
    expect(desk.get_by_role("main")).to_contain_text(say("Anyone who signs in with this account later is a new user."))
    desk.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert_fits(desk)
    violations += findings(desk, "forget")
    picture(desk, "forget", full_page=True)
    press(desk, "button", say("Erase"))
    expect(heading(desk)).to_have_text(say("Users"))
    assert shared_stack.ledger.read(people.find, person_id) is None
    assert_fits(desk)

    own = shared_stack.person_of(admin_name)
    page, _ = admin.visit(f"/services/desk/admin/people/{own}")
    expect(page.get_by_text(say("This is you."))).to_be_visible()
    _, refused = admin.visit(f"/services/desk/admin/people/{own}/ban")
    assert refused.status == 403
    assert violations == []


def test_pages_of_administrators_have_the_readers_time_and_words_and_lead_home(
    enter: Callable[..., Visitor], shared_stack: Stack
) -> None:
    admin_name = f"admin-{secrets.token_hex(3)}"
    assert shared_stack.api("POST", f"/users/{admin_name}", json={"admin": True}).status_code == 201
    shared_stack.run(admin_name, flavor="cpu-basic", image="light")
    admin = enter(admin_name, timezone_id="Asia/Shanghai", locale="zh-CN")
    page = admin.open_desk()
    page.goto(f"{shared_stack.url}/services/desk/admin/people/{shared_stack.person_of(admin_name)}")
    main = page.get_by_role("main")
    expect(main.get_by_role("link", name="首页")).to_be_visible()
    now = utc_now().astimezone(ZoneInfo("Asia/Shanghai"))
    expect(main).to_contain_text(f"{now.year}年{now.month}月{now.day}日")
    expect(main).not_to_contain_text("UTC")
    expect(page.locator("section", has=page.locator("#now")).get_by_role("cell").last).to_have_text("运行中")
    shared_stack.stop(admin_name)
    page.reload()
    expect(page.locator("section", has=page.locator("#lately")).get_by_role("cell").last).to_have_text("由用户停止")
    page.goto(f"{shared_stack.url}/services/desk/admin/guard")
    expect(page.get_by_role("main")).not_to_contain_text("UTC")
