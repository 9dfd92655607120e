"""Whether the image has jupyter-server-proxy. Loads nothing but the standard library: the agent imports it."""

from __future__ import annotations

import importlib.util

PACKAGE = "jupyter_server_proxy"


def is_installed() -> bool:
    """Whether apps can be on paths."""
    return importlib.util.find_spec(PACKAGE) is not None


def modules() -> tuple[str, ...]:
    """What is worth importing before a user comes."""
    return (f"{PACKAGE}.handlers",) if is_installed() else ()
