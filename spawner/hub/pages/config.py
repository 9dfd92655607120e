"""Configures a hub of Freepool's own to show its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spawner.hub.pages.files import handlers, write_plain_errors
from spawner.hub.pages.language import translate_pages
from spawner.hub.pages.reports import note_request_ids
from spawner.hub.pages.signed_in import note_sign_ins, say_signed_out
from spawner.reports import TEMPLATES as REPORT_TEMPLATES
from spawner.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"


def use_pages(c: Any, settings: Settings) -> None:
    """Add the templates after those that the hub's file names: they win over these, and these over JupyterHub's."""
    hub = c.JupyterHub
    hub.template_paths = [*hub.template_paths, str(TEMPLATES), str(REPORT_TEMPLATES)]
    hub.extra_handlers = [*hub.extra_handlers, *handlers()]
    translate_pages(settings.report_to)
    note_request_ids()
    write_plain_errors()
    note_sign_ins()
    say_signed_out()
