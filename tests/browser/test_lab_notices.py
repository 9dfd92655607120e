"""The extension in a real JupyterLab, and what it does with what a desk says: notices, extensions, ends, silence."""

from __future__ import annotations

import functools
import operator
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import APIResponse, Browser, Locator, Page, Route, expect

from tests.apps.run import APP
from tests.browser.lab_desk import Lab, notice, running_lab
from tests.browser.visitor import PATIENCE_MS
from tests.stack import NO_TLS, eventually

GB, USAGE, SEEN = 2**30, re.compile("/freepool/usage"), re.compile("/freepool/session/notices")
DEADLINE = notice(
    "n30", "deadline", "30 minutes left", "All files are deleted at the end.", "extend", params={"minutes": 30}
)
IDLE = notice("idle1", "idle", "Are you still here?", "Nothing has run for an hour.", "still_here", "open_desk")
GPU = {
    "class": "gpu", "title": "GPU", "total_seconds": 36000, "used_seconds": 3600, "held_seconds": 1800,
    "left_seconds": 30600, "weight": 1,
}  # fmt: skip
POSSIBLE = {"possible": True, "seconds": 3600, "left": 2, "reason": None, "text": ""}
REFUSED = {**POSSIBLE, "possible": False, "reason": "others_wait", "text": "Two people are waiting for a GPU."}


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    """One server for all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="freepool-lab-") as folder, running_lab(Path(folder)) as lab:
        yield lab


@pytest.fixture
def lab(running: Lab) -> Lab:
    """With a session as at its start."""
    running.desk.restart()
    return running


def _page(chromium: Browser, lab: Lab, **options: Any) -> Iterator[Page]:
    lab.desk.restart()
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="Asia/Shanghai", **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{lab.url}lab?reset")
    status(page).click()
    yield page
    context.close()


@pytest.fixture(scope="module")
def english(chromium: Browser, running: Lab) -> Iterator[Page]:
    """JupyterLab with our panel open, for the tests in the order of this file: the last one ends the session."""
    yield from _page(chromium, running, locale="en-US")


@pytest.fixture(scope="module")
def chinese(chromium: Browser, running: Lab) -> Iterator[Page]:
    """The same in Chinese."""
    yield from _page(chromium, running, locale="zh-CN")


def status(page: Page) -> Locator:
    return page.locator("#freepool-status button")


def toast(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


def end_of(page: Page) -> Locator:
    return page.locator("dialog.freepool-end")


def test_on_one_origin_an_app_is_on_a_path_for_its_owner_and_cannot_be_shared(lab: Lab, english: Page) -> None:
    port = free_port_that_somebody_could_choose()
    with subprocess.Popen([sys.executable, str(APP), str(port)]) as app:
        try:
            eventually(lambda: not is_free(port), what="the app")
            link = english.locator("#freepool-panel").get_by_role("link", name=f"Open the app on port {port}")
            expect(link).to_be_visible()
            expect(english.locator("#freepool-panel")).to_contain_text(
                "On this platform apps share JupyterLab's address"
            )
            expect(english.get_by_role("button", name=f"Share {port}")).to_have_count(0)
            with english.context.expect_page() as opened:
                link.click()
            expect(opened.value.get_by_role("heading", name="An app")).to_be_visible()
            expect(opened.value).to_have_url(f"{lab.url}proxy/{port}/")
            opened.value.close()
            ask_for_the_app(lab, port)
        finally:
            app.terminate()


def ask_for_the_app(lab: Lab, port: int) -> None:
    """What passes and what does not, also as behind a proxy that ends TLS and one that speaks plain HTTP."""
    url, body = f"{lab.url}proxy/{port}", b"x" * (5 << 20)
    behind_tls = {"X-Forwarded-Proto": "https,http"}
    secure, plain, evil = (
        {"Origin": origin}
        for origin in (
            lab.url.replace("http:", "https:").split("/user/")[0],
            lab.url.split("/user/")[0],
            "http://evil.x",
        )
    )
    with httpx.Client(verify=NO_TLS) as client:
        sent = client.post(f"{url}/upload", content=body)
        assert (sent.status_code, sent.text) == (200, str(len(body)))
        for headers, status in (
            (plain, 200),
            (secure, 403),
            (behind_tls | secure, 200),
            (behind_tls | plain, 403),
            (evil, 403),
            (behind_tls | evil, 403),
        ):
            assert client.post(f"{url}/upload", content=b"x", headers=headers).status_code == status, headers
        seen = client.get(f"{url}/seen", headers=behind_tls | {"X-Forwarded-For": "192.0.2.1"}).json()["headers"]
        assert (seen["X-Forwarded-Proto"], "X-Forwarded-For" in seen) == ("https", False)
        xsrf = {"Cookie": "_xsrf=2|1", "X-XSRFToken": "2|1"}
        share = client.post(f"{lab.url}freepool/apps/shares", json={"port": port, "hours": 8}, headers=xsrf)
        assert share.status_code == 403
        assert client.get(f"{lab.url}proxy/80/").status_code == 404


def free_port_that_somebody_could_choose() -> int:
    """One outside the range from which the kernel gives ports to programs that ask for any: only such are listed."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return next(one for one in range(10_000, 65_536) if not first <= one <= last and is_free(one))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_time_and_allowance_are_shown_by_the_desks_clock(lab: Lab, english: Page, picture: Callable[..., None]) -> None:
    page = english
    lab.desk.clock_ahead = timedelta(hours=5)
    lab.desk.say(
        ends_at=lab.desk.ends(192.5), allowance=GPU | {"resets_at": "2026-11-29T16:00:00Z"}, extension=POSSIBLE
    )
    expect(status(page)).to_contain_text("3 h 12 min leftGPU 8 h 30 min left")
    panel = page.locator("#freepool-panel")
    expect(panel).to_contain_text("8 h 30 min of 10 h left this week")
    expect(panel).to_contain_text("Resets Mon, Nov 30, 00:00 (GMT+8)")
    expect(panel).to_contain_text("CPU small · Light")
    for minutes, words, level in (
        (192.5, "3 h 12 min left", ""),
        (29.5, "29 min left", "soon"),
        (4.5, "4 min left", "urgent"),
    ):
        lab.desk.say(ends_at=lab.desk.ends(minutes))
        expect(panel.locator(".freepool-left")).to_have_text(words)
        expect(panel.locator(".freepool-left")).to_have_attribute("data-level", level)
    picture(page, "panel")
    eventually(lambda: lab.desk.streams == 1, what="one connection to the desk")


