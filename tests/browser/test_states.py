"""What the pages say and offer in each state, in both languages: `states.txt` has it, to be read.

`FREEPOOL_WRITE_STATES=1` writes that file anew. The states are rows; the desk's own code makes the page's state of
them, and the page's own script, or its template, the words.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from spawner.desk.user.allowance_strings import ALLOWANCE_STRINGS
from spawner.desk.user.strings import USER_STRINGS
from tests.browser.states import FOLDER, HERE, TEXTS, Free, free_states, paid_orders, paid_page

FILE = Path(__file__).with_name("states.txt")
DRAW = """async ({ state, part }) => {
  const { page } = await import("/static/user/page.js");
  const { patch } = await import("/static/shared/dom.js");
  const { app, f, t } = await import("/static/shared/script_page.js");
  const ui = { flavor: null, image: null, busy: null, problem: null, asked: false, before: null, opening: null,
    switching: null, dismissed: null };
  patch(app, []);
  patch(app, page({ state, ui, t, f, now: Date.parse(state.now) }));
  return app.matches(part) ? app.innerText : app.querySelector(part).innerText;
}"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page with the desk's static files, and no desk."""
    context = chromium.new_context(timezone_id="UTC", viewport={"width": 1280, "height": 900})
    found = context.new_page()
    context.route(f"{HERE}**", _serve)
    yield found
    context.close()


def _serve(route: Route) -> None:
    path = route.request.url.removeprefix(HERE)
    if path.startswith("static/"):
        route.fulfill(path=Path(FOLDER) / path)
    else:
        route.fulfill(status=404)


def desk_page(language: str) -> str:
    texts = TEXTS[language]
    strings = {name: texts.say(text) for name, text in (USER_STRINGS | ALLOWANCE_STRINGS).items()}
    style = f'<link rel="stylesheet" href="{HERE}static/shared/page.css">'
    return (
        f'<!doctype html><html lang="{language}">{style}<body data-base="/"><main id="app"></main>'
        f'<script type="application/json" id="strings">{json.dumps(strings)}</script>'
        '<script type="application/json" id="state">null</script></body></html>'
    )


def said(text: str) -> str:
    """One line: what stands in lines of their own on the page is divided by a bar."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return " | ".join(line for line in lines if line)


def free_texts(page: Page, language: str) -> dict[str, str]:
    page.route(HERE, lambda route: route.fulfill(body=desk_page(language), content_type="text/html; charset=utf-8"))
    page.goto(HERE)
    return {one.name: said(page.evaluate(DRAW, _drawing(one, language))) for one in free_states()}


def _drawing(one: Free, language: str) -> dict[str, Any]:
    return {"state": one.state(TEXTS[language]), "part": one.part}


def paid_texts(page: Page, language: str) -> dict[str, str]:
    found = {}
    for name, order in paid_orders():
        page.set_content(paid_page(order, language))
        part = ".instance-head" if ": " in name else ".instance"
        found[name] = said(page.locator(part).inner_text())
    return found


def as_text(free: dict[str, dict[str, str]], paid: dict[str, dict[str, str]]) -> str:
    parts = []
    for title, texts in (("Free", free), ("Paid", paid)):
        for name, english in texts["en"].items():
            parts.append(f"{title}: {name}\n  {english}\n  {texts['zh-CN'][name]}\n")
    return "\n".join(parts)


def test_each_state_has_its_own_words_as_they_were_read(page: Page) -> None:
    free = {language: free_texts(page, language) for language in TEXTS}
    paid = {language: paid_texts(page, language) for language in TEXTS}
    found = as_text(free, paid)
    if os.environ.get("FREEPOOL_WRITE_STATES"):
        FILE.write_text(found)
    assert found == FILE.read_text(), "read what has changed, then write the file anew"
    for texts in (*free.values(), *paid.values()):
        same = [name for name, text in texts.items() if list(texts.values()).count(text) > 1]
        assert same == [], "a reader cannot tell these apart"
    for name, text in free["en"].items():
        if "before it ran" in name or "files kept" in name or "being saved" in name:
            assert "were deleted" not in text, name
    for name, text in paid["en"].items():
        if name in ("approved", "requested", "creating", "checking") or name.startswith("not created"):
            assert "Cost of this session" not in text, name
            assert "Running time" not in text, name
