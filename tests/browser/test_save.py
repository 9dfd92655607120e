"""Before files are deleted, the dialog says which; the page of kept files; the save page of a notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from spawner.desk.user.strings import USER_STRINGS
from spawner.instance.save.paths import SAVE
from spawner.ledger.bundles import bundles
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.pool.build import new_id, utc_now
from tests.browser.axe import findings
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import READY, Visitor, ask, button, heading

Enter = Callable[..., Visitor]
Picture = Callable[..., None]


def write_file(visitor: Visitor, name: str, size: int) -> None:
    """As JupyterLab does."""
    token = visitor.stack.user_token(visitor.user)
    answer = visitor.stack.http.put(
        f"{visitor.stack.url}/user/{visitor.user}/api/contents/{name}",
        headers={"Authorization": f"token {token}"},
        json={"type": "file", "format": "text", "content": "x" * size},
    )
    assert answer.status_code == 201, answer.text


def write_bundles(visitor: Visitor) -> None:
    """Rows of kept files: of one notebook they are there, of another they could not be kept."""
    person, now = visitor.stack.person_of(visitor.user), utc_now()
    left_out = '{"code": "left_out", "count": 1, "names": ["model.bin"]}'
    for state, detail in ((BundleState.KEPT, left_out), (BundleState.FAILED, '{"code": "gone"}')):
        bundle = Bundle(
            id=new_id(),
            person_id=person,
            instance_id=new_id(),
            state=state,
            key="00" * 32,
            store="folder",
            bytes=123456,
            files=7,
            made_at=now,
            expires_at=now + timedelta(days=3),
            detail=detail,
        )
        visitor.stack.ledger.write(bundles.intend, bundle)


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "dark")])
def test_the_dialog_says_what_would_be_lost(enter: Enter, picture: Picture, language: str, scheme: str) -> None:
    visitor = enter(locale=language, color_scheme=scheme)
    say = load_translations()[language].say
    desk = visitor.open_desk()
    button(desk, say("Start")).click()
    expect(heading(desk)).to_have_text(READY[language])
    expect(desk.locator("section.keep .hint")).to_have_text(say(USER_STRINGS["keep_off"]))
    write_file(visitor, "results.csv", 2048)
    write_file(visitor, "notes.txt", 10)
    dialog = ask(desk, say("Stop"))
    told = say("{count} files have changed since your notebook started ({size}).", count=2, size="SIZE")
    expect(dialog).to_contain_text(told.split("SIZE")[0])
    dialog.locator("summary").click()
    expect(dialog.get_by_role("listitem").first).to_contain_text("results.csv")
    with desk.expect_download() as download:
        dialog.get_by_role("link", name=say("Download all files")).click()
    assert download.value.suggested_filename == "freepool-files.zip"
    expect(dialog).to_be_visible()
    picture(desk, "dialog")
    assert findings(desk, "dialog") == []
    desk.set_viewport_size(PHONE)
    picture(desk, "dialog-phone")
    dialog.get_by_role("button", name=say("Cancel")).click()

    write_bundles(visitor)
    keep, _ = visitor.visit("/services/desk/keep")
    expect(heading(keep)).to_have_text(say("Kept files"))
    button(keep, say("Keep my files")).click()
    expect(button(keep, say("Do not keep my files"))).to_be_visible()
    check(keep, picture, "keep")
    save, _ = visitor.visit(f"/user/{visitor.user}/{SAVE}?language={language}")
    expect(save.get_by_role("heading", level=1)).to_have_text({"en": "Save files", "zh-CN": "保存文件"}[language])
    check(save, picture, "save")


def check(page: Page, picture: Picture, name: str) -> None:
    """It passes axe, and fits a phone and a screen."""
    assert findings(page, name) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    picture(page, name, full_page=True)
    page.set_viewport_size(PHONE)
    assert_fits(page)
    picture(page, f"{name}-phone", full_page=True)