def test_an_announcement_is_told_once_and_is_all_in_the_panel(lab: Lab, english: Page) -> None:
    page, panel = english, english.locator("#freepool-panel")
    shown = page.locator(".Toastify__toast").filter(has_text=re.compile("Closed on Friday|Open again"))
    long = f"Closed on Friday. {'All notebooks end at six. ' * 8}Sorry!"
    lab.desk.say(announcement={"id": "a1", "text": long, "until": "2026-11-29T16:00:00Z"})
    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("Closed on Friday.")
    expect(panel).to_contain_text("Sorry!")
    shown.get_by_role("button").last.click()
    expect(shown).to_have_count(0)
    lab.desk.say(ends_at=lab.desk.ends(192.5))
    expect(panel.locator(".freepool-left")).to_have_text("3 h 12 min left")
    expect(shown).to_have_count(0)
    lab.desk.say(announcement={"id": "a2", "text": "Open again.", "until": "2026-11-29T16:00:00Z"})
    expect(shown).to_have_text(re.compile("Open again."))
    lab.desk.say(announcement=None)
    expect(shown).to_have_count(0)
    expect(panel).not_to_contain_text("Open again.")


def test_an_extension_is_one_click_and_a_refusal_says_why(lab: Lab, english: Page) -> None:
    page = english
    lab.desk.say(ends_at=lab.desk.ends(20.5), extension=POSSIBLE)
    panel = page.locator("#freepool-panel")
    button = panel.get_by_role("button", name="Extend by 1 h")
    button.click()
    expect(status(page)).to_contain_text("1 h 20 min left")
    assert lab.desk.asked == [("extend", {})]

    lab.desk.refuses = {"code": "others_wait", "message": "Somebody waits for a GPU.", "next": "Download your files."}
    button.click()
    expect(panel).to_contain_text("Somebody waits for a GPU. Download your files.")
    lab.desk.refuses = None

    lab.desk.say(extension=REFUSED)
    expect(button).to_have_attribute("aria-disabled", "true")
    lab.desk.asked.clear()
    button.click(force=True)
    page.keyboard.press("Enter")
    assert lab.desk.asked == []


