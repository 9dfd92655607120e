"""docs/trials.md names tests that exist."""

from __future__ import annotations

import re

from tests.stack import PROJECT
from tests.unit.test_attacks import TEST, found_in

LEAST = 30
LINK = re.compile(r"\[[^]]+\]\(([a-z-]+\.md)#([a-z-]+)\)")


def test_every_trial_has_a_test_or_documented_commands() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in (PROJECT / "docs" / "trials.md").read_text().splitlines()
        if re.match(r"\| \d+ \|", line)
    ]
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= LEAST
    for _, trial, _, tried in rows:
        if found := TEST.fullmatch(tried):
            assert found[2] in found_in(PROJECT / "tests" / found[1]), trial
        else:
            page, anchor = LINK.fullmatch(tried).groups()  # type: ignore[union-attr]
            titles = re.findall(r"^#+ (.+)$", (PROJECT / "docs" / page).read_text(), re.MULTILINE)
            assert anchor in {title.lower().replace(" ", "-") for title in titles}, trial
