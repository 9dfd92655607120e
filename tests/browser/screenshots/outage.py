"""What pages say while a part of the platform is away. The last story: it kills processes."""

from __future__ import annotations

import os
import signal

from tests.browser.screenshots.shoot import Shoot
from tests.browser.test_outages import is_healthy
from tests.stack import eventually


def shoot_outage(shoot: Shoot) -> None:
    """The desk is away, then the hub. The supervisor starts each again."""
    with shoot.visitor("carol") as carol:
        desk = carol.open_desk()
        for part, path in (("desk", "/services/desk/"), ("hub", "/hub/token")):
            pids = shoot.stack.pids(part)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            page = carol.context.new_page()
            page.goto(shoot.stack.url + path, wait_until="commit")
            page.locator("body").wait_for()
            shoot.take(page, f"{part}-away")
            page.close()
            health = f"{path.rpartition('/')[0]}/health"
            eventually(lambda health=health: is_healthy(shoot.stack, health), seconds=60, what=part)  # type: ignore[misc]
        desk.close()
