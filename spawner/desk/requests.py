"""Bodies of requests, JSON and forms, as pydantic models."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from tornado.web import RequestHandler

from spawner.catalog import echo
from spawner.errors import BadOption

LARGEST_BODY = 16 * 1024
"""Bytes."""
Model = TypeVar("Model", bound=BaseModel)


class EmptyRequest(BaseModel):
    """An empty object."""

    model_config = ConfigDict(extra="forbid", strict=True)


def parse(model: type[Model], body: bytes) -> Model:
    """A JSON body as `model`; an empty body is an empty object. Raises `BadOption`."""
    if len(body) > LARGEST_BODY:
        raise BadOption("The request is too large.", next_step="Send only ids from the catalog.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadOption(
                "Unknown option: {key}.",
                next_step="Available options: {known}.",
                key=echo(place),
                known=", ".join(model.model_fields) or "(none)",
            ) from None
        raise BadOption(
            "Invalid request: {why}.",
            next_step="Send a JSON object with ids from the catalog as values.",
            why=f"{echo(place)}: {first['msg']}" if place else first["msg"],
        ) from None


def form_fields(handler: RequestHandler) -> dict[str, str]:
    """The fields of a form that was sent by POST, without white space around them; of several by one name the last."""
    return {name: handler.get_body_argument(name) for name in handler.request.body_arguments}


def query_fields(handler: RequestHandler) -> dict[str, str]:
    """The same of a query string."""
    return {name: handler.get_query_argument(name) for name in handler.request.query_arguments}
