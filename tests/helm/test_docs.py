"""The documentation names existing values, with their defaults."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.helm import values_table
from tests.helm.chart import CHART, render
from tests.stack import PROJECT

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
PAGE = (PROJECT / "docs" / "kubernetes.md").read_text()
TABLE = PAGE.split("| value | default | |")[1].split("\n\n")[0]
NAMED = re.findall(r"`([a-zA-Z0-9.]+)`", " ".join(row.split("|")[1] for row in TABLE.splitlines() if row))


@pytest.mark.parametrize("path", NAMED)
def test_a_value_that_the_page_names_exists(path: str) -> None:
    found: Any = DEFAULTS
    for part in path.split("."):
        assert part in found
        found = found[part]


def test_the_page_names_every_kind_of_value() -> None:
    elsewhere = {"fullnameOverride", "ingress", "existingHub"}
    assert {path.split(".")[0] for path in NAMED} == set(DEFAULTS) - elsewhere


def test_the_page_of_all_values_is_current() -> None:
    assert values_table.PAGE.read_text() == values_table.page(), "run python -m tests.helm.values_table"


def test_values_in_the_pages_examples_are_accepted() -> None:
    (example,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "ingress:" in block]
    assert render(yaml.safe_load(example.replace("…", "word")))
