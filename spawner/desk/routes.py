"""The table entries of the desk's URLs. Tornado's routes and the OpenAPI document are generated from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, Field
from tornado.web import RequestHandler


class ErrorFacts(BaseModel):
    """With `not_for_you`: the flavor or image, and the groups whose members may use it.

    With `no_hours`: the class, what is left and what is set aside for running notebooks (weighted seconds), when new
    hours are given, and the flavors without a limit.
    """

    flavor: str | None = None
    image: str | None = None
    groups: list[str] = []
    allowance_class: str | None = Field(default=None, alias="class")
    left_seconds: int | None = None
    held_seconds: int | None = None
    resets_at: datetime | None = None
    free_flavors: list[str] = []


class ErrorBody(BaseModel):
    """What happened (`message`) and what to do next (`next`). `details`: original message of a program or the cluster;
    may be empty. `facts` are there with the codes `not_for_you` and `no_hours` only."""

    code: str
    message: str
    next: str
    details: str = ""
    facts: ErrorFacts | None = None


class ErrorAnswer(BaseModel):
    """The body of all responses with a status of 400 or more."""

    error: ErrorBody


@dataclass(frozen=True)
class Answer:
    """One possible response: its description, and the model of its JSON body."""

    text: str
    model: type[BaseModel] = ErrorAnswer


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query or the path. `schema`: JSON schema; `pattern`: regular expression for a path parameter,
    empty for a query parameter."""

    name: str
    schema: Mapping[str, Any]
    pattern: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """Its OpenAPI object."""
        place = "path" if self.pattern else "query"
        return {"name": self.name, "in": place, "required": place == "path", "schema": dict(self.schema)}


@dataclass(frozen=True)
class Operation:
    """One HTTP method of an API URL. `request`: model of the JSON body. `is_public`: it needs no sign-in."""

    method: Literal["get", "post"]
    summary: str
    answers: Mapping[int, Answer]
    request: type[BaseModel] | None = None
    query: tuple[Parameter, ...] = ()
    is_public: bool = False


@dataclass(frozen=True)
class Route:
    """`path` is relative to the desk's URL prefix. `{name}` in it stands for a parameter; the rest is literal, or a
    regular expression if `is_pattern`.

    A route without operations is not in the OpenAPI document. `old_path`: URL of version 0.1 that is still served.
    `options`: additional keyword arguments of the handler's `initialize`.
    """

    path: str
    handler: type[RequestHandler]
    operations: tuple[Operation, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    old_path: str = ""
    is_pattern: bool = False

    def patterns(self) -> list[str]:
        """Regular expressions of its URLs, for Tornado."""
        paths = [path for path in (self.path, self.old_path) if path or path == self.path]
        return paths if self.is_pattern else [self._pattern(path) for path in paths]

    def _pattern(self, path: str) -> str:
        pattern = re.escape(path)
        for parameter in self.parameters:
            pattern = pattern.replace(re.escape(f"{{{parameter.name}}}"), f"({parameter.pattern})")
        return pattern


def tornado_routes(
    base: str, routes: Iterable[Route], **options: object
) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """Routes for a Tornado application. `options` go to the `initialize` of each handler."""
    return [
        (f"{re.escape(base)}{pattern}", route.handler, {**options, **route.options})
        for route in routes
        for pattern in route.patterns()
    ]


def errors(**texts: str) -> dict[int, Answer]:
    """Error responses, by names of `HTTPStatus`: `errors(FORBIDDEN="Not signed in.")`."""
    return {HTTPStatus[name].value: Answer(text) for name, text in texts.items()}
