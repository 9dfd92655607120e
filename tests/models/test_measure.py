"""`freepool examples measure` runs a notebook in its image and says what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spawner.errors import SetupError
from spawner.models.measure import measure
from tests.models.made import make_store
from tests.stack import PROJECT
from tests.unit import make

MIB = 1024**2
PYTHON = PROJECT / ".images/light/bin/python"


def notebook(folder: Path, *cells: str) -> None:
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    made = [{**code, "source": one} for one in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "one").mkdir()
    (folder / "one/one.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": made})
    )


CHILD = "import time; held = b'y' * (100 << 20); time.sleep(.5)"


def test_memory_of_all_processes_and_files_are_counted_and_models_are_found(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    notebook(
        tmp_path / "examples",
        "import subprocess, sys\nheld = b'x' * (100 << 20)",
        f"subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)",
        "open('made', 'wb').write(b'z' * (5 << 20))",
        "from modelscope import snapshot_download\nassert snapshot_download('Qwen/Tiny1.5', local_files_only=True)",
    )
    example = make.catalog().examples[0].model_copy(update={"path": "one/one.ipynb"})
    models = make_store(tmp_path / "models").folder
    found = measure(example, python=PYTHON, examples=tmp_path / "examples", models=models, environment={})
    assert 200 * MIB < found.memory < 500 * MIB
    assert 5 * MIB <= found.disk < 10 * MIB
    assert found.seconds > 0.5
    assert found.processor > 0


def test_a_notebook_that_fails_is_named_with_its_error(tmp_path: Path) -> None:
    notebook(tmp_path, "raise RuntimeError('no such thing')")
    example = make.catalog().examples[0].model_copy(update={"path": "one/one.ipynb"})
    with pytest.raises(SetupError, match=r"does not run to its end: RuntimeError: no such thing"):
        measure(example, python=PYTHON, examples=tmp_path, models=None, environment={})
