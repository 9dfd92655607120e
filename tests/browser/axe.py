"""axe-core on a page."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

ON_COLOUR = ("color-contrast", "link-in-text-block")
"""The rules whose result depends on the colour scheme."""

RUN = """options => axe.run(document, options).then(
  found => found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`)))"""


def violations(page: Page, *, only: Sequence[str] = ()) -> list[str]:
    """What axe finds in the page as it is, by all rules or `only` by some: the rule and the element, one line each."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(AXE_SCRIPT)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if only:
        options["runOnly"] = list(only)
    found: list[str] = page.evaluate(RUN, options)
    return found


def findings(page: Page, state: str) -> list[str]:
    """The violations in the light and the dark scheme, one line each."""
    found = []
    for scheme, rules in (("light", ()), ("dark", ON_COLOUR)):
        # Without motion, because axe would measure the contrast of a colour in transition.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += [f"{state}, {scheme}: {violation}" for violation in violations(page, only=rules)]
    return found
