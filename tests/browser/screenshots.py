"""Takes the README's screenshots of a running Freepool: `python -m tests.browser.screenshots docs/screenshots`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from spawner.desk.i18n import load_translations
from tests.browser import lab
from tests.browser.visitor import (
    IDLE,
    PATIENCE_MS,
    READY,
    STARTING,
    Visitor,
    ask,
    button,
    card,
    choose_large,
    heading,
    launch,
)
from tests.stack import PROJECT, Stack, running_stack, write_catalog

PHONE = {"width": 360, "height": 780}
LARGEST = 200_000
"""Bytes of one screenshot; they stay in the repository's history."""


REPAINT = "import sys; from PIL import Image; Image.open(sys.argv[1]).convert('RGB')"
REPAINT += ".quantize(int(sys.argv[2])).save(sys.argv[1], optimize=True)"


def repaint(path: Path, colours: int) -> None:
    """Reduce a screenshot's colours, with the Pillow of the light image."""
    python = PROJECT / ".images" / "light" / "bin" / "python"
    subprocess.run([python, "-c", REPAINT, path, str(colours)], check=True)


class Photographer:
    """Takes screenshots of one stack into one folder."""

    def __init__(self, browser: Browser, stack: Stack, folder: Path) -> None:
        self.browser = browser
        self.stack = stack
        self.folder = folder

    @contextmanager
    def visitor(self, user: str, **options: Any) -> Iterator[Visitor]:
        """A visitor who arrives when a slot is warm, and whose instance is stopped at the end."""
        self.stack.wait_warm()
        visitor = Visitor.enter(self.browser, self.stack, user, reduced_motion="reduce", **options)
        try:
            yield visitor
        finally:
            visitor.leave()

    def take(self, page: Page, name: str) -> None:
        """Take a screenshot of the window."""
        path = self.folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled")
        original = path.read_bytes()
        for colours in (128, 64, 48, 32):
            if path.stat().st_size > LARGEST:  # it contains a photograph
                path.write_bytes(original)
                repaint(path, colours)
        size = path.stat().st_size
        assert size <= LARGEST, f"{path.name} has {size} bytes"
        sys.stdout.write(f"{path.name}: {size // 1000} kB\n")

    def all(self) -> None:
        """Take all screenshots."""
        self.desk_and_instance()
        self.example()
        self.chinese()
        self.phone()
        self.queue("", "ann", "bob")
        self.queue("-zh-dark", "lin", "wang", locale="zh-CN", color_scheme="dark")

    def queue(self, suffix: str, holder: str, queued: str, **options: Any) -> None:
        """A full flavor: the form, the ticket, another flavor meanwhile, and the call."""
        say = load_translations()[options.get("locale", "en")].say
        with self.visitor(holder), self.visitor(queued, **options) as waiting:
            self.stack.start(holder, flavor="cpu-large")
            desk = waiting.open_desk()
            desk.locator("input[value=cpu-large]").check()
            self.take(desk, f"full{suffix}")
            button(desk, say("Join the queue")).click()
            expect(desk.locator("[data-action=leave]")).to_be_enabled()
            self.take(desk, f"waiting{suffix}")
            desk.locator("[data-action=instead]").first.click()
            expect(desk.locator(".queue-banner")).to_be_visible()
            expect(heading(desk)).to_have_text(say("Your notebook is ready"))
            self.take(desk, f"meanwhile{suffix}")
            self.stack.stop(holder)
            expect(desk.locator("[data-action=take]")).to_be_enabled()
            self.take(desk, f"held{suffix}")
            self.stack.leave_line(queued)

    def desk_and_instance(self) -> None:
        """English, light: before, during and after a start."""
        with self.visitor("ann") as ann:
            desk = ann.open_desk()
            expect(desk.get_by_text("Ready in a second")).to_be_visible()
            self.take(desk, "desk")
            choose_large(desk)
            button(desk, "Start").click()
            with ann.held_start():
                expect(heading(desk)).to_have_text(STARTING["en"])
                expect(button(desk, "Cancel")).to_be_enabled()
                self.take(desk, "starting")
                button(desk, "Cancel").click()
            expect(heading(desk)).to_have_text(IDLE["en"])
            desk.get_by_role("radio", name="CPU", exact=True).check()
            button(desk, "Start").click()
            expect(heading(desk)).to_have_text(READY["en"])
            self.take(desk, "running")
            ask(desk, "Restart (deletes all files)")
            self.take(desk, "restart")
            message, _ = ann.visit("/services/desk/nothing")
            self.take(message, "message")

    def example(self) -> None:
        """An example in JupyterLab, after it has run."""
        with self.visitor("ann") as ann:
            desk = ann.open_desk()
            card(desk, "Read the text in a picture").get_by_role("button", name="Open").click()
            desk.wait_for_url("**/lab/tree/**")
            lab.run_all(desk)
            desk.locator(".jp-OutputArea-output img").scroll_into_view_if_needed()
            self.take(desk, "example")

    def chinese(self) -> None:
        """Simplified Chinese, dark."""
        with self.visitor("lin", locale="zh-CN", color_scheme="dark") as lin:
            desk = lin.open_desk()
            expect(desk.get_by_text("秒级启动")).to_be_visible()
            self.take(desk, "desk-zh-dark")

    def phone(self) -> None:
        """Simplified Chinese on a phone."""
        with self.visitor("lin", locale="zh-CN", viewport=PHONE, has_touch=True, is_mobile=True) as lin:
            desk = lin.open_desk()
            expect(desk.get_by_text("秒级启动")).to_be_visible()
            self.take(desk, "phone-zh")


def _one_large(data: dict[str, Any]) -> None:
    """So that two users are enough for a queue."""
    data["flavors"][1]["limit"] = 1


def main(folder: Path) -> None:
    """Start a Freepool, take the screenshots, and stop it."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with tempfile.TemporaryDirectory(prefix="freepool-") as place, sync_playwright() as playwright:
        browser = launch(playwright)
        catalog = write_catalog(Path(place) / "catalog.yaml", _one_large)
        with running_stack(Path(place) / "state", catalog=catalog) as stack:
            Photographer(browser, stack, folder).all()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots"))
