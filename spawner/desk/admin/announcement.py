"""The administrators' page of the announcement."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from spawner.desk.admin.pages import AdminHandler
from spawner.desk.requests import form_fields
from spawner.desk.routes import Route
from spawner.errors import BadOption
from spawner.ledger.pool import admin_settings
from spawner.pool.admin import announcement as commands
from spawner.pool.admin.announcement import ANNOUNCEMENT, AnnouncementChange, announcement_of
from spawner.pool.admin.commands import EmptyCommand, read
from spawner.pool.build import utc_now

log = logging.getLogger("freepool.desk")
FIELD_TIME = "%Y-%m-%dT%H:%M"


class AnnouncementPage(AdminHandler):
    """GET and POST /admin/announcement"""

    async def get(self) -> None:
        """The form, with the present announcement."""
        await self._show()

    async def post(self) -> None:
        """Announce, or take it back with `end`; then show the page again."""
        desk, fields, now = self.desk, form_fields(self), utc_now()
        if "end" in fields:
            await desk.ledger.awrite(
                commands.end_announcement, desk.catalog, EmptyCommand(), now=now, by=self.user_name
            )
            log.info("administrator %s: announce/end", self.user_name)
            self.redirect(f"{desk.base}admin/announcement", status=303)
            return
        given = {name: fields.get(name, "") for name in ("en", "zh", "begins", "ends")}
        times = {name: self._time(given[name]) for name in ("begins", "ends")}
        try:
            change = read(AnnouncementChange, given | {"begins": times["begins"] or None, "ends": times["ends"]})
            await desk.ledger.awrite(commands.announce, desk.catalog, change, now=now, by=self.user_name)
        except BadOption as error:
            await self._show(given, problem=self.text_of(error), status=400)
            return
        log.info("administrator %s: announce %s", self.user_name, change.model_dump_json())
        self.redirect(f"{desk.base}admin/announcement", status=303)

    def _time(self, text: str) -> str:
        """A time of the form with the reader's time zone. Any other text is returned unchanged, and refused later."""
        try:
            return datetime.fromisoformat(text).replace(tzinfo=self.zone).isoformat()
        except ValueError:
            return text

    async def _show(self, given: dict[str, str] | None = None, *, problem: str = "", status: int = 200) -> None:
        rows, now = await self.desk.ledger.aread(admin_settings.all_of), utc_now()
        present, row = announcement_of(rows), rows.get(ANNOUNCEMENT)
        begins = present.begins if present is not None else now
        ends = present.ends if present is not None and present.ends > now else now + timedelta(days=1)
        values = given or {
            "en": present.en if present is not None else "",
            "zh": present.zh if present is not None else "",
            "begins": begins.astimezone(self.zone).strftime(FIELD_TIME),
            "ends": ends.astimezone(self.zone).strftime(FIELD_TIME),
        }
        self.set_status(status)
        self.finish(
            self.render_page(
                "admin/announcement.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                when=self.time_text,
                values=values,
                problem=problem,
                present=present,
                row=row,
                state_now=None if present is None else _state(present.begins, present.ends, now),
                zone=str(self.zone),
            )
        )


def _state(begins: datetime, ends: datetime, now: datetime) -> str:
    return "coming" if now < begins else "now" if now < ends else "over"


ROUTES: tuple[Route, ...] = (Route("admin/announcement", AnnouncementPage),)
