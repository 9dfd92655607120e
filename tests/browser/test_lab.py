"""What JupyterLab says about the end of its notebook, in a real one: why, what is lost, and where to go on."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import update

from spawner.ledger.pool.tables import instances
from spawner.pool.build import utc_now
from tests.browser.visitor import IDLE, Visitor, heading

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
    expect(end).to_contain_text("原来的内容已清空")
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
