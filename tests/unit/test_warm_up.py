"""What the desk does at its start, so that the first visitor does not wait for it."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader
from jinja2.meta import find_referenced_templates

from spawner.desk.app import FOLDER
from spawner.desk.warm_up import FIRST_SEEN, compile_templates
from spawner.reports import TEMPLATES


def test_the_first_pages_compile_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Environment(loader=FileSystemLoader([FOLDER / "templates", TEMPLATES]), autoescape=True)
    compile_templates(templates)

    def compile_again(*_: Any, **__: Any) -> Any:
        raise AssertionError("a template was compiled for a visitor")

    source = FileSystemLoader([FOLDER / "templates", TEMPLATES])
    monkeypatch.setattr(Environment, "compile", compile_again)
    for name in FIRST_SEEN:
        templates.get_template(name)
        parsed = templates.parse(source.get_source(templates, name)[0])
        for referenced in find_referenced_templates(parsed):
            assert referenced is not None
            templates.get_template(referenced)
