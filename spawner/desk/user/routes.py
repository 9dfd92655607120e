"""The URLs of the user's page and API."""

from __future__ import annotations

from pydantic import BaseModel

from spawner.desk.requests import EmptyRequest
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.desk.user import instance, pages, session
from spawner.desk.user.requests import StartRequest, TicketAnswer
from spawner.desk.user.state import State


def _look(summary: str, answer: Answer) -> Operation:
    return Operation("get", summary, {200: answer, **errors(FORBIDDEN="Not signed in.")})


def _change(summary: str, request: type[BaseModel], *done: int) -> Operation:
    answers = dict.fromkeys(done, Answer("The desk afterwards.", State)) | errors(
        BAD_REQUEST="An id that the catalog does not know, or a body that cannot be read.",
        FORBIDDEN="Not signed in, or no XSRF token.",
        CONFLICT="There is one already, or something is under way.",
        INTERNAL_SERVER_ERROR="The pool tried and failed.",
        SERVICE_UNAVAILABLE="Nothing of it is free, or the hub is away.",
    )
    return Operation("post", summary, answers, request)


ROUTES: tuple[Route, ...] = (
    Route("", pages.PageHandler),
    Route("api/state", pages.StateHandler, (_look("Everything on the desk", Answer("Now.", State)),)),
    Route("api/events", pages.EventsHandler),
    Route(
        "api/session",
        session.SessionHandler,
        (
            Operation(
                "get",
                "Your running instance; all that a notebook server may read here with its own token",
                {
                    200: Answer("Now.", session.SessionView),
                    **errors(FORBIDDEN="Not signed in.", CONFLICT="No instance runs."),
                },
            ),
        ),
    ),
    Route(
        "api/instance",
        instance.StartHandler,
        (_change("Start an instance; 202 while it starts, or stands in line", StartRequest, 200, 201, 202),),
    ),
    Route(
        "api/ticket",
        instance.TicketHandler,
        (
            _look(
                "Your place in line; poll it, or follow /api/events", Answer("Null where you have none.", TicketAnswer)
            ),
            _change("Stand in line, while an instance runs", StartRequest, 202),
        ),
    ),
    Route(
        "api/ticket/cancel",
        instance.CancelTicketHandler,
        (_change("Leave the line, whatever has come of it", EmptyRequest, 200),),
    ),
    Route(
        "api/ticket/take",
        instance.ClaimTicketHandler,
        (_change("Wipe what runs, and start what is held for you", EmptyRequest, 201, 202),),
    ),
    Route(
        "api/instance/stop",
        instance.StopHandler,
        (_change("Stop it, or cancel its start; wipes everything", EmptyRequest, 200, 202),),
    ),
    Route(
        "api/instance/restart",
        instance.RestartHandler,
        (_change("Stop it and start a fresh one of the same kind", EmptyRequest, 200, 201, 202),),
    ),
)
ICON = Route("icons/{id}.svg", pages.IconHandler, parameters=(Parameter("id", {"type": "string"}, "[a-z0-9-]+"),))
"""It needs no user, and so none of what the others are given."""
