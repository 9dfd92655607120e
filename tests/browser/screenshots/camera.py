"""Takes one page in light and dark, wide and narrow, and keeps of these what the documents show."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.stack import PROJECT

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 780}
SIZES = (WIDE, PHONE)
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "zh-CN")
LARGEST = 100_000
"""Bytes of one screenshot of the documents. They stay in the repository's history."""
KEPT = {"en": "light", "zh-CN": "dark"}
"""The colour scheme in which the documents show a language."""
LOAD_PICTURES = """() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";
  return image.decode().catch(() => {});
}))"""
"""Pictures below the window load only when they are scrolled to."""
REPAINT = "import sys; from PIL import Image; Image.open(sys.argv[1]).convert('RGB')"
REPAINT += ".quantize(int(sys.argv[3])).save(sys.argv[2], optimize=True)"


def repaint(path: Path, target: Path) -> None:
    """Copy a screenshot with so many colours that it is small, with the Pillow of the light image."""
    python = PROJECT / ".images" / "light" / "bin" / "python"
    for colours in (128, 64, 48, 32, 24, 16):
        subprocess.run([python, "-c", REPAINT, path, target, str(colours)], check=True)
        if target.stat().st_size <= LARGEST:
            return
    raise AssertionError(f"{target.name} has {target.stat().st_size} bytes; at most {LARGEST} may be kept")


@dataclass
class Camera:
    """Writes `NAME-LANGUAGE-SCHEME-WIDTH.png` into `folder`, and `NAME.png` and `NAME-zh-dark.png` into `docs`.

    `overflowing` lists what does not fit its width.
    """

    folder: Path
    docs: Path | None = None
    overflowing: list[str] = field(default_factory=list)
    taken: int = 0

    def take(
        self,
        page: Page,
        name: str,
        language: str,
        *,
        keep: bool = False,
        full: bool = True,
        sizes: Sequence[dict[str, int]] = SIZES,
        schemes: Sequence[str] = SCHEMES,
    ) -> None:
        """Take the page in all variants of one language. `keep`: for the documents. `full`: what needs scrolling, too.

        JupyterLab needs its own time to be drawn in another scheme or size: ask for one of each there.
        """
        for size in sizes:
            page.set_viewport_size(size)  # type: ignore[arg-type]
            for scheme in schemes:
                page.evaluate(LOAD_PICTURES)
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
                path = self.folder / f"{name}-{language}-{scheme}-{size['width']}.png"
                path.parent.mkdir(exist_ok=True)
                page.screenshot(path=path, animations="disabled", full_page=full)
                self.taken += 1
                if keep and self.docs and size == WIDE and scheme == KEPT[language]:
                    self._keep(page, name, language)
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > size["width"]:
                self.overflowing.append(f"{name}, {language}: {width} px on {size['width']}")
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        sys.stdout.write(f"{name}, {language}\n")

    def _keep(self, page: Page, name: str, language: str) -> None:
        """Of the documents' pictures only the window, without what needs scrolling."""
        assert self.docs is not None
        whole = self.folder / "kept.png"
        options: dict[str, Any] = {"animations": "disabled", "full_page": False}
        page.screenshot(path=whole, **options)
        target = self.docs / f"{name}{'' if language == 'en' else '-zh-dark'}.png"
        target.parent.mkdir(exist_ok=True)
        repaint(whole, target)
        whole.unlink()
