"""A machine type with two hours a week: the meter, the warnings, the extension, the end, and what came back.

Hours do not pass here: the beginning and the end of the session are moved.
"""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import update

from spawner.ledger.pool.tables import instances, tickets
from spawner.pool.build import utc_now
from tests.browser.screenshots.camera import KEPT, WIDE
from tests.browser.screenshots.desk import DIALOG, IDLE, RUNNING, START, WAITING, see, start
from tests.browser.screenshots.shoot import Shoot
from tests.browser.visitor import Visitor
from tests.hub.deadlines import reach_end, set_end, tell
from tests.stack import eventually

FLAVOR = "cpu-large"
LAB_NOTICE, LAB_END, LAB_STATUS = ".Toastify__toast", "dialog.freepool-end", "#freepool-status button"
EXTEND = "[data-action=extend]"


def shoot_time(shoot: Shoot) -> None:
    """The whole story, on the home page and in JupyterLab, of a user who has used no hours in another story."""
    with shoot.visitor("erin", color_scheme=KEPT[shoot.language]) as ann:
        ann.open_desk().close()
        keep, _ = ann.visit("/services/desk/keep")
        keep.locator("button[name=wanted][value=yes]").click()
        keep.locator("button[name=wanted][value=no]").wait_for()
        desk = ann.open_desk()
        desk.locator(f"input[value={FLAVOR}]").check()
        shoot.take(desk, "time-before", keep=True)
        start(desk, FLAVOR)
        see(desk, RUNNING)
        (instance,) = ann.instances()
        shoot.take(desk, "time-during", keep=True)
        _write_file(ann, "results.csv")
        desk.locator(RUNNING).click()
        desk.locator(f"{DIALOG} summary").click()
        shoot.take(desk, "time-download", keep=True, full=False)
        desk.locator(f"{DIALOG} button[value=cancel]").click()

        lab = ann.context.new_page()
        lab.goto(f"{ann.notebook_url}lab")
        lab.locator(LAB_STATUS).click()
        lab.locator("#freepool-panel dl").first.wait_for()
        lab.locator(".jp-LauncherCard").first.wait_for()
        lab.locator(".jp-DirListing-item").first.wait_for()
        _take_lab(shoot, lab, "lab-panel")
        _warnings(shoot, ann, desk, lab, instance.id)

        _began(shoot, instance.id, timedelta(hours=1.5))
        reach_end(shoot.stack.ledger, instance.id, instance.person_id)
        expect(lab.locator(LAB_END)).to_be_visible(timeout=90_000)
        _take_lab(shoot, lab, "lab-ended")
        desk.bring_to_front()
        see(desk, IDLE)
        shoot.take(desk, "time-ended", keep=True)
        _after(shoot, ann, desk, instance.id)


def _take_lab(shoot: Shoot, lab: Page, name: str) -> None:
    lab.bring_to_front()
    shoot.take(lab, name, keep=True, full=False, sizes=(WIDE,), schemes=(KEPT[shoot.language],))


def _warnings(shoot: Shoot, ann: Visitor, desk: Page, lab: Page, instance_id: str) -> None:
    """The four warnings, an extension after the second, and its refusal because somebody waits."""
    stack = shoot.stack
    with shoot.visitor("bob") as bob:
        for minutes in (30, 10, 5, 1):
            end = utc_now() + timedelta(minutes=minutes)
            if minutes < 5:  # an end that nobody was told of would move
                tell(stack.ledger, instance_id, ann.instances()[0].person_id, end)
            _began(shoot, instance_id, timedelta(minutes=(59 if minutes > 5 else 89) - minutes))
            set_end(stack.ledger, instance_id, end)
            words = shoot.say("Your notebook ends in {time}", time=_in_minutes(shoot, minutes))
            notice = desk.locator(".notice strong", has_text=words)
            expect(notice).to_be_visible(timeout=60_000)
            shoot.take(desk, f"time-warning-{minutes}", keep=True)
            lab.bring_to_front()
            told = re.compile(rf"\b{minutes}\b")  # the same number in both languages
            expect(lab.locator(LAB_NOTICE, has_text=told).first).to_be_visible(timeout=60_000)
            _take_lab(shoot, lab, f"lab-warning-{minutes}")
            desk.bring_to_front()
            if minutes == 10:
                desk.locator(EXTEND).first.click()
                expect(desk.locator(".notice")).to_have_count(0)
                shoot.take(desk, "time-extended", keep=True)
                waiting = bob.open_desk()
                waiting.locator(f"input[value={FLAVOR}]").check()
                waiting.locator(START).click()
                see(waiting, WAITING)
        stack.leave_line(bob.user)


def _in_minutes(shoot: Shoot, minutes: int) -> str:
    return {"en": f"{minutes} minute{'s' * (minutes > 1)}", "zh-CN": f"{minutes}\u00a0分钟"}[shoot.language]


def _write_file(visitor: Visitor, name: str) -> None:
    """As JupyterLab does."""
    token = visitor.stack.user_token(visitor.user)
    answer = visitor.stack.http.put(
        f"{visitor.stack.url}/user/{visitor.user}/api/contents/{name}",
        headers={"Authorization": f"token {token}"},
        json={"type": "file", "format": "text", "content": "line,score\n" * 200},
    )
    assert answer.status_code == 201, answer.text


def _began(shoot: Shoot, instance_id: str, ago: timedelta) -> None:
    """As if the notebook ran since then, so that its time, its progress and its hours are those of a whole session."""
    usable = utc_now() - ago
    asked = usable - timedelta(seconds=0.8)
    changes = (
        update(tickets).where(tickets.c.instance_id == instance_id).values(joined_at=asked, called_at=asked),
        update(instances).where(instances.c.id == instance_id).values(requested_at=asked, usable_at=usable),
    )
    shoot.stack.ledger.write(lambda connection: [connection.execute(change) for change in changes])


def _after(shoot: Shoot, ann: Visitor, desk: Page, instance_id: str) -> None:
    """Hours after the run, hours given back, the history, and the kept files in the next notebook."""
    hours = desk.locator(f"label.flavor:has(input[value={FLAVOR}]) .flavor-hours")
    desk.locator(f"input[value={FLAVOR}]").check()
    expect(hours).to_be_visible()
    shoot.take(desk, "time-after", keep=True)
    with shoot.admin() as admin:
        admin.open_desk().close()
        board, _ = admin.visit("/services/desk/admin/allowances")
        shoot.take(board, "admin-near-limit")
        refund = board.locator("form[action$='allowances/refund']")
        refund.locator("input[name=run]").fill(instance_id)
        refund.locator("input[name=reason]").fill({"en": "The disk was slow", "zh-CN": "磁盘速度过慢"}[shoot.language])
        refund.locator("button").click()
        board.wait_for_load_state()
    shoot.take(desk, "time-refunded", keep=True)
    history, _ = ann.visit("/services/desk/history")
    shoot.take(history, "history", keep=True)

    desk.locator("input[value=cpu-basic]").check()
    desk.locator(START).click()
    see(desk, RUNNING)
    kept, _ = ann.visit("/services/desk/keep")
    restore = kept.locator("button[value=restore]")
    eventually(lambda: restore.count() or not kept.reload(), what="the kept files")
    shoot.take(kept, "kept", keep=True)
    restore.first.click()
    kept.wait_for_load_state()
    shoot.take(kept, "put-back", keep=True)
    save, _ = ann.visit(f"/user/{ann.user}/freepool/save?language={shoot.language}")
    save.locator("h1").wait_for()
    shoot.take(save, "save")
