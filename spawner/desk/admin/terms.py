"""The administrators' page of terms and privacy: versions, and who accepted which."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from spawner.desk.admin.pages import AdminHandler
from spawner.desk.routes import Route
from spawner.ledger.people import terms
from spawner.terms.documents import blocks

MOST = 500
"""Acceptances on the page."""


class TermsPage(AdminHandler):
    """GET /admin/terms?version=…"""

    async def get(self) -> None:
        """Versions, who accepted what, and the text of one version."""
        version = self.get_query_argument("version", "")[:64]
        found = await self.desk.ledger.aread(_read_terms, version)
        documents, language = self.desk.documents, self.language_texts.language
        texts = found["texts"] or {}
        self.finish(
            self.render_page(
                "admin/terms.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                when=self.time_text,
                documents=documents,
                version_shown=version if texts else "",
                shown=[
                    blocks((text.get("zh") if language.startswith("zh") else "") or text["en"])
                    for text in texts.values()
                ],
                versions=found["versions"],
                acceptances=found["acceptances"],
                most=MOST,
            )
        )


def _read_terms(connection: Connection, version: str) -> dict[str, Any]:
    return {
        "versions": terms.versions(connection),
        "acceptances": terms.acceptances(connection, at_most=MOST),
        "texts": terms.texts_of(connection, version) if version else None,
    }


ROUTES: tuple[Route, ...] = (Route("admin/terms", TermsPage),)
