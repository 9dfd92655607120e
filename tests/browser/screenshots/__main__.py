"""Screenshots of every page: `python -m tests.browser.screenshots FOLDER [--docs docs/screenshots] [--only …]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.screenshots.camera import LANGUAGES, Camera
from tests.browser.screenshots.desk import shoot_desk, shoot_example, shoot_queue
from tests.browser.screenshots.login import shoot_login, stack_with_provider
from tests.browser.screenshots.outage import shoot_outage
from tests.browser.screenshots.pages import shoot_pages
from tests.browser.screenshots.paid import shoot_paid
from tests.browser.screenshots.shoot import Shoot
from tests.browser.screenshots.time import shoot_time
from tests.browser.visitor import PATIENCE_MS, launch
from tests.channels.servers import channels_by, mail_server
from tests.stack import Stack, local_settings, running_stack, stack_with_demo_cloud, write_catalog

Story = Callable[[Shoot], None]
STORIES: dict[str, Story] = {
    "pages": shoot_pages,
    "desk": shoot_desk,
    "queue": shoot_queue,
    "time": shoot_time,
    "example": shoot_example,
    "outage": shoot_outage,
}
LOGIN_STORIES: dict[str, Story] = {"login": shoot_login}
PAID_STORIES: dict[str, Story] = {"paid": shoot_paid}


def change_catalog(data: dict[str, Any]) -> None:
    """`cpu-large` can be had once and two hours a week, so that two users are enough for a queue; files are kept.

    A session of an hour that is extended once takes an hour and a half.
    """
    large = next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")
    large |= {"limit": 1, "session_minutes": 60, "allowance": {"class": "cpu"}}
    title = {"en": "CPU large", "zh": "CPU 大内存型"}
    data["allowances"]["classes"].append({"id": "cpu", "title": title, "hours": 2})
    data["keep"] = {"enabled": True, "limit": "1MiB"}
    data["sessions"] = data.get("sessions", {}) | {"extension_minutes": 30}


@contextmanager
def stack_with_hours() -> Iterator[Stack]:
    """The stack of all stories but the provider's."""
    with tempfile.TemporaryDirectory(prefix="freepool-") as place, mail_server() as box:
        folder = Path(place)
        settings = local_settings(folder / "settings.yaml", channels=channels_by(box))
        catalog = write_catalog(folder / "catalog.yaml", change_catalog)
        with running_stack(folder / "state", catalog=catalog, settings=settings) as stack:
            yield stack


def tell(browser: Browser, stack: Stack, camera: Camera, stories: dict[str, Story]) -> list[str]:
    """All stories in both languages; one that fails does not stop the others. Returns the names of those."""
    failed = []
    for name, story in stories.items():
        for language in LANGUAGES:
            began = time.monotonic()
            try:
                story(Shoot(browser, stack, camera, language))
            except Exception:  # a picture less is no reason for having none
                traceback.print_exc()
                failed.append(f"{name}, {language}")
            sys.stdout.write(f"{name}, {language}: {time.monotonic() - began:.0f} s\n")
    return failed


def main() -> int:
    """Take the pictures. Returns 1 if a story failed or a page does not fit its width."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="for all pictures: NAME-LANGUAGE-SCHEME-WIDTH.png")
    parser.add_argument("--docs", type=Path, help="docs/screenshots: English in light, Chinese in dark, small files")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=[*STORIES, *LOGIN_STORIES, *PAID_STORIES], help="these stories"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    camera = Camera(options.folder, options.docs)
    expect.set_options(timeout=PATIENCE_MS)
    failed: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        for stack_of, stories in (
            (stack_with_hours, STORIES), (stack_with_provider, LOGIN_STORIES), (stack_with_demo_cloud, PAID_STORIES),
        ):  # fmt: skip
            wanted = {name: story for name, story in stories.items() if not options.only or name in options.only}
            if wanted:
                with stack_of() as stack:
                    failed += tell(browser, stack, camera, wanted)
        browser.close()
    sys.stdout.write(f"{camera.taken} pictures\n")
    for problem in (*(f"failed: {name}" for name in failed), *(f"too wide: {it}" for it in camera.overflowing)):
        sys.stdout.write(f"{problem}\n")
    return 1 if failed or camera.overflowing else 0


if __name__ == "__main__":
    sys.exit(main())