def test_notices_stay_are_seen_once_and_are_answered(lab: Lab, english: Page, picture: Callable[..., None]) -> None:
    page, late = english, list[tuple[Route, APIResponse]]()
    page.route(SEEN, lambda route: late.append((route, route.fetch())), times=1)
    lab.desk.say(ends_at=lab.desk.ends(29.9), notices=[DEADLINE], extension=POSSIBLE)
    warning = toast(page, "30 minutes left: All files are deleted at the end.")
    expect(warning).to_be_visible()
    eventually(lambda: ("notices", {"seen": ["n30"], "where": "lab"}) in lab.desk.asked, what="the report")
    picture(page, "thirty")
    lab.desk.say(notices=[DEADLINE | {"seen_at": "2026-11-27T00:00:00Z"}])
    ten = notice("n10", "deadline", "10 minutes left", "Hurry.", "extend", params={"minutes": 10})
    lab.desk.say(ends_at=lab.desk.ends(9.9), notices=[DEADLINE, ten])
    expect(toast(page, "10 minutes left")).to_be_visible()
    expect(warning).to_have_count(0)
    # The answer to the first report comes only now: it knows nothing of the second notice, which stays.
    ((report, answer),) = late
    with page.expect_response(SEEN):
        report.fulfill(response=answer)
    expect(status(page)).to_contain_text("9 min left")
    toast(page, "10 minutes left").get_by_role("button", name="Extend").click()
    expect(toast(page, "Extended: 1 h 9 min left.")).to_be_visible()  # it goes after five seconds
    expect(toast(page, "10 minutes left")).to_have_count(0)

    lab.desk.say(notices=[IDLE])
    toast(page, "Are you still here?").get_by_role("button", name="I'm still here").click()
    eventually(lambda: ("answer", {"id": "idle1", "answer": "still_here"}) in lab.desk.asked, what="the answer")
    expect(toast(page, "Are you still here?")).to_have_count(0)  # else both are there while the first slides out
    lab.desk.say(notices=[IDLE | {"id": "idle2"}])
    expect(toast(page, "Are you still here?")).to_be_visible()
    eventually(lambda: ("notices", {"seen": ["idle2"], "where": "lab"}) in lab.desk.asked, what="the report")
    # It was answered in another tab.
    lab.desk.say(notices=[IDLE | {"id": "idle2", "answered_at": "2026-11-27T00:00:00Z"}])
    expect(toast(page, "Are you still here?")).to_have_count(0)
    seen = [body["seen"] for name, body in lab.desk.asked if name == "notices"]
    assert functools.reduce(operator.iadd, seen, []) == ["n30", "n10", "idle1", "idle2"]


def test_input_in_a_visible_page_is_reported_once_a_minute(lab: Lab, english: Page) -> None:
    page = english
    expect(status(page)).to_contain_text("3 h 59 min left")
    page.evaluate("performance.now = () => 1e9")  # the last report, of another test, is longer ago than a minute
    reports: list[str] = []
    page.on("request", lambda request: reports.append(request.url) if "/freepool/input" in request.url else None)
    with page.expect_response(lambda response: "/freepool/input" in response.url) as answer:
        page.mouse.click(640, 400)
    assert answer.value.status == 204
    page.keyboard.press("a")
    page.evaluate("window.dispatchEvent(new KeyboardEvent('keydown'))")
    page.mouse.wheel(0, 10)
    assert len(reports) == 1


