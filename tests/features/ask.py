"""Runs the checklist in a notebook, wherever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spawner.instance.features import FEATURES
from tests.backends.notebook import Notebook

SCRIPT = Path(__file__).with_name("inside.py")
EXPORT_SECONDS = 60
NOTEBOOK = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {},
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# 标题\n\n*text*"}],
}  # fmt: skip


async def ask(notebook: Notebook, sizes: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Results by entry; `sizes`: bytes by folder. Every entry has one."""
    await notebook.run(f"open('/mnt/workspace/inside.py', 'w').write({SCRIPT.read_text()!r})")
    said = await notebook.run(
        f"""
        import subprocess, sys
        print(subprocess.run([sys.executable, '/mnt/workspace/inside.py', {json.dumps(sizes)!r}],
              capture_output=True, text=True).stdout)
        """,
        seconds=300,
    )
    found = {one["id"]: one for one in map(json.loads, filter(None, said.splitlines()))}
    found["exports"] = await _exports(notebook)
    return {entry.id: found[entry.id] for entry in FEATURES}


async def _exports(notebook: Notebook) -> dict[str, Any]:
    """Make every format that the server offers."""
    status, _ = await notebook.call("PUT", "contents/export.ipynb", json={"type": "notebook", "content": NOTEBOOK})
    assert status in (200, 201)
    status, offered = await notebook.call("GET", "nbconvert")
    assert status == 200, offered
    broken = []
    for name in offered:
        address = f"{notebook.url}nbconvert/{name}/export.ipynb"
        headers = {"Authorization": f"token {notebook.token}"}
        async with notebook.session.get(address, headers=headers) as answer:
            if answer.status != 200 and name != "custom":  # a template of one's own, which JupyterLab does not list
                broken.append(f"{name}: {answer.status}")
    detail = "; ".join(broken) or ", ".join(sorted(offered))
    return {"id": "exports", "result": "fails" if broken else "works", "detail": detail, "seconds": 0}
