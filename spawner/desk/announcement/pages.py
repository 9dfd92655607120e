"""What is announced now, for scripts of open pages. It is public: the login page shows it, too."""

from __future__ import annotations

from spawner.desk.announcement.read import AnnouncementAnswer, current
from spawner.desk.http import JsonHandler
from spawner.desk.routes import Answer, Operation, Route
from spawner.pool.build import utc_now


class AnnouncementHandler(JsonHandler):
    """GET /api/announcement"""

    needs_user = False

    async def get(self) -> None:
        """Now, in the language of the request."""
        found = await current(self.desk, self.language_texts.language, utc_now())
        self.answer(AnnouncementAnswer(announcement=found))


ROUTES: tuple[Route, ...] = (
    Route(
        "api/announcement",
        AnnouncementHandler,
        (
            Operation(
                "get",
                "What administrators announce now; for everybody",
                {200: Answer("Null for nothing.", AnnouncementAnswer)},
                is_public=True,
            ),
        ),
    ),
)
