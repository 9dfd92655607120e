"""Prometheus' promtool, which tests/setup gets from Debian's package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.cluster.network import cache
from tests.stack import PROJECT

RULES = PROJECT / "helm" / "files" / "alerts.yaml"


def promtool(*words: str | Path, given: str = "") -> None:
    """Run it, with `given` as its input. Fails with what it says."""
    program = shutil.which("promtool", path=str(cache() / "prometheus")) or shutil.which("promtool")
    assert program, "these tests need promtool: tests/setup gets it"
    done = subprocess.run([program, *map(str, words)], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
