"""A person at a browser: pages of the real stack in headless Chromium, and a watch on what a person never sees.

What goes wrong behind a page (an error in the console, a break of the content policy, a request that leaves this
machine) is noted for as long as the visitor is here, and makes the test fail at the end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Response

from tests.stack import Stack, eventually

HERE = "127.0.0.1"
PATIENCE_MS = 20_000
"""For one thing to appear: a cold start on a busy machine, and JupyterLab's own start."""
READY = {"en": "Your notebook is ready", "zh-CN": "Notebook 已就绪"}
IDLE = {"en": "Start a free notebook", "zh-CN": "免费启动 Notebook"}
STARTING = {"en": "Starting your notebook", "zh-CN": "正在启动 Notebook"}
TELL_POLICY = (
    "addEventListener('securitypolicyviolation', e => console.error('policy:', e.violatedDirective, e.blockedURI))"
)


def launch(playwright: Playwright) -> Browser:
    """The system's Chromium, without what it does on its own."""
    program = shutil.which("chromium")
    assert program, "these tests need Chromium: tests/setup installs it"
    return playwright.chromium.launch(
        executable_path=program, args=["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    )


@dataclass
class Visitor:
    """One person, signed in by their own link. `expected` are patterns of trouble that a test itself makes."""

    stack: Stack
    user: str
    context: BrowserContext
    trouble: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @classmethod
    def enter(cls, browser: Browser, stack: Stack, user: str, **options: Any) -> Visitor:
        """Open a browser of their own. `options` are Playwright's for a context."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US"} | options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(TELL_POLICY)
        visitor = cls(stack, user, context)
        context.on("console", lambda message: visitor._note(message.type == "error", f"console: {message.text}"))
        context.on("weberror", lambda error: visitor._note(True, f"script: {error.error}"))
        context.on("request", lambda request: visitor._note_way(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: visitor._note_way(socket.url)))
        return visitor

    def _note(self, is_trouble: bool, text: str) -> None:
        if is_trouble:
            self.trouble.append(text)

    def _note_way(self, url: str) -> None:
        parts = urlsplit(url)
        self._note(parts.scheme not in ("data", "blob", "about") and parts.hostname != HERE, f"request: {url}")

    def leave(self) -> None:
        """Close everything and end what still runs for them."""
        self.context.close()
        self.stack.stop(self.user)
        eventually(lambda: not self.loans(), what=f"the end of {self.user}'s instance")

    @property
    def unexpected(self) -> list[str]:
        """Trouble that no test has announced."""
        return [text for text in self.trouble if not any(re.search(pattern, text) for pattern in self.expected)]

    def open_desk(self) -> Page:
        """A new tab that follows the link."""
        page = self.context.new_page()
        page.goto(self.stack.link_for(self.user))
        heading(page).wait_for()
        return page

    def visit(self, path: str) -> tuple[Page, Response]:
        """A new tab at a path of the site. Returns it and the last answer."""
        page = self.context.new_page()
        response = page.goto(self.stack.url + path)
        assert response is not None
        return page, response

    def loans(self) -> list[Any]:
        """What the ledger says runs for them, or starts, or is being wiped."""
        return [loan for loan in self.stack.unended() if loan.user_name == self.user]

    def next_loan(self, before: Any) -> Any:
        """Their loan after this one, once it runs: a restart may be over before any page has shown it."""

        def found() -> Any:
            return next((loan for loan in self.loans() if loan.id != before.id and loan.state == "running"), None)

        return eventually(found, what="the loan after the restart")

    @contextmanager
    def held_start(self) -> Iterator[None]:
        """Keep their cold start, which has just been asked for, from going on."""
        keeper = eventually(self._keeper, what=f"a new slot for {self.user}")
        os.kill(keeper, signal.SIGSTOP)  # it cannot report that the slot is ready
        try:
            yield
        finally:
            os.kill(keeper, signal.SIGCONT)

    def _keeper(self) -> int | None:
        mine = {loan.id for loan in self.loans()}
        for slot in self.stack.slots():
            if slot.holder_id in mine:
                try:
                    return int(json.loads((self.stack.settings.slots_dir / slot.id / "status.json").read_text())["pid"])
                except (OSError, ValueError):
                    return None
        return None


def heading(page: Page) -> Locator:
    """The page's one title: it says in which state the desk is."""
    return page.get_by_role("heading", level=1)


def button(page: Page, name: str) -> Locator:
    """A button by its exact words."""
    return page.get_by_role("button", name=name, exact=True)


def card(page: Page, title: str) -> Locator:
    """An example in the gallery."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title, exact=True))


def choose_large(page: Page, title: str = "CPU large") -> None:
    """Choose the flavor of which no slot waits, so that its start takes seconds."""
    page.get_by_role("radio", name=title, exact=True).check()


def ask(page: Page, action: str) -> Locator:
    """Press a button that asks first, and return its dialog."""
    button(page, action).click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    return dialog
