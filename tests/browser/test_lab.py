"""What JupyterLab says about the end of its notebook, in a real one: why, what is lost, and where to go on."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import update

from spawner.ledger import EndReason
from spawner.ledger.pool.tables import instances
from spawner.pool.build import utc_now
from tests.browser.visitor import IDLE, Visitor, heading
from tests.hub.later import watching
from tests.hub.test_maintenance_and_webhooks import command
from tests.hub.test_save import desk, write
from tests.stack import Stack

GONE = (
    r"console: (Failed to load resource|Access to fetch at|WebSocket connection|"
    r".*(NetworkError|Failed to fetch|50[234]|404|424))"
)
"""What Chromium and JupyterLab write to the console about a server that is gone."""


def open_lab(visitor: Visitor, path: str = "lab") -> Page:
    """Start the user's notebook and open it as they do, signed in on the desk."""
    visitor.expected.append(GONE)
    visitor.stack.add_user(visitor.user)
    visitor.stack.run(visitor.user)
    visitor.open_desk()
    page = visitor.context.new_page()
    page.goto(visitor.notebook_url + path)
    expect(status(page)).to_be_visible()
    return page


def status(page: Page) -> Locator:
    return page.locator("#freepool-status button")


def end_of(page: Page) -> Locator:
    """Our dialog."""
    return page.get_by_role("dialog").and_(page.locator("dialog.freepool-end"))


def type_into_new_file(page: Page, text: str) -> None:
    """A new text file with unsaved text."""
    page.locator(".jp-LauncherCard", has_text="Text File").click()
    editor = page.locator(".jp-FileEditor .cm-content")
    editor.click()
    page.keyboard.type(text)
    expect(page.locator(".jp-mod-dirty")).not_to_have_count(0)


