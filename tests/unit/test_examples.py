"""Every example is there for readers of each language, with the same code, and is laid out as JupyterLab writes it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from spawner.catalog import Example, load_catalog
from spawner.instance.examples import lay_out
from spawner.instance.same_content import has_content
from tests.stack import PROJECT

SOURCE = PROJECT / "images" / "examples"
EXAMPLES = load_catalog(PROJECT / "hub_config" / "catalog.yaml").examples
CHINESE = re.compile("[\u3400-\u9fff]")


def cells(path: str, kind: str) -> list[str]:
    notebook = json.loads((SOURCE / path).read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def texts(tree: ast.AST) -> list[str]:
    """The strings in it. Afterwards they are empty there."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
            node.value = ""
    return found


each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)


@each_example
def test_both_languages_have_the_same_code(example: Example) -> None:
    for english, chinese in zip(
        cells(example.path_in("en"), "code"), cells(example.path_in("zh-CN"), "code"), strict=True
    ):
        one, other = ast.parse(english), ast.parse(chinese)
        for said, translated in zip(texts(one), texts(other), strict=True):
            assert said == translated or (CHINESE.search(translated) and not CHINESE.search(said)), (said, translated)
        assert ast.dump(one) == ast.dump(other)


@each_example
def test_each_notebook_file_is_in_one_language(example: Example) -> None:
    for english in cells(example.path_in("en"), "markdown"):
        assert len(CHINESE.findall(english)) < len(english) / 10, english
    for chinese in cells(example.path_in("zh-CN"), "markdown"):
        assert CHINESE.search(chinese), chinese
    for line in "\n".join(cells(example.path_in("en"), "code")).splitlines():
        assert not CHINESE.search(line.partition("#")[2]), line


@each_example
def test_an_example_shows_nothing_that_is_for_tests(example: Example) -> None:
    for language in ("en", "zh-CN"):
        assert not any("RESULT" in source for source in cells(example.path_in(language), "code"))


def test_an_example_is_laid_out_as_jupyterlab_would_write_it(tmp_path: Path) -> None:
    for path in laid_out(tmp_path).values():
        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, nbformat.NO_CONVERT)
            assert has_content(path, notebook), "opening it writes it anew"
            notebook.cells[0].source += "!"
            assert not has_content(path, notebook)
            assert not has_content(tmp_path / "new.ipynb", notebook)


def laid_out(tmp_path: Path) -> dict[str, Path]:
    lay_out(["ocr"], source=SOURCE, root=tmp_path)
    return {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}


def test_an_example_is_laid_out_without_its_picture(tmp_path: Path) -> None:
    names = laid_out(tmp_path).keys()
    assert names == {"examples/ocr/ocr.ipynb", "examples/ocr/ocr.zh.ipynb", "examples/ocr/street-sign.jpg"}


def test_a_file_that_is_no_notebook_is_laid_out_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "source" / "mine"
    mine.mkdir(parents=True)
    for name, text in {
        "broken.ipynb": "{",
        "list.ipynb": "[]",
        "r.ipynb": '{"metadata": {"language_info": {}}}',
    }.items():
        (mine / name).write_text(text)
        lay_out(["mine"], source=tmp_path / "source", root=tmp_path)
        assert (tmp_path / "examples" / "mine" / name).read_text() == text
