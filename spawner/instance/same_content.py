"""A notebook file is written only where that changes it.

JupyterLab saves a notebook when it opens it, because it sets what the kernel says of its language, also to what is
there already. A file that was only looked at then looks like one that the user has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import nbformat
from jupyter_server.services.contents.fileio import AsyncFileManagerMixin


def install() -> None:
    """For all file managers of this process."""
    manager: Any = AsyncFileManagerMixin
    manager._save_notebook = _unless_same(manager._save_notebook)


def _unless_same(save: Callable[..., Any]) -> Callable[..., Any]:
    """A method that saves a notebook: do nothing where the file has that content."""

    @wraps(save)
    async def saved(
        manager: Any, os_path: str, notebook: Any, capture_validation_error: dict[str, Any] | None = None
    ) -> None:
        if not await asyncio.to_thread(has_content, Path(os_path), notebook, capture_validation_error):
            await save(manager, os_path, notebook, capture_validation_error=capture_validation_error)

    return saved


def has_content(file: Path, notebook: Any, problems: dict[str, Any] | None = None) -> bool:
    """Whether a file is what `nbformat` would write. It notes what is wrong with the notebook in `problems`."""
    try:
        there = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    write: Callable[..., str] = nbformat.writes
    text = write(notebook, version=nbformat.NO_CONVERT, capture_validation_error=problems)
    return there == (text if text.endswith("\n") else text + "\n")
