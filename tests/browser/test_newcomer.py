"""A new user's first session: from the link to the result of an example, and to an empty pool again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import lab
from tests.browser.test_looks import PHONE
from tests.browser.visitor import IDLE, READY, STARTING, Visitor, button, card, heading
from tests.stack import PROJECT, Stack, eventually, local_settings, running_stack

Picture = Callable[[Page, str], None]


def test_a_new_user_runs_an_example_restarts_and_stops(enter: Callable[..., Visitor], picture: Picture) -> None:
    visitor = enter(records_requests=True)
    desk = visitor.open_desk()
    assert desk.url == f"{visitor.stack.url}/services/desk/", "the URL must not contain the token"
    picture(desk, "desk")
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    expect(desk.get_by_role("link", name="Open JupyterLab")).to_be_focused()
    picture(desk, "running")

    with visitor.context.expect_page() as opened:
        desk.get_by_role("link", name="Open JupyterLab").click()
    workspace = opened.value
    expect(workspace.locator("#jp-main-dock-panel")).to_be_visible()
    assert workspace.url.startswith(f"{visitor.notebook_url}lab")
    workspace.close()

    card(desk, "Which language is this?").get_by_role("link", name="Open").click()
    desk.wait_for_url("**/lab/tree/examples/language/language.ipynb")
    expect(lab.run_all(desk).get_by_role("row", name="Vietnamese")).to_contain_text("vi")
    picture(desk, "example")

    note = {"type": "file", "format": "text", "content": "remember me"}
    assert lab.contents(desk, "PUT", "note.txt", note)[0] == 201
    status, found = lab.contents(desk, "GET", "note.txt")
    assert (status, found["content"]) == (200, "remember me")

    desk.goto(f"{visitor.stack.url}/services/desk/")
    before = visitor.instances()[0]
    button(desk, "Restart (deletes all files)").click()
    dialog = desk.get_by_role("dialog", name="Restart and delete all files?")
    expect(dialog).to_contain_text("All files in this notebook will be deleted")
    picture(desk, "restart")
    dialog.get_by_role("button", name="Delete and restart").click()
    expect(dialog).to_be_hidden()
    after = visitor.next_instance(before)
    expect(heading(desk)).to_have_text(READY["en"])
    assert (after.flavor, after.image) == (before.flavor, before.image)
    assert after.slot_id != before.slot_id, "a restart never reuses the slot"

    desk.goto(f"{visitor.stack.url}/user/{visitor.user}/lab")
    expect(desk.locator("#jp-main-dock-panel")).to_be_visible()
    status, workspace_now = lab.contents(desk, "GET", "")
    assert (status, [entry["name"] for entry in workspace_now["content"]]) == (200, ["examples"])

    desk.goto(f"{visitor.stack.url}/services/desk/")
    button(desk, "Stop").click()
    desk.get_by_role("dialog").get_by_role("button", name="Delete and stop").click()
    expect(heading(desk)).to_have_text(IDLE["en"])
    expect(button(desk, "Start")).to_be_enabled()
    assert visitor.instances() == []


def test_open_starts_an_instance_and_opens_the_notebook_in_the_same_tab(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    card(desk, "Is someone speaking?").get_by_role("button", name="Open").click()
    desk.wait_for_url(f"**/user/{visitor.user}/lab/tree/examples/voice-activity/voice-activity.ipynb")
    tab = desk.get_by_role("tab", name="voice-activity.ipynb")
    expect(tab).to_be_visible()
    assert len(visitor.context.pages) == 1
    lab.wait_for_kernel(desk)
    expect(desk.locator(".jp-mod-dirty")).to_have_count(0)
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    eventually(lambda: lab.get(desk, "kernels") == [], what="the end of the kernel of a closed notebook")
    changes = visitor.stack.desk("GET", "api/instance/changes", token=visitor.stack.user_token(visitor.user)).json()
    assert changes["files"] == [], "an example that was only opened counts as changed"
    assert [instance.example for instance in visitor.instances()] == ["voice-activity"]
    # Going back to the desk does not open the notebook again.
    desk.goto(f"{visitor.stack.url}/services/desk/")
    expect(heading(desk)).to_have_text(READY["en"])


def test_the_language_chosen_on_the_desk_is_jupyterlabs_and_a_phone_shows_the_notebook(
    enter: Callable[..., Visitor], picture: Picture
) -> None:
    visitor = enter(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    desk = visitor.open_desk()
    button(desk, "简体中文").click()
    expect(heading(desk)).to_have_text(IDLE["zh-CN"])
    card(desk, "这是哪种语言？").get_by_role("button", name="打开").click()
    desk.wait_for_url("**/lab/tree/examples/language/language.zh.ipynb")
    expect(desk.locator(".jp-NotebookPanel").get_by_role("heading", name="这是哪种语言？")).to_be_visible()
    expect(desk.get_by_role("menuitem", name="文件")).to_be_visible()
    lab.wait_for_kernel(desk)
    assert desk.evaluate("document.documentElement.lang") == "zh-CN"
    assert desk.locator("body").get_attribute("data-jp-theme-light") == "false"
    expect(desk.locator("#filebrowser")).to_be_hidden()
    picture(desk, "phone")


def test_open_during_a_start_opens_the_notebook_once_the_instance_runs(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    desk.get_by_role("radio", name="CPU large").check()
    button(desk, "Start").click()
    with visitor.held_start():
        expect(heading(desk)).to_have_text(STARTING["en"])
        card(desk, "Which language is this?").get_by_role("button", name="Open").click()
        expect(card(desk, "Which language is this?")).to_contain_text("Opens when ready")
        expect(
            desk.get_by_text("“Which language is this?” opens automatically when your notebook is ready.")
        ).to_be_visible()
    desk.wait_for_url("**/lab/tree/examples/language/language.ipynb")


UPDATE_OPENED = """async () => {
  const { h, patch } = await import("/services/desk/static/shared/dom.js");
  const line = (text) => [h("details", { key: "line" }, h("summary", {}, text))];
  const page = document.createElement("div");
  patch(page, line("before"));
  page.firstChild.open = true;
  patch(page, line("after"));
  return page.firstChild.open && page.textContent === "after";
}"""


def test_what_this_server_cannot_give_is_one_line_that_says_how_to_get_it(
    chromium: Browser, tmp_path: Path, picture: Picture
) -> None:
    with light_image_only(tmp_path) as stack:
        visitor = Visitor.enter(chromium, stack, "newcomer")
        desk = visitor.open_desk()
        line = desk.get_by_text("Not on this server: GPU 24 GB · PyTorch", exact=True)
        expect(line).to_be_visible()
        expect(desk.get_by_role("radio")).to_have_count(2)
        expect(desk.get_by_text("This server has no GPU.")).to_be_hidden()
        for title in ("Search by meaning", "Train your first model"):
            expect(card(desk, title)).to_have_count(0)
        line.click()
        expect(desk.get_by_text("This server has no GPU. GPUs are available where Freepool")).to_be_visible()
        expect(desk.get_by_text("make run HEAVY=1")).to_be_visible()
        expect(desk.get_by_text("Examples: Search by meaning · Train your first model")).to_be_visible()
        picture(desk, "missing")
        assert desk.evaluate(UPDATE_OPENED), "an update of the page closes what the user has opened"
        refused = stack.start("newcomer", image="torch")
        assert refused.status_code == 503
        assert "not installed" in refused.json()["message"]
        visitor.context.close()
        assert visitor.unexpected == []


def test_an_example_whose_image_is_installed_can_be_opened(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    if not (visitor.stack.settings.images / "torch" / ".ready").exists():
        pytest.skip("the torch image is not installed")
    for title in ("Search by meaning", "Train your first model"):
        expect(card(desk, title).get_by_role("button", name="Open")).to_be_visible()


@contextmanager
def light_image_only(folder: Path) -> Iterator[Stack]:
    """A Freepool that has only the default image."""
    (folder / "images").mkdir()
    (folder / "images" / "light").symlink_to(PROJECT / ".images" / "light")
    settings = local_settings(folder / "local.yaml", images=str(folder / "images"))
    state = Path(tempfile.mkdtemp(prefix="freepool-"))  # a short path, for sockets
    try:
        with running_stack(state, settings=settings) as stack:
            yield stack
    finally:
        shutil.rmtree(state, ignore_errors=True)