def test_jupyterlabs_question_before_a_shut_down_says_what_is_lost(lab: Lab, english: Page) -> None:
    page = english
    expect(status(page)).to_contain_text("3 h 59 min left")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Shut Down").last.click()
    question = page.locator(".jp-Dialog")
    expect(question).to_contain_text("All files of this notebook are deleted when it is shut down")
    question.get_by_role("button", name="Cancel").click()


def test_a_kernel_that_was_ended_for_its_memory_is_named_and_a_full_disk_said(lab: Lab, english: Page) -> None:
    page, ended = english, list[dict[str, Any]]()
    disk = {"used": GB // 2, "limit": GB}
    kernel = {"at": 1.0, "kernel_id": "k", "name": "python3", "path": "work/big.ipynb", "used": GB, "limit": 2 * GB}

    def answer(route: Route) -> None:
        route.fulfill(json={"memory": {"used": GB, "limit": 2 * GB}, "disk": disk, "ended_kernels": ended})

    page.route(USAGE, answer)
    expect(status(page)).to_contain_text("1 GB of 2 GB")
    disk["used"] = GB
    ended.append(kernel)
    expect(toast(page, "Disk full (1 GB of 1 GB): saving may fail. Delete files")).to_have_count(1)
    expect(toast(page, "Out of memory: the kernel of big.ipynb was ended (1 GB of 2 GB).")).to_be_visible()
    page.unroute(USAGE)


def test_another_instance_at_the_address_is_a_restart(lab: Lab, english: Page) -> None:
    page = english
    expect(status(page)).to_contain_text("3 h 59 min left")
    lab.desk.end = {"state": "ended", "reason": "stopped", "text": "Stopped.", "next_state": "starting"}
    lab.desk.say(id="fedcba9876543210")
    expect(end_of(page)).to_contain_text("A new notebook has replaced this one")
    expect(end_of(page)).to_contain_text("The new notebook is starting…")
    lab.desk.end = lab.desk.end | {"next_state": "running"}
    expect(end_of(page).get_by_role("link", name="Open the new notebook")).to_have_attribute("href", f"{lab.url}lab")


def test_the_server_warns_by_itself_while_the_desk_is_away(lab: Lab, chinese: Page) -> None:
    page = chinese
    lab.desk.say(ends_at=lab.desk.ends(4.9))
    expect(status(page)).to_contain_text("剩余 4 分钟")
    lab.desk.set_away(True)
    expect(toast(page, "还剩 5 分钟")).to_be_visible()
    expect(page.locator("#freepool-panel")).to_contain_text("平台暂时没有响应，Notebook 不受影响。")
    lab.desk.set_away(False)
    expect(toast(page, "还剩 5 分钟")).to_have_count(0)
    assert lab.desk.asked == [], "the desk is told nothing about a notice that is not its own"


def test_the_server_is_lost_comes_back_and_ends(lab: Lab, chinese: Page, picture: Callable[..., None]) -> None:
    """Why it has ended is the desk's to say: until then it is only lost, and it may come back without a reload."""
    page = chinese
    lab.kill()
    expect(page.locator(".freepool-banner")).to_contain_text("连接已断开，正在重试")
    lab.start()
    expect(page.locator(".freepool-banner")).to_have_count(0)
    expect(status(page)).to_contain_text("剩余 3 小时 59 分钟")
    lab.kill()
    expect(status(page)).to_contain_text("连接已断开，正在重试")
    expect(end_of(page)).to_have_count(0)
    text = "Notebook 因内存不足被停止。它的内存上限是 2 GB。"
    lab.desk.end = {"state": "ended", "reason": "out_of_memory", "text": text}
    expect(end_of(page)).to_contain_text(text)
    again = end_of(page).get_by_role("link", name="按相同配置重新开始…")
    expect(again).to_have_attribute("href", lab.desk.session["restart_url"])
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    picture(page, "out-of-memory")
