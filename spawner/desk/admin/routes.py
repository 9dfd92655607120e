"""The URLs of the administrator's page and API, and of the metrics."""

from __future__ import annotations

from spawner.desk.admin import guard, pages
from spawner.desk.admin.commands import COMMANDS
from spawner.desk.admin.views import AdminState
from spawner.desk.routes import Answer, Operation, Route, errors

ROUTES: tuple[Route, ...] = (
    Route("admin", pages.AdminPageHandler),
    Route("operator((?:/.*)?)", pages.OldPageHandler, is_pattern=True),
    Route(
        "api/admin",
        pages.AdminStateHandler,
        (
            Operation(
                "get",
                "State of the administrator's page; administrators only",
                {200: Answer("The current state.", AdminState), **errors(FORBIDDEN="Not signed in.")},
            ),
        ),
        old_path="api/operator",
    ),
    Route("api/admin/events", pages.AdminEventsHandler, old_path="api/operator/events"),
    *(
        Route(
            f"api/admin/{path}",
            pages.AdminCommandHandler,
            (
                Operation(
                    "post",
                    command.summary,
                    {
                        200: Answer("The state after the command.", AdminState),
                        **errors(
                            BAD_REQUEST="Unknown id, or invalid body.",
                            FORBIDDEN="Not signed in, or no XSRF token.",
                        ),
                    },
                    command.model,
                ),
            ),
            options={"path": path, "command": command},
            old_path=f"api/operator/{path}",
        )
        for path, command in COMMANDS.items()
    ),
    Route("metrics", pages.MetricsHandler),
    *guard.ROUTES,
)
