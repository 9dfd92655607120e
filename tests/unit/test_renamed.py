"""`docs/renamed.md` leads to names that exist."""

from __future__ import annotations

import re

import pytest

from tests.stack import PROJECT

PAGE = (PROJECT / "docs" / "renamed.md").read_text()
MODULES, REST = PAGE.split("## Classes, functions and constants")
ROWS = [
    (new, module)
    for _, new, module in re.findall(
        r"^\| (.+) \| (.+) \| (\S+) \|$", REST.split("## Fields and methods")[0], re.MULTILINE
    )
    if new != "is"
]


def source(module: str) -> str:
    """The text of `spawner.MODULE`."""
    path = PROJECT / "spawner" / module.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


@pytest.mark.parametrize(
    "module", [new for _, new in re.findall(r"^\| (\S+) \| (\S+) \|$", MODULES, re.MULTILINE) if new != "is"]
)
def test_a_new_module_exists(module: str) -> None:
    assert source(module) is not None


@pytest.mark.parametrize(("names", "module"), ROWS)
def test_a_new_name_is_in_the_module_that_is_named(names: str, module: str) -> None:
    for name in names.split(", "):
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", source(module)), name
