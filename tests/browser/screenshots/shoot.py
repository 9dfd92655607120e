"""What every story of the screenshots has: a stack, a browser, a language, a camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from playwright.sync_api import Browser, Page

from spawner.desk.i18n import Translations, load_translations
from tests.browser.screenshots.camera import Camera
from tests.browser.visitor import Visitor
from tests.stack import Stack


@dataclass
class Shoot:
    """One story in one language."""

    browser: Browser
    stack: Stack
    camera: Camera
    language: str

    @cached_property
    def texts(self) -> Translations:
        return load_translations()[self.language]

    def say(self, text: str, **values: Any) -> str:
        """A text in the language of the story."""
        return self.texts.say(text, **values)

    def take(self, page: Page, name: str, **options: Any) -> None:
        """`Camera.take`."""
        self.camera.take(page, name, self.language, **options)

    def name(self, role: str) -> str:
        """A user's name as it would be: other people in each language."""
        names = {"ann": "lin", "bob": "wang", "carol": "chen", "erin": "sun", "admin": "zhao"}
        return role if self.language == "en" else names[role]

    @contextmanager
    def visitor(self, role: str, **options: Any) -> Iterator[Visitor]:
        """A user with a browser, whose instance is stopped at the end. A failure leaves pictures of the open pages."""
        options = {"locale": self.language, "timezone_id": "Asia/Shanghai", "reduced_motion": "reduce"} | options
        visitor = Visitor.enter(self.browser, self.stack, self.name(role), **options)
        try:
            yield visitor
        except Exception:
            for number, page in enumerate(visitor.context.pages):
                page.screenshot(path=self.camera.folder / f"failed-{self.language}-{visitor.user}-{number}.png")
            raise
        finally:
            visitor.leave()

    @contextmanager
    def admin(self) -> Iterator[Visitor]:
        """An administrator."""
        name = self.name("admin")
        self.stack.api("POST", f"/users/{name}", json={"admin": True})
        with self.visitor("admin") as visitor:
            yield visitor
