"""The URLs of the user's page and API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from spawner.desk.i18n import LANGUAGES
from spawner.desk.requests import EmptyRequest
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.desk.user import channel_routes, end, history, instance, landing, pages, save_routes, session
from spawner.desk.user.requests import StartRequest, TicketAnswer
from spawner.desk.user.session_views import (
    AllowancesView,
    AnswerRequest,
    ExtendRequest,
    SeenRequest,
    SessionView,
)
from spawner.desk.user.views import State

LANGUAGE = Parameter("language", {"type": "string", "enum": list(LANGUAGES)})


def _read(summary: str, answer: Answer) -> Operation:
    return Operation("get", summary, {200: answer, **errors(FORBIDDEN="Not signed in.")})


def _change(summary: str, request: type[BaseModel], *done: int) -> Operation:
    answers = dict.fromkeys(done, Answer("The state after the request.", State)) | errors(
        BAD_REQUEST="Unknown id, or invalid body.",
        FORBIDDEN="Not signed in, or no XSRF token.",
        CONFLICT="The user has an instance or ticket already, or another request is in progress.",
        INTERNAL_SERVER_ERROR="The pool could not carry out the request.",
        SERVICE_UNAVAILABLE="No capacity for the flavor, or JupyterHub does not answer.",
    )
    return Operation("post", summary, answers, request)


def _session(method: Literal["get", "post"], summary: str, request: type[BaseModel] | None = None) -> Operation:
    """What a notebook server may do with its own token, for its own instance."""
    refused = {"BAD_REQUEST": "Unknown id, or invalid body."} if request is not None else {}
    answers = {
        200: Answer("The session now.", SessionView),
        **errors(
            FORBIDDEN="Not signed in, or no XSRF token.",
            CONFLICT="No notebook is running, or it cannot be extended: `code` says why.",
            **refused,
        ),
    }
    return Operation(method, summary, answers, request, query=(LANGUAGE,))


ROUTES: tuple[Route, ...] = (
    Route("", pages.PageHandler),
    Route("api/state", pages.StateHandler, (_read("State of the user's page", Answer("The current state.", State)),)),
    Route("api/events", pages.EventsHandler),
    Route("sign-in", landing.SignInHandler),
    Route(
        "api/free",
        landing.FreeHandler,
        (
            Operation(
                "get",
                "What is free now; for everybody",
                {200: Answer("By machine type.", landing.FreeAnswer)},
                is_public=True,
            ),
        ),
    ),
    Route("api/session", session.SessionHandler, (_session("get", "Your running instance, until when, and notices"),)),
    Route("api/session/events", session.SessionEventsHandler),
    Route(
        "api/session/extend",
        session.ExtendHandler,
        (_session("post", "Extend your session by one extension", ExtendRequest),),
    ),
    Route(
        "api/session/notices",
        session.NoticesHandler,
        (_session("post", "Note that a page shows notices", SeenRequest),),
    ),
    Route(
        "api/session/answer",
        session.AnswerHandler,
        (_session("post", "Answer a notice; the first answer stays", AnswerRequest),),
    ),
    Route(
        "api/allowance",
        session.AllowanceHandler,
        (_read("Your hours of this week, by class", Answer("The classes.", AllowancesView)),),
    ),
    Route(
        "api/instance",
        instance.StartHandler,
        (_change("Start an instance; 202 while it starts or is queued", StartRequest, 200, 201, 202),),
    ),
    Route(
        "api/ticket",
        instance.TicketHandler,
        (
            _read("Your ticket in the queue; poll it, or follow /api/events", Answer("Null for none.", TicketAnswer)),
            _change("Join the queue while you have an instance", StartRequest, 202),
        ),
    ),
    Route(
        "api/ticket/cancel",
        instance.CancelTicketHandler,
        (_change("Cancel your ticket, waiting or called", EmptyRequest, 200),),
    ),
    Route(
        "api/ticket/take",
        instance.ClaimTicketHandler,
        (_change("Wipe your instance, and start the one that your called ticket reserves", EmptyRequest, 201, 202),),
    ),
    Route(
        "api/instance/stop",
        instance.StopHandler,
        (_change("Stop and wipe your instance, or cancel its start", EmptyRequest, 200, 202),),
    ),
    Route(
        "api/instance/restart",
        instance.RestartHandler,
        (_change("Wipe your instance and start a new one with the same choices", EmptyRequest, 200, 201, 202),),
    ),
    *channel_routes.PAGES,
    *history.ROUTES,
    *save_routes.ROUTES,
    Route(
        "api/end/{id}",
        end.EndHandler,
        (
            Operation(
                "get",
                "Why an instance has ended, by the `end_url` of its session: without a sign-in, from any origin",
                {
                    200: Answer("Now.", end.EndView),
                    **errors(NOT_FOUND="No such instance, or a wrong key."),
                },
                query=(Parameter("key", {"type": "string"}), Parameter("language", {"type": "string"})),
                is_public=True,
            ),
        ),
        parameters=(Parameter("id", {"type": "string"}, "[0-9a-f]+"),),
    ),
)
ICON = Route("icons/{id}.svg", pages.IconHandler, parameters=(Parameter("id", {"type": "string"}, "[a-z0-9-]+"),))
"""Its handler needs no user, so it gets none of the other handlers' `initialize` arguments."""
