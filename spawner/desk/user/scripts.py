"""What a page's script imports, so that the browser fetches all of it at once instead of level by level."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

IMPORT = re.compile(r"""^import (?:[^"';]* from )?"(\.{1,2}/[^"]+)";$""", re.MULTILINE)


def imports_of(entry: str, static: Path) -> list[str]:
    """Paths below `static` of all that `entry` imports, directly or not, without `entry` itself, sorted."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        script = waiting.pop()
        text = (static / script).read_text(encoding="utf-8")
        imported = {_joined(PurePosixPath(script).parent, path) for path in IMPORT.findall(text)}
        waiting += imported - found
        found |= imported
    return sorted(found - {entry})


def _joined(folder: PurePosixPath, path: str) -> str:
    """`path` as seen from `folder`, without `..`."""
    parts: list[str] = []
    for part in (folder / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