def toast(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


def open_next(visitor: Visitor, page: Page) -> None:
    """Start another notebook, as on the home page, and open it from the end of the last one."""
    visitor.stack.run(visitor.user)
    expect(end_of(page)).to_contain_text("You have started another one since.")
    end_of(page).get_by_role("link", name="Open the new notebook").click()
    expect(status(page)).to_contain_text("min left")
    expect(end_of(page)).to_have_count(0)


def expect_no_other_dialog(page: Page) -> None:
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_the_time_left_and_all_files_are_in_jupyterlab(visitor: Visitor, picture: Callable[..., None]) -> None:
    page = open_lab(visitor)
    expect(status(page)).to_contain_text("h 59 min left")
    status(page).click()
    panel = page.locator("#freepool-panel")
    expect(panel).to_contain_text("all its files are deleted")
    type_into_new_file(page, "typed before")
    with page.expect_download() as download:
        panel.get_by_role("link", name="Download all files").click()
    files = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    assert any(name.startswith("examples/") for name in files.namelist()), files.namelist()
    assert files.read("untitled.txt") == b"typed before", "what was not saved yet is saved first"
    expect(panel.get_by_role("term").filter(has_text="Memory")).to_be_visible()
    expect(panel.get_by_text(re.compile(r"^[\d.]+ [GM]B of [\d.]+ GB$")).first).to_be_visible()
    save = panel.get_by_role("link", name="Save to Git or a bucket…")
    expect(save).to_have_attribute("href", re.compile("/freepool/save$"))
    expect(panel.get_by_role("link", name="Open the home page")).to_have_attribute(
        "href", f"{visitor.stack.url}/services/desk/"
    )
    picture(page, "panel")
    page.locator(".jp-FileEditor .cm-content").click()
    page.keyboard.press("ControlOrMeta+End")

    # The network is away, and back: nothing is lost, and nobody has to reload.
    page.keyboard.type(" and after")
    visitor.context.set_offline(True)
    expect(status(page)).to_contain_text("Not connected, trying again")
    lost = page.locator(".freepool-banner").get_by_text("Connection lost. Trying again")
    expect(lost).to_be_visible()
    visitor.context.set_offline(False)
    expect(status(page)).to_contain_text("min left")
    expect(lost).to_have_count(0)
    expect_no_other_dialog(page)
    assert visitor.instances()

    # A stop on the desk.
    visitor.stack.stop(visitor.user)
    end = end_of(page)
    expect(end).to_contain_text("This notebook has ended")
    expect(end).to_contain_text("Your notebook was stopped. Its files were deleted.")
    picture(page, "stopped")
    with page.expect_download() as kept:
        end.get_by_role("button", name="untitled.txt").click()
    assert kept.value.path().read_text() == "typed before and after"
    end.get_by_role("button", name="Stay on this page").click()
    expect(end).to_be_hidden()
    expect(page.locator(".jp-FileEditor .cm-content")).to_contain_text("typed before")
    expect_no_other_dialog(page)
    status(page).click()
    end.get_by_role("link", name="Start the same again…").click()
    expect(heading(page)).to_have_text(IDLE["en"])
    assert not visitor.instances(), "a link starts nothing"


def test_a_restart_on_the_desk_leads_to_the_new_notebook_and_a_deadline_is_named(
    enter: Callable[..., Visitor], picture: Callable[..., None]
) -> None:
    visitor = enter(locale="zh-CN")
    page = open_lab(visitor)
    (before,) = visitor.instances()
    token = visitor.stack.user_token(visitor.user)
    answer = visitor.stack.desk("POST", "api/instance/restart", token=token, json={})
    assert answer.status_code in (201, 202), answer.text
    end = end_of(page)
    expect(end).to_contain_text("此 Notebook 已被新的 Notebook 取代")
    expect(end).to_contain_text("它的文件已删除")
    instance = visitor.next_instance(before)
    expect_no_other_dialog(page)
    picture(page, "restarted")
    end.get_by_role("link", name="打开新的 Notebook").click()
    expect(status(page)).to_contain_text("剩余")
    expect(end).to_have_count(0)

    change = update(instances).where(instances.c.id == instance.id).values(ends_at=utc_now())
    visitor.stack.ledger.write(lambda connection: connection.execute(change))
    expect(end).to_contain_text("此 Notebook 已结束", timeout=60_000)
    expect(end).to_contain_text("你的 Notebook 已达到时长上限。其中的文件已被删除。")
    picture(page, "deadline")


def test_idleness_maintenance_a_lost_machine_and_full_memory_are_named_and_what_is_kept(
    visitor: Visitor, picture: Callable[..., None]
) -> None:
    stack, user = visitor.stack, visitor.user
    stack.add_user(user)
    desk(stack, user, "POST", "api/keep", json={"wanted": True})
    page = open_lab(visitor)
    write(stack, user, "work.txt", "a result")
    expect(status(page)).to_contain_text("min left")
    end = end_of(page)

    def see_notice() -> None:
        still_here = toast(page, "Are you still there? Your notebook is not").get_by_role(
            "button", name="I'm still here"
        )
        expect(still_here).to_be_visible()
        expect(toast(page, "Then its changed files are kept, up to 1 MB")).to_be_visible()
        picture(page, "idle-notice")

    nobody_is_there(stack, see_notice)
    expect(end).to_contain_text("This notebook has ended")
    expect(end).to_contain_text("Nobody used your notebook for a while, so it was stopped.")
    expect(end).to_contain_text("Its changed files are kept for another 3 days, under Kept files.")
    expect(toast(page, "Are you still there?")).to_have_count(0)
    expect_no_other_dialog(page)
    picture(page, "idle")
    open_next(visitor, page)

    type_into_new_file(page, "typed just now")
    try:
        command(stack, "drain", at=(utc_now() + timedelta(minutes=30)).isoformat(), reason="New disks.")
        notice = toast(page, "Maintenance in 30 minutes: Your notebook will be stopped for maintenance.")
        expect(notice.get_by_role("button", name="Download")).to_be_visible()
        expect(status(page)).to_contain_text("29 min left")
        picture(page, "maintenance-notice")
        command(stack, "drain", at=(utc_now() + timedelta(seconds=1)).isoformat(), reason="New disks.")
        expect(end).to_contain_text("Your notebook was stopped for maintenance. Its changed files are kept for")
        expect(end.get_by_role("button", name="untitled.txt")).to_be_visible()
        expect_no_other_dialog(page)
        picture(page, "maintenance")
    finally:
        command(stack, "drain/end")
    open_next(visitor, page)

    os.kill(visitor.keeper(), signal.SIGKILL)
    expect(end).to_contain_text("Your notebook was lost because of a problem on our side. We are sorry.")
    expect(end).to_contain_text("Its files could not be saved.")
    expect_no_other_dialog(page)
    picture(page, "lost")
    # A cluster may tell the cause later: what is shown is corrected.
    cause = update(instances).where(instances.c.user_name == user, instances.c.reason == EndReason.LOST)
    stack.ledger.write(lambda connection: connection.execute(cause.values(reason=EndReason.OUT_OF_MEMORY)))
    expect(end).to_contain_text("Your notebook ran out of memory and was stopped. Its memory limit was 2 GB.")
    expect(end).to_contain_text("Its files were deleted.")
    picture(page, "out-of-memory")


def nobody_is_there(stack: Stack, see_notice: Callable[[], None]) -> None:
    """The steward looks as if an hour had passed; once the notice was seen, it ends the notebook."""
    is_seen = threading.Event()

    async def watch() -> None:
        async with watching(stack) as later:
            await later.until_notice()
            await asyncio.to_thread(is_seen.wait)
            await later.look(seconds=1)

    with ThreadPoolExecutor(1) as thread:  # Playwright's own event loop runs in this one
        watched = thread.submit(asyncio.run, watch())
        try:
            see_notice()
        finally:
            is_seen.set()
        watched.result()
