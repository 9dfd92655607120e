"""Groups of a real login decide what their members may start: at the desk, by the API, in the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from spawner.ledger.people import groups
from spawner.ledger.people.rows import GroupSource
from spawner.ledger.pool import instances, tickets
from spawner.pool.build import utc_now
from spawner.refusals import REFUSAL_HEADER
from tests.browser.conftest import SCREENSHOTS_VARIABLE
from tests.browser.visitor import IDLE, PATIENCE_MS, Visitor, card, heading, launch
from tests.login.conftest import COURSE
from tests.login.provider import Provider, client_with_cookies, log_in
from tests.login.test_provider import look, sign_in
from tests.stack import PROJECT, Stack, eventually

NUMBERS = count(1)
FACTS = {"flavor": "cpu-large", "groups": [COURSE]}
REASON = f"The machine type cpu-large is only for the group {COURSE}."


class Student:
    """A user who has logged in at the provider."""

    def __init__(self, stack: Stack, provider: Provider, *roles: str) -> None:
        self.stack, self.provider, self.name = stack, provider, f"student-{next(NUMBERS)}"
        self.client = client_with_cookies()
        self.give(*roles)
        assert log_in(self.client, f"{stack.url}/hub/oauth_login", self.name).url.path == "/services/desk/"
        self.token = stack.user_token(self.name)

    def give(self, *roles: str) -> None:
        """The groups of the account at the provider, besides the one that admits it."""
        self.provider.account(self.name, realm_access={"roles": ["learners", *roles]})

    def refresh(self, *roles: str) -> None:
        """The account has other groups, and the hub learns of them."""
        self.give(*roles)
        self.become(GroupSource.LOGIN, "learners", *roles)

    def become(self, source: GroupSource, *names: str) -> None:
        def seen() -> bool:
            assert look(self.stack, self.client) == 200
            return self.recorded(source) == set(names)

        eventually(seen, seconds=5, what=f"groups {names} of {source}")

    def recorded(self, source: GroupSource) -> set[str]:
        return set(self.stack.ledger.read(groups.of, self.person, source))

    @property
    def person(self) -> str:
        return self.stack.person_of(self.name)

    def ask(self, path: str = "api/instance", **options: str) -> httpx.Response:
        return self.stack.desk("POST", path, token=self.token, json=options)

    def state(self) -> dict[str, Any]:
        answer = self.stack.desk("GET", "api/state", token=self.token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def offered(self, kind: str, name: str) -> dict[str, Any]:
        return next(one for one in self.state()[kind] if one["id"] == name)

    def wait_running(self) -> None:
        def runs() -> bool:
            found = self.state()["instance"]
            return found is not None and found["state"] == "running"

        eventually(runs, seconds=60, what="the notebook")


Enter = Callable[..., Student]


@pytest.fixture
def enter(stack: Stack, provider: Provider) -> Iterator[Enter]:
    """Logs students in."""
    with ExitStack() as clients:

        def make(*roles: str) -> Student:
            student = Student(stack, provider, *roles)
            clients.callback(student.client.close)
            return student

        yield make


def test_what_is_for_another_group_is_refused_however_it_is_asked_for(stack: Stack, enter: Enter) -> None:
    ann = enter()
    assert ann.recorded(GroupSource.LOGIN) == {"learners"}
    of_desk = [ann.ask(flavor="cpu-large"), ann.ask("api/ticket", flavor="cpu-large")]
    path = f"/users/{ann.name}"
    large = {"flavor": "cpu-large"}
    of_hub = [
        stack.api("POST", f"{path}/server", token=ann.token, json=large),
        stack.api("POST", f"{path}/servers/second", token=ann.token, json=large),
        stack.api("POST", f"{path}/server", json=large),  # an administrator starts it for the user
    ]
    for answer in of_desk:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["message"], error["facts"]) == (
            403,
            "not_for_you",
            REASON.replace("cpu-large", "CPU large"),
            FACTS,
        )
        assert error["next"] == "Choose another one, or ask an administrator to add you to a group."
    for answer in of_hub:
        refusal = json.loads(answer.headers[REFUSAL_HEADER])
        assert (answer.status_code, refusal["code"], refusal["facts"]) == (403, "not_for_you", FACTS)
        assert answer.json()["message"].startswith(REASON)
    for options in ({"image": "course"}, {"example": "homework"}):
        error = ann.ask(**options).json()["error"]
        assert (error["code"], error["facts"]) == ("not_for_you", {"image": "course", "groups": [COURSE]})
    assert stack.ledger.read(tickets.alive, ann.person) == []
    assert stack.ledger.read(instances.unended, ann.person) == []


def test_the_desk_says_for_whom_it_is(stack: Stack, enter: Enter) -> None:
    ann, operator = enter(), enter("operators")
    large = ann.offered("flavors", "cpu-large")
    assert (large["for_you"], large["available"], large["queue"]) == (False, 0, False)
    assert large["reason"] == f"Only for the group {COURSE}."
    assert ann.offered("images", "course")["reason"] == large["reason"]
    assert ann.offered("examples", "homework")["reason"] == f"Its image is only for the group {COURSE}."
    assert ann.offered("flavors", "cpu-basic")["for_you"]
    in_chinese = stack.desk("GET", "api/state", token=ann.token, headers={"Accept-Language": "zh-CN"})
    reasons = {one["id"]: one["reason"] for one in in_chinese.json()["flavors"]}
    assert reasons["cpu-large"] == f"仅供用户组 {COURSE} 使用。"
    assert not operator.offered("flavors", "cpu-large")["for_you"], "policies hold for administrators as well"
    shown = stack.desk("GET", "api/admin", token=operator.token).json()["flavors"]
    audiences = {one["id"]: one["audience"] for one in shown}
    assert (audiences["cpu-basic"], audiences["cpu-large"]) == ("For everybody.", f"For the group {COURSE}.")


def test_a_group_of_the_login_gives_it_for_as_long_as_its_policy_says_and_a_restart_looks_again(
    stack: Stack, enter: Enter
) -> None:
    ann = enter()
    ann.refresh(COURSE)
    assert ann.offered("flavors", "cpu-large")["session_seconds"] == 30 * 60
    assert ann.ask(flavor="cpu-large", image="course").status_code in (201, 202)
    ann.wait_running()
    (running,) = stack.ledger.read(instances.unended, ann.person)
    assert running.ends_at is not None
    assert running.usable_at is not None
    assert running.ends_at - running.usable_at == timedelta(minutes=30)

    bob = enter(COURSE)
    assert bob.ask(flavor="cpu-large", image="course").status_code == 202
    assert [ticket.flavor for ticket in stack.ledger.read(tickets.alive, bob.person)] == ["cpu-large"]
    bob.refresh()
    eventually(lambda: stack.ledger.read(tickets.alive, bob.person) == [], what="the end of the wait")
    assert bob.state()["last"]["text"] == REASON

    ann.refresh()
    restart = ann.ask("api/instance/restart")
    assert (restart.status_code, restart.json()["error"]["facts"]) == (403, FACTS)
    assert [one.id for one in stack.ledger.read(instances.unended, ann.person)] == [running.id], "what runs goes on"
    stack.stop(ann.name)


def test_groups_of_hub_and_operator_stay_when_the_login_is_refreshed(stack: Stack, enter: Enter) -> None:
    ann = enter()
    stack.api("POST", f"/groups/{COURSE}")
    assert stack.api("POST", f"/groups/{COURSE}/users", json={"users": [ann.name]}).status_code == 200
    eventually(lambda: ann.offered("flavors", "cpu-large")["for_you"], what="what the group gives")
    assert ann.recorded(GroupSource.HUB) == {COURSE}
    ann.refresh("other")
    assert ann.recorded(GroupSource.HUB) == {COURSE}
    command = [sys.executable, "-m", "spawner.cli", "groups", ann.name, "--set", COURSE, "--state", str(stack.state)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True).stdout
    assert f"login: learners, other\nhub: {COURSE}\nadministrator: {COURSE}\n" in said
    assert stack.api("DELETE", f"/groups/{COURSE}").status_code == 204
    eventually(lambda: ann.recorded(GroupSource.HUB) == set(), what="the end of the group in JupyterHub")
    ann.refresh()
    assert ann.offered("flavors", "cpu-large")["for_you"], "the operator's stays"
    subprocess.run([*command[:5], "--set", *command[-2:]], check=True, cwd=PROJECT, capture_output=True)
    assert not ann.offered("flavors", "cpu-large")["for_you"]


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this file."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("language", "large", "light", "reason", "homework"),
    [
        (
            "en",
            "CPU large",
            "Course",
            f"Only for the group {COURSE}.",
            f"Its image is only for the group {COURSE}.",
        ),
        (
            "zh-CN",
            "CPU 大内存型",
            "课程",
            f"仅供用户组 {COURSE} 使用。",
            f"其镜像仅供用户组 {COURSE} 使用。",
        ),
    ],
    ids=["en", "zh-CN"],
)
def test_the_desk_offers_only_what_is_for_the_user(
    stack: Stack,
    provider: Provider,
    chromium: Browser,
    language: str,
    large: str,
    light: str,
    reason: str,
    homework: str,
) -> None:
    name = f"seeing-{language.lower()}"
    provider.account(name, realm_access={"roles": ["learners"]})
    visitor = Visitor.enter(chromium, stack, name, locale=language)
    page, _ = visitor.visit("/hub/oauth_login")
    sign_in(page, name)
    page.wait_for_url("**/services/desk/")
    expect(heading(page)).to_have_text(IDLE[language])
    expect(page.get_by_role("radio", name=large, exact=True)).to_be_disabled()
    expect(page.locator("#flavor-cpu-large-capacity")).to_have_text(reason)
    option = page.locator("#image option[value=course]")
    expect(option).to_have_text(f"{light}: {reason}")
    expect(option).to_be_disabled()
    of_group = card(page, "Homework" if language == "en" else "作业")
    expect(of_group.get_by_text(homework)).to_be_visible()
    expect(of_group.get_by_role("button")).to_have_count(0)
    if folder := os.environ.get(SCREENSHOTS_VARIABLE):
        page.screenshot(path=Path(folder) / f"policies-{language}.png", full_page=True)
    # The page follows the change of a group by itself.
    stack.ledger.write(
        groups.replace, stack.person_of(name), GroupSource.ADMINISTRATOR, [COURSE], by="test", now=utc_now()
    )
    expect(page.get_by_role("radio", name=large, exact=True)).to_be_enabled()
    expect(of_group.get_by_role("button")).to_have_count(1)
    visitor.context.close()
    assert visitor.unexpected == []
