"""How Python's kernels start.

Without the notebook file's folder on Python's path: a repository may hold an `ipykernel_launcher.py`. IPython adds the
folder once the kernel runs, so a notebook still imports the modules beside it. With `python -P` it would not.

And without matplotlib's complaint about the font for Chinese. Most of these have one weight, so that each bold label
would bring a warning that the user has done nothing for.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from spawner.instance.features import CHINESE_FONTS

LAUNCH = ["-m", "ipykernel_launcher"]
FONTS = sorted({name for name, _ in CHINESE_FONTS})
CALM = [
    "-c",
    "import sys; sys.path[:1] = []; import logging, runpy; "
    "logging.getLogger('matplotlib.font_manager').addFilter("
    f"lambda record: 'font weight' not in record.msg or not set({FONTS}).intersection(record.args)); "
    "runpy.run_module('ipykernel_launcher', run_name='__main__', alter_sys=True)",
]
"""`python -c` has the working folder first on its path, as `python -m` has."""


def with_safe_path(argv: list[str]) -> list[str]:
    """The command of a kernel; one that does not start a Python kernel stays as it is."""
    at = next((number for number in range(len(argv)) if argv[number : number + 2] == LAUNCH), None)
    return argv if at is None else [*argv[:at], *CALM, *argv[at + 2 :]]


class SafePathSpecs(KernelSpecManager):
    """Changes the commands of Python's kernels."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernel's specification."""
        spec = super().get_kernel_spec(kernel_name)
        spec.argv = with_safe_path(list(spec.argv))
        return spec
