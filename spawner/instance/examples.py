"""The examples of an image in the workspace of an instance.

JupyterLab writes the kernel's language into each notebook file that it opens. With that in the file already, opening an
example changes nothing: it is not shown as modified, and not counted among the files that the user has changed.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = "examples"
"""Below the workspace."""
OF_GALLERY = "icon.svg"
"""An example's picture, which only the desk shows."""


def python_language(version: str) -> dict[str, Any]:
    """What IPython's kernel says of its language. `version`: such as 3.11.2."""
    return {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": version,
    }


def lay_out(names: Sequence[str], *, source: Path, root: Path) -> None:
    """Copy examples into the workspace `root`: they are the user's to change, and gone with the instance.

    `names` are folders of `source`.
    """
    for name in names:
        target = root / FOLDER / name
        shutil.copytree(source / name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(OF_GALLERY))
        for file in target.rglob("*.ipynb"):
            _name_language(file)


def _name_language(file: Path) -> None:
    """Write this Python's version, which is that of the image's kernel, into a notebook file for Python."""
    try:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        if notebook["metadata"]["language_info"]["name"] != "python":
            return
        notebook["metadata"]["language_info"] = python_language(platform.python_version())
        file.write_text(json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError):  # an operator's own file: it is left as it is
        return
