"""Weekly hours before, during and after a run, without hours, in the history, and on the administrators' pages."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from sqlalchemy import update

from spawner.desk.i18n import load_translations
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.ledger.time.tables import allowance_charges
from spawner.ledger.transitions import touch
from spawner.pool.build import new_id, utc_now
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import READY, Visitor, ask, button, choose_large, heading
from tests.stack import Stack, eventually

Picture = Callable[..., None]
LARGE = {"en": "CPU large", "zh-CN": "CPU 大内存型"}
LEFT = {
    "full": {"en": "100\u00a0hr of 100\u00a0hr left this week", "zh-CN": "本周剩余 100\u00a0小时（共 100\u00a0小时）"},
    "ten": {"en": "10\u00a0hr of 10\u00a0hr left this week", "zh-CN": "本周剩余 10\u00a0小时（共 10\u00a0小时）"},
    "during": {"en": "8\u00a0hr of 10\u00a0hr", "zh-CN": "8\u00a0小时（共 10\u00a0小时）"},
    "after": {
        "en": "6\u00a0hr 24\u00a0min of 10\u00a0hr left this week",
        "zh-CN": "本周剩余 6\u00a0小时 24\u00a0分钟（共 10\u00a0小时）",
    },
    "none": {"en": "0\u00a0min of 3\u00a0hr", "zh-CN": "本周剩余 0\u00a0分钟（共 3\u00a0小时"},
}


def give(page: Page, say: Callable[..., str], hours: str, reason: str, *, to: str = "") -> None:
    """Fill in the form, and send it."""
    if to:
        page.get_by_label(say("Name or ID of the user")).fill(to)
    page.get_by_label(say("Class of hours")).select_option("cpu")
    page.get_by_label(say("Hours"), exact=True).fill(hours)
    page.get_by_label(say("Reason, shown to the user")).first.fill(reason)
    button(page, say("Give hours")).click()


@told_in("zh-CN")
def test_hours_are_seen_used_given_back_and_used_up(  # noqa: PLR0915  (one story)
    enter: Callable[..., Visitor], shared_stack: Stack, picture: Picture, language: str, tmp_path: Path
) -> None:
    say = load_translations()[language].say
    mark = secrets.token_hex(3)
    admin_name, name = f"admin-{mark}", f"hours-{mark}"
    assert shared_stack.api("POST", f"/users/{admin_name}", json={"admin": True}).status_code == 201
    scheme = {"en": "light", "zh-CN": "dark"}[language]
    options = {"locale": language, "color_scheme": scheme, "timezone_id": "Asia/Shanghai"}
    visitor, admin = enter(name, **options), enter(admin_name, **options)
    desk, board = visitor.open_desk(), admin.open_desk()
    card = desk.locator("label.flavor", has_text=LARGE[language])
    violations: list[str] = []

    def look(page: Page, state: str) -> None:
        violations.extend(findings(page, state))
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]

    # Before
    expect(card).to_contain_text(LEFT["full"][language])
    expect(card.locator(".flavor-hours time")).to_contain_text("00:00")  # in the reader's zone, as the platform's
    look(desk, "before")

    # An administrator leaves ten hours, and the open page shows it
    board.goto(f"{shared_stack.url}/services/desk/admin/allowances")
    expect(heading(board)).to_have_text(say("Allowances"))
    look(board, "allowances")
    give(board, say, "x", "a typing mistake", to=name)
    expect(board.get_by_role("alert")).to_contain_text(say("{value} is not a valid number of hours.", value="'x'"))
    admin.expected.append("status of 400")
    give(board, say, "-90", "<b>test</b>", to=name)
    section = board.get_by_role("region", name=say("Given by administrators"))
    expect(section.get_by_role("heading")).to_be_in_viewport()
    expect(section).to_contain_text("<b>test</b>")
    expect(section).to_contain_text(name)
    expect(card).to_contain_text(LEFT["ten"][language])
    picture(desk, "before")

    # During
    choose_large(desk, LARGE[language])
    button(desk, say("Start")).click()
    expect(heading(desk)).to_have_text(READY[language])
    facts = desk.get_by_role("main")
    expect(facts).to_contain_text(say("{title} hours", title="CPU"))
    expect(facts).to_contain_text(
        {"en": "8\u00a0hr of 10\u00a0hr", "zh-CN": "8\u00a0小时（共 10\u00a0小时）"}[language]
    )
    look(desk, "during")
    picture(desk, "during", full_page=True)
    (instance,) = visitor.instances()
    ask(desk, say("Stop")).get_by_role("button", name=say("Delete and stop")).click()
    eventually(lambda: not visitor.instances(), what="the end")
    is_this = allowance_charges.c.instance_id == instance.id
    longer = update(allowance_charges).where(is_this).values(seconds=12_960)
    shared_stack.ledger.write(lambda connection: [connection.execute(longer), touch(connection)])

    # After, and with nothing left
    expect(card).to_contain_text(LEFT["after"][language])
    picture(desk, "after")
    board.goto(f"{shared_stack.url}/services/desk/admin/people/{shared_stack.person_of(name)}")
    board.locator("details.more > summary").click()
    look(board, "user")
    give(board, say, "-6.39", "test over")
    expect(board.get_by_role("region", name=say("Allowances"))).to_contain_text("test over")
    picture(board, "user", full_page=True)
    expect(card).to_contain_text(LEFT["none"][language])
    expect(card).to_contain_text(say("Less than 5 minutes of your hours are left this week"))
    cpu = {"en": "CPU", "zh-CN": "CPU 基础型"}[language]
    instead = say("No weekly limit: {titles}.", titles=cpu)
    expect(desk.get_by_role("main")).to_contain_text(instead)
    expect(button(desk, say("Start"))).to_have_attribute("aria-disabled", "true")  # the choice stays
    look(desk, "used up")
    picture(desk, "used-up")
    desk.get_by_role("radio", name=cpu, exact=True).check()
    desk.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert_fits(desk)
    picture(desk, "used-up-phone", full_page=True)

    # A refund by its run's id; the second one is refused
    for problem in ("", say("There is nothing left to give back for this run.")):
        board.goto(f"{shared_stack.url}/services/desk/admin/allowances")
        near = board.get_by_role("region", name=say("Near the limit"))
        expect(near.get_by_text(name)).to_have_count(0 if problem else 1)
        board.get_by_label(say("ID of the run")).fill(instance.id)
        board.get_by_label(say("Reason, shown to the user")).last.fill("slow disk")
        button(board, say("Give back")).click()
        if problem:
            admin.expected.append("status of 409")
            expect(board.get_by_role("alert")).to_contain_text(problem)
    look(board, "refused")
    picture(board, "allowances", full_page=True)
    board.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert_fits(board)
    picture(board, "allowances-phone", full_page=True)

    # The history, also of a banned person
    desk.locator(".account summary").click()
    desk.get_by_role("link", name=say("History")).click()
    expect(heading(desk)).to_have_text(say("History"))
    runs = desk.get_by_role("region", name=say("Runs"))
    expect(runs).to_contain_text(say("Stopped by you"))
    expect(runs).to_contain_text("slow disk")
    assert_fits(desk)
    look(desk, "history")
    picture(desk, "history-phone", full_page=True)
    desk.set_viewport_size({"width": 1280, "height": 800})
    picture(desk, "history", full_page=True)
    with desk.expect_download() as download:
        desk.get_by_role("link", name=say("Download all runs (CSV)")).click()
    download.value.save_as(tmp_path / "runs.csv")
    text = (tmp_path / "runs.csv").read_text(encoding="utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["id"], row["charged_seconds"], row["refunded_seconds"]) == (instance.id, "12960", "12960")
    assert row["refund_reasons"] == "slow disk"
    assert row["requested_at"].endswith("+08:00")
    ban = Ban(
        id=new_id(), person_id=shared_stack.person_of(name), code=BanCode.OTHER, evidence="", note="", appeal="",
        banned_by="test", banned_at=utc_now(), until=None,
    )  # fmt: skip
    shared_stack.ledger.write(bans.put, ban)
    desk.reload()
    expect(heading(desk)).to_have_text(say("History"))
    expect(desk.get_by_role("region", name=say("Runs"))).to_contain_text("slow disk")
    assert violations == []
