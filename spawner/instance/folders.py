"""Makes what `features.py` names, at an instance's start: folders, links, limits, variables. Takes milliseconds."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import sys
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

from spawner.instance import features

log = logging.getLogger("freepool.folders")


def settle(root: Path, environment: MutableMapping[str, str]) -> None:
    """Prepare this process and its folders for the programs that it starts. Errors are logged: none is worth a start.

    `root` is the workspace. Variables that are set already win: an operator's or another image's.
    """
    for name, value in features.variables(str(root)).items():
        environment.setdefault(name, value)
    environment["PATH"] = features.with_scripts(environment.get("PATH", os.defpath), str(root))
    home = Path(environment.get("HOME", str(root)))
    steps: tuple[Callable[[], None], ...] = (
        lambda: move(home, root),
        lambda: choose_font(home, environment),
        set_limits,
    )
    for step in steps:
        try:
            step()
        except OSError as error:
            log.warning("not prepared: %s", error)


def move(home: Path, root: Path) -> None:
    """Have the `MOVED` folders of the home be links into the workspace, and make the folder of installed packages.

    A running Python imports from the latter only if it was there when that Python started.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (root / ".local/lib" / version / "site-packages").mkdir(parents=True, exist_ok=True)
    (root / ".cache").mkdir(exist_ok=True)
    if home.resolve() == root.resolve():
        return
    for name in features.MOVED:
        link = home / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to(root / name)


def choose_font(home: Path, environment: MutableMapping[str, str]) -> None:
    """Give matplotlib a second font, for what its own lacks, by its file of settings in the home."""
    settings = Path(environment.get("MPLCONFIGDIR", home / ".config/matplotlib")) / "matplotlibrc"
    name = next((name for name, path in features.CHINESE_FONTS if Path(path).exists()), None)
    if name is None or "MATPLOTLIBRC" in environment or settings.exists():
        return
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        f"# What the first font lacks comes from the second.\nfont.family: sans-serif, {name}\n", encoding="utf-8"
    )


def set_limits() -> None:
    """No memory dumps of crashed programs, and many open files."""
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = features.OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, features.OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def export_arguments(which: Callable[[str], str | None] = shutil.which) -> Sequence[str]:
    """Options that take formats out of JupyterLab's list whose programs are not there."""
    missing = (name for name, needs in features.EXPORTS if not needs or not all(map(which, needs)))
    return [f"--{name}.enabled=False" for name in missing]
