"""Kernels start without the notebook file's folder on Python's path: a repository may hold an `ipykernel_launcher.py`.

IPython adds the folder once the kernel runs, so a notebook still imports the modules beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

LAUNCH = ["-m", "ipykernel_launcher"]


def with_safe_path(argv: list[str]) -> list[str]:
    """The command with `python -P`, where it starts a kernel by the Python of this server, which knows `-P`."""
    if argv[1:3] != LAUNCH or Path(argv[0]).parent not in (Path(), Path(sys.executable).parent):
        return argv
    return [argv[0], "-P", *argv[1:]]


class SafePathSpecs(KernelSpecManager):
    """Adds `-P` to the commands of Python's kernels."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernel's specification."""
        spec = super().get_kernel_spec(kernel_name)
        spec.argv = with_safe_path(list(spec.argv))
        return spec
