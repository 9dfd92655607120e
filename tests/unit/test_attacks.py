"""docs/attacks.md and docs/security.md name tests that exist; the table of attacks is whole."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.backends.test_unprivileged import SUITES
from tests.stack import PROJECT

DOCS, TESTS = PROJECT / "docs", PROJECT / "tests"
LEAST = 60
"""Attacks in the table; there may be more."""
PLACES = ("one machine, as root", "as a user", "in pods")
TEST = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
NAMED = re.compile(r"`((?:tests/)?(?:[a-z_]+/)?test_\w+\.py)`")


def rows() -> list[tuple[int, list[str]]]:
    """Number and cells of each row of the tables of attacks."""
    found = []
    for line in (DOCS / "attacks.md").read_text().splitlines():
        if number := re.match(r"\| (\d+) \|", line):
            found.append((int(number[1]), [cell.strip() for cell in line.strip("|").split(" | ")]))
    return found


@cache
def found_in(file: Path) -> dict[str, set[str]]:
    """The tests that pytest collects in a file, with the names of their decorators and of the whole module's marks."""
    tree = ast.parse(file.read_text())
    marks = {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(to, ast.Name) and to.id == "pytestmark" for to in node.targets)
        for name in ast.walk(node.value)
        if isinstance(name, ast.Name)
    }
    holders = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test"))]
    return {
        node.name: marks
        | {name.id for one in node.decorator_list for name in ast.walk(one) if isinstance(name, ast.Name)}
        for holder in holders
        for node in holder.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def mistake(cells: list[str], column: int) -> str:
    """What is wrong with a cell; empty where nothing is."""
    cell = cells[column]
    if found := TEST.fullmatch(cell):
        file = TESTS / found[1]
        if not file.name.startswith("test_") or not file.exists():
            return f"{found[1]} does not exist"
        return "" if found[2] in found_in(file) else f"{found[1]} has no {found[2]}"
    if cell == "[user]" and column == 4:
        beside = TEST.fullmatch(cells[3])
        if not beside or Path(beside[1]).name not in {suite.partition("::")[0] for suite in SUITES}:
            return "no suite that is run as a user"
        return "needs root" if "as_root" in found_in(TESTS / beside[1])[beside[2]] else ""
    if (cell == "same" and column > 3) or re.fullmatch(r"does not apply: .{10,}", cell):
        return ""
    return f"{cell!r} is neither a test nor a reason"


def test_each_attack_has_a_test_in_each_place_or_a_reason() -> None:
    found = rows()
    wrong = [
        f"{number}, {place}: {said}"
        for number, cells in found
        for column, place in enumerate(PLACES, start=3)
        if (said := mistake(cells, column) if len(cells) == 6 else f"{len(cells)} cells")
    ]
    assert wrong == []
    assert len(found) >= LEAST


def test_attacks_are_numbered_and_told_once() -> None:
    numbers = [number for number, _ in rows()]
    assert numbers == list(range(1, len(numbers) + 1))
    told = [cells[1] for _, cells in rows()]
    assert sorted(set(told)) == sorted(told)


@pytest.mark.parametrize(
    "cell", ["`unit/test_attacks.py::test_nothing`", "`unit/make.py::test_x`", "", "same", "[user]", "does not apply"]
)
def test_a_cell_that_proves_nothing_is_found(cell: str) -> None:
    assert mistake(["", "", "", cell, "[user]", ""], 3)
    assert mistake(["", "", "", "`backends/test_network.py::test_what_packets_pass`", "[user]", ""], 4)


@pytest.mark.parametrize("page", ["security.md", "kubernetes.md"])
def test_each_file_of_tests_that_a_page_names_exists(page: str) -> None:
    text = (DOCS / page).read_text()
    named = NAMED.findall(text)
    assert named
    files = {file.name for file in TESTS.glob("*/test_*.py")}
    assert [name for name in named if not ((PROJECT / name).exists() if "/" in name else name in files)] == []


def test_each_promise_names_a_test() -> None:
    """In the tables of both pages; `the same` is the row above."""
    for page, heading in (("security.md", "# Isolation on one machine"), ("kubernetes.md", "## Isolation")):
        part = (
            (DOCS / page).read_text().partition(f"{heading}\n")[2].partition("| tested in |\n")[2].partition("\n\n")[0]
        )
        promises = [line.strip("| ").split(" | ") for line in part.splitlines()[1:]]
        assert len(promises) > 8, page
        for *_, tested in promises:
            assert NAMED.search(tested) or tested.startswith("the same"), (page, tested)
