"""The URLs of open links."""

from __future__ import annotations

from spawner.desk.open import api, badge, pages
from spawner.desk.open.views import OpenView
from spawner.desk.requests import EmptyRequest
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors

PUBLIC: tuple[Route, ...] = (Route("open/badge", badge.BadgePage), Route("open/badge.svg", badge.BadgePicture))
"""For everybody."""
ROUTES: tuple[Route, ...] = (
    Route("open", pages.OpenPage),
    Route("open/sign-in", pages.SignInPage),
    Route("open/look", pages.LookPage),
    Route("open/wait", pages.WaitPage),
    Route(
        "api/open",
        api.OpenHandler,
        (
            Operation(
                "post",
                "Open the link whose Start was pressed in the running notebook; the same request again does the same",
                {
                    200: Answer("How far it is.", OpenView),
                    **errors(
                        BAD_REQUEST="Invalid body.",
                        FORBIDDEN="Not signed in, or no XSRF token.",
                        CONFLICT="The notebook has just ended.",
                    ),
                },
                EmptyRequest,
                query=(Parameter("wait", {"type": "string"}),),
            ),
        ),
    ),
)
