"""Refusals in the form that JupyterHub shows to users."""

from __future__ import annotations

import html

from jupyterhub.spawner import SpawnException

from spawner.errors import Queued, Refusal
from spawner.hub.login.pages import Heading
from spawner.refusals import REFUSAL_HEADER, encode_refusal


class SpawnRefused(SpawnException):
    """A policy refusal. JupyterHub logs no traceback for it and does not count it towards its failure limit."""

    def __init__(self, refusal: Refusal) -> None:
        words = " ".join(part for part in (refusal.message, refusal.next_step) if part)
        super().__init__(words, reason=refusal.code, status_code=refusal.status)
        # JupyterHub's progress page and its error pages read these two, not SpawnException's own message_html.
        self.jupyterhub_message = words
        self.jupyterhub_html_message = f"<p>{html.escape(refusal.message)}</p><p>{html.escape(refusal.next_step)}</p>"
        self.heading = Heading.NOT_STARTED
        self.headers = {REFUSAL_HEADER: encode_refusal(refusal)}
        if isinstance(refusal, Queued):
            self.headers["Retry-After"] = str(refusal.facts["retry_after"])
