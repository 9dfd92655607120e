"""The texts, for everybody; and the page on which a user accepts them."""

from __future__ import annotations

from tornado.httputil import url_concat

from spawner.desk.common import use_asked_language
from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.desk.requests import form_fields
from spawner.desk.terms.check import PAGE, local_target, remember
from spawner.i18n import LANGUAGE_NAMES
from spawner.ledger.people import terms
from spawner.pool.build import new_id, utc_now
from spawner.terms.documents import blocks

TITLES = {"terms": "Terms of use", "privacy": "Privacy"}


class TextHandler(Handler):
    """GET /terms and /privacy, without a sign-in"""

    needs_user = False
    shows_account = True

    def initialize(self, desk: Desk, name: str) -> None:
        """`name` is one of `TITLES`."""
        super().initialize(desk)
        self.name = name

    def get(self) -> None:
        """The text. `?language=` chooses the language, as on the landing page."""
        use_asked_language(self)
        here, documents = f"{self.desk.base}{self.name}", self.desk.documents
        self.finish(
            self.render_page(
                "terms/text.html",
                title=self.say(TITLES[self.name]),
                version_of_text=documents.version,
                parts=blocks(getattr(documents, self.name).in_language(self.language_texts.language)),
                languages=[(tag, name, url_concat(here, {"language": tag})) for tag, name in LANGUAGE_NAMES.items()],
            )
        )


class AcceptHandler(Handler):
    """GET and POST /terms/accept"""

    serves_unaccepted = True

    async def get(self) -> None:
        """Both texts and the question; where the user has accepted, when that was."""
        await self._show(local_target(self.get_query_argument("next", ""), self.desk.base))

    async def post(self) -> None:
        """Write the acceptance, and redirect to where the user was going."""
        fields, documents = form_fields(self), self.desk.documents
        target = local_target(fields.get("next", ""), self.desk.base)
        if fields.get("version") != documents.version:
            await self._show(target, changed=True)
            return
        await self.desk.ledger.awrite(
            terms.accept,
            self.person_id,
            documents.version,
            documents.as_json(),
            language=self.language_texts.language,
            now=utc_now(),
            new_id=new_id(),
        )
        remember(self.desk, self.person_id)
        self.redirect(target, status=303)

    async def _show(self, target: str, *, changed: bool = False) -> None:
        documents, language = self.desk.documents, self.language_texts.language
        own = await self.desk.ledger.aread(terms.acceptances, at_most=100, person_id=self.person_id)
        present = next((one for one in own if one.version == documents.version), None)
        self.finish(
            self.render_page(
                "terms/accept.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                texts=[
                    (name, self.say(title), blocks(getattr(documents, name).in_language(language)))
                    for name, title in TITLES.items()
                ],
                version_of_text=documents.version,
                accepted=None if present is None else self.time_text(present.accepted_at),
                is_new=bool(own) and present is None,
                changed=changed,
                target=target,
            )
        )

    @property
    def here(self) -> str:
        """This page; after a POST without the target."""
        if self.request.method == "GET":
            return super().here
        return f"{self.desk.base}{PAGE}"
