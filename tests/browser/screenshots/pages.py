"""The pages that an address alone shows: one entry each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Error

from tests.browser.screenshots.shoot import Shoot
from tests.browser.visitor import Visitor

STRANGER, PERSON, ADMIN = "stranger", "ann", "admin"


@dataclass(frozen=True)
class Entry:
    """A page. `path` may contain `{user}` and `{person}`, an ordinary user's name and id.

    `wait`: a CSS selector of what is there once the page is whole. `status`: the response that is expected.
    `keep`: the documents show it.
    """

    name: str
    path: str
    who: str = PERSON
    wait: str = "main h1"
    status: int = 200
    keep: bool = False


DESK, HUB = "/services/desk/", "/hub/"
PAGES = (
    Entry("landing", "/", STRANGER, keep=True),
    Entry("open-stranger", "/open?git=https://git.example.org/ada/course&path=first.ipynb", STRANGER),
    Entry("open", f"{DESK}open?git=https://git.example.org/ada/course&path=first.ipynb"),
    Entry("open-example", f"{DESK}open?example=ocr"),
    Entry("badge", f"{DESK}open/badge?address=https://git.example.org/ada/course/blob/main/first.ipynb", STRANGER),
    Entry("login", f"{HUB}login", STRANGER),
    Entry("login-forged", f"{HUB}link?user=eve&token=x", STRANGER, status=403),
    Entry("stranger-404", f"{HUB}nothing", STRANGER, status=404),
    Entry("logout", f"{HUB}logout", STRANGER),
    Entry("token", f"{HUB}token"),
    Entry("hub-404", f"{HUB}nothing", status=404),
    Entry("hub-403", f"{HUB}admin", status=403),
    Entry("not-running", f"{HUB}user/{{user}}/lab", status=424),
    Entry("hub-500", f"{HUB}error/500"),
    Entry("hub-503", f"{HUB}error/503"),
    Entry("share-unknown", f"{HUB}accept-share?code=x", status=404),
    Entry("message", f"{DESK}nothing", status=404, keep=True),
    Entry("desk-403", f"{DESK}admin", status=403),
    Entry("history-empty", f"{DESK}history"),
    Entry("keep-off", f"{DESK}keep"),
    Entry("messages", f"{DESK}channel"),
    Entry("admin", f"{DESK}admin", ADMIN, keep=True),
    Entry("admin-users", f"{DESK}admin/people?text={{user}}", ADMIN),
    Entry("admin-user", f"{DESK}admin/people/{{person}}", ADMIN),
    Entry("admin-ban", f"{DESK}admin/people/{{person}}/ban", ADMIN),
    Entry("admin-forget", f"{DESK}admin/people/{{person}}/forget", ADMIN),
    Entry("admin-allowances", f"{DESK}admin/allowances", ADMIN, keep=True),
    Entry("admin-guard", f"{DESK}admin/guard", ADMIN),
    Entry("admin-messages", f"{DESK}admin/channels", ADMIN),
)


AS_ELSEWHERE = """() => {
  const command = document.querySelector(".terminal code");
  const [program, , , state] = command?.children ?? [];
  if (program) program.textContent = "~/freepool/.venv/bin/freepool";
  if (state) state.textContent = "~/freepool/.freepool";
}"""
"""The landing page shows paths of this machine, which belong in no document."""


def shoot_pages(shoot: Shoot) -> None:
    """All of `PAGES`. What one of them lacks is said at the end, after the others."""
    problems: list[str] = []
    user = shoot.name(PERSON)
    with shoot.visitor("carol") as stranger, shoot.visitor(PERSON) as person, shoot.admin() as admin:
        person.open_desk().close()
        admin.open_desk().close()
        values = {"user": user, "person": shoot.stack.person_of(user)}
        browsers: dict[str, Visitor] = {STRANGER: stranger, PERSON: person, ADMIN: admin}
        for entry in PAGES:
            problems += _attempt(entry.name, lambda entry=entry: _one(shoot, entry, browsers[entry.who], values))  # type: ignore[misc]
    assert not problems, "\n".join(problems)


def _one(shoot: Shoot, entry: Entry, visitor: Visitor, values: dict[str, str]) -> None:
    page, answer = visitor.visit(entry.path.format(**values))
    page.locator(entry.wait).first.wait_for()
    page.evaluate(AS_ELSEWHERE)
    shoot.take(page, entry.name, keep=entry.keep)
    page.close()
    assert answer.status == entry.status, f"status {answer.status} instead of {entry.status}"


def _attempt(name: str, do: Callable[[], None]) -> list[str]:
    try:
        do()
    except (AssertionError, Error) as error:
        first = str(error).partition("\n")[0]
        sys.stdout.write(f"{name}: {first}\n")
        return [f"{name}: {first}"]
    return []
