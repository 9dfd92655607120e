"""Configures a hub of Freepool's own to show its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spawner.hub.pages.files import handlers
from spawner.hub.pages.language import translate_pages
from spawner.hub.pages.signed_in import note_sign_ins

TEMPLATES = Path(__file__).parent / "templates"


def use_pages(c: Any) -> None:
    """Add the templates after those that the hub's file names: they win over these, and these over JupyterHub's."""
    hub = c.JupyterHub
    hub.template_paths = [*hub.template_paths, str(TEMPLATES)]
    hub.extra_handlers = [*hub.extra_handlers, *handlers()]
    translate_pages()
    note_sign_ins()
