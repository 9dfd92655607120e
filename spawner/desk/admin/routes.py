"""The URLs of the administrator's page and API."""

from __future__ import annotations

from pydantic import BaseModel

from spawner.desk.admin import (
    allowances,
    announcement,
    channels,
    guard,
    notebooks,
    pages,
    people,
    people_views,
    terms,
)
from spawner.desk.admin.commands import COMMANDS
from spawner.desk.admin.views import AdminState
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.pool.admin.commands import EmptyCommand
from spawner.pool.admin.people import BanChange

ID = (Parameter("id", {"type": "string", "pattern": "^[A-Za-z0-9-]{1,32}$"}, "[A-Za-z0-9-]{1,32}"),)
REFUSED = errors(
    FORBIDDEN="Not signed in, no administrator, or no XSRF token.", NOT_FOUND="There is no user with this id."
)
CHANGE_REFUSED = errors(
    BAD_REQUEST="Invalid body.", CONFLICT="Something of the user runs or is billed, or no ban holds."
)


def _person(path: str, handler: type[people.PeopleHandler], *operations: Operation) -> Route:
    return Route(f"api/admin/people/{{id}}{path}", handler, operations, ID)


def _read(summary: str, model: type[BaseModel], *query: Parameter) -> Operation:
    answers = {200: Answer("Now.", model), **REFUSED, **errors(BAD_REQUEST="Invalid query.")}
    return Operation("get", summary, answers, query=query)


def _change(summary: str, model: type[BaseModel], request: type[BaseModel] = EmptyCommand) -> Operation:
    answers = {200: Answer("After the change.", model), **REFUSED, **CHANGE_REFUSED}
    return Operation("post", summary, answers, request)


PEOPLE: tuple[Route, ...] = (
    Route("admin/people", people.PeoplePage),
    Route("admin/people/{id}", people.PersonPage, parameters=ID),
    Route("admin/people/{id}/ban", people.BanPage, parameters=ID),
    Route("admin/people/{id}/unban", people.UnbanPage, parameters=ID),
    Route("admin/people/{id}/forget", people.ForgetPage, parameters=ID),
    Route("admin/people/{id}/export.json", people.ExportFile, parameters=ID),
    Route(
        "api/admin/people",
        people.PeopleApi,
        (
            _read(
                "Users whose name contains a text, or whose id or hash begins with it",
                people_views.PeopleView,
                Parameter("q", {"type": "string"}),
            ),
        ),
    ),
    _person("", people.PersonApi, _read("One user, with bans, groups and runs", people_views.PersonView)),
    _person("/ban", people.BanApi, _change("Ban a user", people_views.PersonView, BanChange)),
    _person("/unban", people.UnbanApi, _change("Lift all bans of a user", people_views.PersonView)),
    _person("/export", people.ExportApi, _read("All rows of a user", people_views.ExportView)),
    _person(
        "/forget",
        people.ForgetApi,
        _read("What forgetting a user would remove and keep", people_views.ForgetView),
        _change("Forget a user", people_views.ForgetView),
    ),
)
ROUTES: tuple[Route, ...] = (
    *PEOPLE,
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
    *guard.ROUTES,
    *notebooks.ROUTES,
    *announcement.ROUTES,
    *terms.ROUTES,
    *channels.ROUTES,
    *allowances.ROUTES,
)
