"""The API's requests and errors, and its OpenAPI document, made from the same models that the handlers use."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import models_json_schema

from spawner import __version__
from spawner.catalog import echo
from spawner.desk.admin.commands import COMMANDS, AdminCommand
from spawner.desk.admin.views import AdminState
from spawner.desk.user.state import State, TicketView
from spawner.errors import BadOption


class StartRequest(BaseModel):
    """Ids from the catalog; what is left out is the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    flavor: str | None = None
    image: str | None = None
    example: str | None = None


class EmptyRequest(BaseModel):
    """An empty object."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorBody(BaseModel):
    """What happened, and what to do next. `details` are a program's or a cluster's own words; may be empty."""

    code: str
    message: str
    next: str
    details: str = ""


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorBody


class TicketAnswer(BaseModel):
    """The place in line, or null."""

    ticket: TicketView | None


LARGEST_BODY = 16 * 1024


def parse(model: type[BaseModel], body: bytes) -> BaseModel:
    """A request's body as `model`; an empty body is an empty object. Raises `BadOption`."""
    if len(body) > LARGEST_BODY:
        raise BadOption("The request is too large.", next_step="Send ids from the catalog, nothing else.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadOption(
                "{key} is not an option.",
                next_step="The options are: {known}.",
                key=echo(place),
                known=", ".join(model.model_fields) or "(none)",
            ) from None
        raise BadOption(
            "The request cannot be read: {why}.",
            next_step="Send a JSON object whose values are ids from the catalog.",
            why=f"{echo(place)}: {first['msg']}" if place else first["msg"],
        ) from None


def openapi(base: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document. `base` is the desk's URL prefix."""
    answers: tuple[type[BaseModel], ...] = (State, TicketAnswer, AdminState, ErrorAnswer)
    requests: tuple[type[BaseModel], ...] = (
        StartRequest,
        EmptyRequest,
        *{one.model: None for one in COMMANDS.values()},
    )
    references, definitions = models_json_schema(
        [*((model, "serialization") for model in answers), *((model, "validation") for model in requests)],
        ref_template="#/components/schemas/{model}",
    )
    by_model = {model: reference for (model, _), reference in references.items()}

    def answer(text: str, model: type[BaseModel], kind: str = "application/json") -> dict[str, Any]:
        return {"description": text, "content": {kind: {"schema": by_model[model]}}}

    def change(summary: str, model: type[BaseModel], *done: str) -> dict[str, Any]:
        return {
            "summary": summary,
            "requestBody": {"required": False, "content": {"application/json": {"schema": by_model[model]}}},
            "responses": {
                **{status: answer("The desk afterwards.", State) for status in done},
                **{
                    status: answer(text, ErrorAnswer)
                    for status, text in {
                        "400": "An id that the catalog does not know, or a body that cannot be read.",
                        "403": "Not signed in, or no XSRF token.",
                        "409": "There is one already, or something is under way.",
                        "500": "The pool tried and failed.",
                        "503": "Nothing of it is free, or the hub is away.",
                    }.items()
                },
            },
        }

    def operate(path: str, one: AdminCommand) -> dict[str, Any]:
        described = change(one.summary, one.model)
        statuses = described["responses"]
        told = {
            "200": answer("The page afterwards.", AdminState),
            **{code: statuses[code] for code in ("400", "403")},
        }
        return {f"/api/admin/{path}": {"post": described | {"responses": told}}}

    denied = answer("Not signed in.", ErrorAnswer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Freepool desk",
            "version": __version__,
            "description": "Start, stop and restart your own free instance. Sign in with a JupyterHub token "
            "(`Authorization: token …`), or with the desk's cookie and an XSRF token.",
        },
        "servers": [{"url": base.rstrip("/")}],
        "security": [{"token": []}],
        "paths": {
            "/api/state": {
                "get": {
                    "summary": "Everything on the desk",
                    "responses": {"200": answer("Now.", State), "403": denied},
                }
            },
            "/api/instance": {
                "post": change(
                    "Start an instance; 202 while it starts, or stands in line", StartRequest, "200", "201", "202"
                )
            },
            "/api/ticket": {
                "get": {
                    "summary": "Your place in line; poll it, or follow /api/events",
                    "responses": {"200": answer("Null where you have none.", TicketAnswer), "403": denied},
                },
                "post": change("Stand in line, while an instance runs", StartRequest, "202"),
            },
            "/api/ticket/cancel": {"post": change("Leave the line, whatever has come of it", EmptyRequest, "200")},
            "/api/ticket/take": {
                "post": change("Wipe what runs, and start what is held for you", EmptyRequest, "201", "202")
            },
            "/api/instance/stop": {
                "post": change("Stop it, or cancel its start; wipes everything", EmptyRequest, "200", "202")
            },
            "/api/instance/restart": {
                "post": change("Stop it and start a fresh one of the same kind", EmptyRequest, "200", "201", "202")
            },
            "/api/admin": {
                "get": {
                    "summary": "Everything on the operator's page; for administrators, like all below it",
                    "responses": {"200": answer("Now.", AdminState), "403": denied},
                }
            },
            **{route: item for path, one in COMMANDS.items() for route, item in operate(path, one).items()},
        },
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
            "schemas": definitions.get("$defs", {}),
        },
    }
