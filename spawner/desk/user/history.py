"""A person's runs and the hours they were given: a page, two files and an API. A banned person reads them, too."""

from __future__ import annotations

from tornado.iostream import StreamClosedError

from spawner.desk.allowances import UNLIMITED, amount
from spawner.desk.context import Desk
from spawner.desk.durations import LOCALES
from spawner.desk.formats import Formats
from spawner.desk.http import Handler, JsonHandler
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.desk.user.context import UserParts
from spawner.desk.user.history_csv import GRANT_COLUMNS, RUN_COLUMNS, grant_lines, header, run_lines
from spawner.desk.user.history_view import HistoryGrant, HistoryGrants, HistoryPage, grant_view, page_view
from spawner.errors import BadOption
from spawner.ledger.pool import run_history
from spawner.ledger.pool.run_history import Cursor
from spawner.ledger.time import allowance_use

PER_PAGE = 50
PER_WRITE = 500
"""Runs that one transaction reads for the file."""
MOST_GRANTS = 200
SHOWN_GRANTS = 50


class HistoryHandler(Handler):
    """Base of them all. Everybody reads their own rows only."""

    serves_banned = True

    def initialize(self, desk: Desk, parts: UserParts) -> None:  # noqa: ARG002  (every route of the user gets it)
        """Called by Tornado with the keyword arguments of the route."""
        super().initialize(desk)

    def cursor(self) -> Cursor | None:
        """Where the page begins; None for the newest run. Raises `BadOption`."""
        text = self.get_query_argument("cursor", "")
        found = Cursor.parse(text) if text else None
        if text and found is None:
            raise BadOption("This page of the history does not exist.", next_step="Start with the newest runs.")
        return found

    async def page(self, before: Cursor | None, at_most: int = PER_PAGE) -> tuple[HistoryPage, Cursor | None]:
        """Runs in the user's language, and the cursor of the next ones."""
        rows = await self.desk.ledger.aread(run_history.page, self.person_id, before=before, at_most=at_most)
        return page_view(rows, self.desk.catalog, self.language_texts), rows.following

    async def grants(self, at_most: int = MOST_GRANTS) -> list[HistoryGrant]:
        """What the person was given, in their language, newest first."""
        rows = await self.desk.ledger.aread(allowance_use.grants_of, self.person_id, at_most=at_most)
        return [grant_view(row, self.desk.catalog, self.language_texts) for row in rows]


class HistoryPageHandler(HistoryHandler):
    """GET /history?cursor=…"""

    async def get(self) -> None:
        """The page. The newest one has the grants, too."""
        before, language = self.cursor(), self.language_texts.language
        view, following = await self.page(before)
        self.finish(
            self.render_page(
                "user/history.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                view=view,
                is_newest=before is None,
                next_url=f"{self.desk.base}history?cursor={following}" if following else "",
                grants=await self.grants(SHOWN_GRANTS) if before is None else [],
                days=self.desk.catalog.limits.keep_history_days,
                formats=Formats(LOCALES[language], self.zone),
                amount=lambda seconds: self.say(UNLIMITED) if seconds is None else amount(seconds, language),
            )
        )


class HistoryFile(HistoryHandler):
    """GET /history.csv: a download of all runs"""

    async def get(self) -> None:
        """Newest first, sent as they are read."""
        send_as(self, "freepool-history.csv")
        self.write(header(RUN_COLUMNS))
        before: Cursor | None = None
        while True:
            view, before = await self.page(before, PER_WRITE)
            self.write(run_lines(view.runs, self.zone))
            try:
                await self.flush()
            except StreamClosedError:
                return
            if before is None:
                return


class GrantsFile(HistoryHandler):
    """GET /history-hours.csv: a download of what the person was given"""

    async def get(self) -> None:
        """The newest first."""
        send_as(self, "freepool-hours.csv")
        self.finish(header(GRANT_COLUMNS) + grant_lines(await self.grants(), self.zone))


class HistoryApi(HistoryHandler, JsonHandler):
    """GET /api/history?cursor=…"""

    async def get(self) -> None:
        """One page."""
        view, _ = await self.page(self.cursor())
        self.answer(view)


class GrantsApi(HistoryHandler, JsonHandler):
    """GET /api/history/hours"""

    async def get(self) -> None:
        """All that the page shows, and more."""
        self.answer(HistoryGrants(grants=await self.grants()))


def send_as(handler: Handler, name: str) -> None:
    """What follows is a CSV file of this name."""
    handler.set_header("Content-Type", "text/csv; charset=utf-8")
    handler.set_header("Content-Disposition", f'attachment; filename="{name}"')


_CURSOR = Parameter("cursor", {"type": "string", "pattern": r"^[0-9]{1,17}\.[A-Za-z0-9-]{1,32}$"})
ROUTES: tuple[Route, ...] = (
    Route("history", HistoryPageHandler),
    Route("history.csv", HistoryFile),
    Route("history-hours.csv", GrantsFile),
    Route(
        "api/history",
        HistoryApi,
        (
            Operation(
                "get",
                "Your runs, newest first, 50 at a time: `next` is the `cursor` of the following ones",
                {
                    200: Answer("The runs.", HistoryPage),
                    **errors(BAD_REQUEST="Invalid cursor.", FORBIDDEN="Not signed in."),
                },
                query=(_CURSOR,),
            ),
        ),
    ),
    Route(
        "api/history/hours",
        GrantsApi,
        (
            Operation(
                "get",
                "Hours that you were given, newest first",
                {200: Answer("The grants.", HistoryGrants), **errors(FORBIDDEN="Not signed in.")},
            ),
        ),
    ),
)
