"""Before an image's environment is installed anew: moves it aside where notebooks run in it.

Usage: set_aside.py FOLDER. Packages that change under a running program break what it imports later. A sandbox holds
the folder itself, wherever it is moved to, so what runs keeps all the packages that it began with. Environments that
were moved to `.before` and are in no sandbox any more are removed.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BEFORE = ".before"


def mounts() -> Iterator[tuple[str, str]]:
    """Source, within its file system, and place of each mount of each process that may be looked at."""
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            for line in table.read_text().splitlines():
                source, place = line.split(" ")[3:5]
                yield source, place


def set_aside(folder: Path) -> Path | None:
    """Remove what nothing uses any more, and move `folder` if a sandbox has it. Returns where to."""
    if folder.is_symlink() or not folder.is_dir():
        return None  # a link leads to what other checkouts use, too: `hub_config/setup` replaces it
    found, before = [*mounts()], folder.parent / BEFORE
    for old in before.glob("*"):
        if not any(source.endswith(f"/{BEFORE}/{old.name}") for source, _ in found):
            shutil.rmtree(old, ignore_errors=True)
    path = str(folder.resolve())
    if not any(place == path and f"/{BEFORE}/" not in source for source, place in found):
        return None
    before.mkdir(exist_ok=True)
    target = before / f"{folder.name}-{time.time_ns()}"
    try:
        folder.rename(target)
    except OSError:  # a layer of a container's file system; then its packages are changed in place
        return None
    return target


if __name__ == "__main__":
    if set_aside(Path(sys.argv[1])) is not None:
        name = Path(sys.argv[1]).name
        sys.stdout.write(
            f"freepool: image {name}: notebooks that run keep their packages; new ones get those of the lock\n"
        )
