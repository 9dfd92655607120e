"""A user with a browser: headless Chromium on a running Freepool.

Problems that a user does not see (errors in the console, violations of the content security policy, requests to other
machines) are recorded and make the test fail at its end.
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

from playwright.sync_api import Browser, BrowserContext, BrowserType, Locator, Page, Response

from spawner.origins import is_localhost
from spawner.user_hosts import host_of_user
from tests.stack import Stack, eventually

HERE = "127.0.0.1"
CLUSTER = "10.*"
"""Addresses of the test cluster."""
TLS_HOST = "lab.test"
"""A name that the browser of the tests finds on loopback, as it does all below it."""
PATIENCE_MS = 20_000
"""Enough for a cold start or for JupyterLab's start on a busy machine."""
READY = {"en": "Your notebook is ready", "zh-CN": "Notebook 已就绪"}
LANDING = {"en-US": "A free JupyterLab with models, in your browser", "zh-CN": "在浏览器中免费使用带模型的 JupyterLab"}
IDLE = {"en": "Start a free notebook", "zh-CN": "免费启动 Notebook"}
STARTING = {"en": "Starting your notebook", "zh-CN": "正在启动 Notebook"}
REPORT_POLICY_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', e => console.error('policy:', e.violatedDirective, e.blockedURI))"
)


def launch(kind: BrowserType, *, has_windows: bool = False) -> Browser:
    """The system's Chromium, without its background requests.

    It finds no other machine, so a page that needs one writes an error to the console.
    It is the build without windows: `chromium` opens one for each context, which takes more processor time than a page
    of ours. Notifications need one.
    """
    program = shutil.which("chromium" if has_windows else "chromium-headless-shell")
    assert program, "these tests need Chromium: tests/setup installs it"
    names = (
        f"--host-resolver-rules=EXCLUDE {HERE}, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE {CLUSTER}, "
        f"MAP {TLS_HOST} {HERE}, MAP *.{TLS_HOST} {HERE}, MAP * ~NOTFOUND"
    )
    return kind.launch(
        executable_path=program, args=["--no-sandbox", "--disable-quic", "--disable-background-networking", names]
    )


@dataclass
class Visitor:
    """A user, signed in by their link. `expected`: patterns of the problems that a test causes."""

    stack: Stack
    user: str
    context: BrowserContext
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @classmethod
    def enter(
        cls, browser: Browser, stack: Stack, user: str, *, records_requests: bool = False, **options: Any
    ) -> Visitor:
        """Open a browser context for the user. `options` are Playwright's.

        `records_requests`: each request to another machine counts as a problem, also one whose failure the browser
        does not report, such as a beacon. That takes processor time for every request.
        """
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US"} | options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(REPORT_POLICY_VIOLATIONS)
        visitor = cls(stack, user, context)
        context.on("console", lambda message: visitor._note(message.type == "error", f"console: {message.text}"))
        context.on("weberror", lambda error: visitor._note(True, f"script: {error.error}"))
        if records_requests:
            context.on("request", lambda request: visitor._note_request(request.url))
            context.on("page", lambda page: page.on("websocket", lambda socket: visitor._note_request(socket.url)))
        return visitor

    def _note(self, is_problem: bool, text: str) -> None:
        if is_problem:
            self.problems.append(text)

    def _note_request(self, url: str) -> None:
        parts = urlsplit(url)
        is_here = parts.hostname == HERE or is_localhost(parts.hostname or "")
        self._note(parts.scheme not in ("data", "blob", "about") and not is_here, f"request: {url}")

    def leave(self) -> None:
        """Close the browser context and stop the user's instance."""
        self.context.close()
        self.stack.stop(self.user)
        eventually(lambda: not self.instances(), what=f"the end of {self.user}'s instance")

    @property
    def unexpected(self) -> list[str]:
        """The problems that the test does not expect."""
        return [text for text in self.problems if not any(re.search(pattern, text) for pattern in self.expected)]

    def open_desk(self) -> Page:
        """Follow the user's link in a new tab."""
        page = self.context.new_page()
        page.goto(self.stack.link_for(self.user))
        heading(page).wait_for()
        return page

    def visit(self, path: str) -> tuple[Page, Response]:
        """Open a path of the site in a new tab. Returns the page and the last response."""
        page = self.context.new_page()
        response = page.goto(self.stack.url + path)
        assert response is not None
        return page, response

    @property
    def notebook_url(self) -> str:
        """URL of the user's notebook server, on the user's own host."""
        return f"http://{host_of_user(self.user, 'localhost')}:{self.stack.port}/user/{self.user}/"

    def instances(self) -> list[Any]:
        """The user's instances in the ledger that have not ended."""
        return [instance for instance in self.stack.unended() if instance.user_name == self.user]

    def next_instance(self, before: Any) -> Any:
        """The instance after `before`, once it runs. A restart may be over before a page has shown it."""

        def found() -> Any:
            return next(
                (instance for instance in self.instances() if instance.id != before.id and instance.state == "running"),
                None,
            )

        return eventually(found, what="the instance after the restart")

    @contextmanager
    def held_start(self) -> Iterator[None]:
        """Suspend the user's cold start, which has just been requested."""
        keeper = self.keeper()
        os.kill(keeper, signal.SIGSTOP)  # so it does not report that the slot is ready
        try:
            yield
        finally:
            os.kill(keeper, signal.SIGCONT)

    def keeper(self) -> int:
        """The process id of the keeper of the user's slot, with which its sandbox ends."""
        return eventually(self._keeper, what=f"the slot of {self.user}") or 0

    def _keeper(self) -> int | None:
        ids = {instance.id for instance in self.instances()}
        for slot in self.stack.slots():
            if slot.holder_id in ids:
                try:
                    return int(json.loads((self.stack.settings.slots_dir / slot.id / "status.json").read_text())["pid"])
                except (OSError, ValueError):
                    return None
        return None


def heading(page: Page) -> Locator:
    """The page's title, which says in which state the instance is."""
    return page.get_by_role("heading", level=1)


def button(page: Page, name: str) -> Locator:
    """A button by its exact text."""
    return page.get_by_role("button", name=name, exact=True)


def card(page: Page, title: str) -> Locator:
    """An example's card in the gallery."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title, exact=True))


def choose_large(page: Page, title: str = "CPU large") -> None:
    """Choose the flavor that has no warm slot, so that its start takes seconds."""
    page.get_by_role("radio", name=title, exact=True).check()


def ask(page: Page, action: str) -> Locator:
    """Click a button that opens a dialog, and return the dialog."""
    button(page, action).click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    return dialog
