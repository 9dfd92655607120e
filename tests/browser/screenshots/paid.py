"""Paid notebooks, with the demo cloud: a stack of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from tests.browser.paid_tour import USERS, WIDE, Tour, tour_as_administrator, tour_as_owner
from tests.browser.screenshots.shoot import Shoot
from tests.browser.visitor import Visitor
from tests.cloud.steer import QUICK, steer_beside

FOLDER = "paid"


def shoot_paid(shoot: Shoot) -> None:
    """Both tours: of a notebook's owner, and of the administrator."""
    cloud = steer_beside(shoot.stack.state)
    cloud.quirk(pace=QUICK)
    chief = f"chief-{shoot.language.lower()}"
    shoot.stack.api("POST", f"/users/{chief}", json={"admin": True})
    for user in (USERS[shoot.language][0], chief):
        visitor = _enter(shoot, user)
        try:
            tour = Tour(visitor.open_desk(), shoot.language, _picture(shoot))
            if user == chief:
                tour_as_administrator(tour, shoot.stack, cloud)
            else:
                tour_as_owner(tour, visitor, shoot.stack, cloud)
        finally:
            visitor.leave()


def _enter(shoot: Shoot, user: str) -> Visitor:
    return Visitor.enter(
        shoot.browser, shoot.stack, user, locale=shoot.language, timezone_id="Asia/Shanghai", viewport=WIDE,
        reduced_motion="reduce",
    )  # fmt: skip


def _picture(shoot: Shoot) -> Callable[..., None]:
    def take(page: Page, name: str, **_: Any) -> None:
        if not name.endswith("-phone"):  # the camera takes each page for a phone, too
            shoot.take(page, f"{FOLDER}/{name}", keep=True)

    return take
