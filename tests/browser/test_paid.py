"""Paid notebooks in a browser, with the demo cloud: from linking an account to the receipt."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser

from tests.browser.languages import told_in
from tests.browser.paid_tour import USERS, WIDE, Picture, Tour, tour_as_administrator, tour_as_owner
from tests.browser.visitor import Visitor
from tests.cloud.steer import Steer
from tests.stack import Stack

LOOK: dict[str, Any] = {"viewport": WIDE, "reduced_motion": "reduce", "records_requests": True}


@told_in("en")
def test_a_user_links_an_account_runs_an_instance_moves_files_and_deletes_it(
    chromium: Browser, demo_stack: Stack, cloud_beside: Steer, picture: Picture, language: str
) -> None:
    scheme = {"en": "light", "zh-CN": "dark"}[language]
    name = USERS[language][0]
    visitor = Visitor.enter(chromium, demo_stack, name, locale=language, color_scheme=scheme, **LOOK)
    tour_as_owner(Tour(visitor.open_desk(), language, picture), visitor, demo_stack, cloud_beside)
    visitor.leave()


@told_in("zh-CN")
def test_an_administrator_pauses_and_allows_paid_instances(
    chromium: Browser, demo_stack: Stack, cloud_beside: Steer, picture: Picture, language: str
) -> None:
    name = f"chief-{language.lower()}"
    assert demo_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
    visitor = Visitor.enter(chromium, demo_stack, name, locale=language, **LOOK)
    tour_as_administrator(Tour(visitor.open_desk(), language, picture), demo_stack, cloud_beside)
    assert visitor.unexpected == []
    visitor.leave()
