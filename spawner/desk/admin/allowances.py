"""The administrator's page of allowances, and the forms that give hours and give them back. They need no script."""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import Connection

from spawner.desk.admin.allowance_view import GRANT_WEEKS, read_overview
from spawner.desk.admin.people import PeopleHandler
from spawner.desk.allowances import SOURCES, class_title, refund_in_short
from spawner.desk.durations import LOCALES
from spawner.desk.formats import Formats
from spawner.desk.requests import form_fields
from spawner.desk.routes import Route
from spawner.errors import BadOption, Refusal
from spawner.ledger.time.rows import Grant
from spawner.pool.admin.find_person import find_person
from spawner.pool.build import new_id, utc_now
from spawner.pool.time import corrections

log = logging.getLogger("freepool.desk")


class AllowanceHandler(PeopleHandler):
    """Base of the page and its forms."""

    async def show_page(self, *, status: int = 200, problem: str = "", given: dict[str, str] | None = None) -> None:
        """Send the page; `given` is what a refused form had."""
        catalog, language, now = self.desk.catalog, self.language_texts.language, utc_now()
        overview = await self.desk.ledger.aread(read_overview, catalog, now)
        self.show(
            "admin/allowances.html",
            status=status,
            overview=overview,
            classes=catalog.allowances.classes,
            resets_at=catalog.allowances.week(now).end,
            problem=problem,
            given=given or {},
            new_form=new_id,
            weeks=GRANT_WEEKS,
            sources=SOURCES,
            formats=Formats(LOCALES[language], self.zone),
            amount=self.amount,
            title=partial(class_title, catalog, language=language),
            why=lambda reason: refund_in_short(reason, self.language_texts),
            name_of=lambda person_id: overview.names.get(person_id, person_id),
        )

    @property
    def here(self) -> str:
        """The page: its forms have no page of their own."""
        return f"{self.desk.base}admin/allowances"


class AllowancesPage(AllowanceHandler):
    """GET /admin/allowances"""

    async def get(self) -> None:
        """The page."""
        await self.show_page()


class ChangeHandler(AllowanceHandler):
    """Base of the two forms. A refused one is shown again with what was written."""

    async def post(self) -> None:
        """Write, and redirect to the page that the form was on: of the page of allowances, to the list of changes."""
        fields = form_fields(self)
        fields.pop("_xsrf", None)
        try:
            made = await self.desk.ledger.awrite(self.change, fields)
        except Refusal as error:
            await self.show_page(status=error.status, problem=self.text_of(error), given=fields)
            return
        log.info("administrator %s: %s of %d s of %s to %s", self.user_name, made.source, made.seconds, made.class_id,
                 made.person_id)  # fmt: skip
        is_of_person = fields.get("back") == "person"
        self.redirect(
            f"{self.desk.base}admin/people/{made.person_id}" if is_of_person else f"{self.here}#by-hand", status=303
        )

    def change(self, connection: Connection, fields: dict[str, str]) -> Grant:
        """Write it. Raises `BadOption` and `Conflict`."""
        raise NotImplementedError


class GrantForm(ChangeHandler):
    """POST /admin/allowances/grant: `person` (name or id), `class`, `hours`, `weeks`, `reason`, and `id` of the form"""

    def change(self, connection: Connection, fields: dict[str, str]) -> Grant:
        """Write the grant."""
        now, weeks = utc_now(), fields.get("weeks", GRANT_WEEKS[0])
        if weeks not in GRANT_WEEKS:
            raise BadOption("Invalid request: {why}.", next_step="Reload the page, then try again.", why="weeks")
        return corrections.give(
            connection,
            self.desk.catalog,
            grant_id=form_id(fields),
            person_id=find_person(connection, fields.get("person", "")).id,
            class_id=fields.get("class", ""),
            hours=corrections.hours_of(fields.get("hours", "")),
            until=corrections.end_of_weeks(self.desk.catalog, now, int(weeks)),
            reason=fields.get("reason", ""),
            by=self.user_name,
            now=now,
        )


class RefundForm(ChangeHandler):
    """POST /admin/allowances/refund: `run` (id), `reason`, and `id` of the form"""

    def change(self, connection: Connection, fields: dict[str, str]) -> Grant:
        """Write the refund."""
        return corrections.refund(
            connection,
            self.desk.catalog,
            grant_id=form_id(fields),
            instance_id=fields.get("run", ""),
            reason=fields.get("reason", ""),
            by=self.user_name,
            now=utc_now(),
        )


def form_id(fields: dict[str, str]) -> str:
    """The id that the page gave the form, so that a form that is sent twice gives once."""
    found = fields.get("id", "")
    return found if found.isascii() and found.isalnum() and len(found) <= 32 else new_id()


ROUTES: tuple[Route, ...] = (
    Route("admin/allowances", AllowancesPage),
    Route("admin/allowances/grant", GrantForm),
    Route("admin/allowances/refund", RefundForm),
)
