"""One table entry for each URL of the desk: Tornado's routes and the OpenAPI document are both made from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from tornado.web import RequestHandler


class ErrorBody(BaseModel):
    """What happened, and what to do next. `details` are a program's or a cluster's own words; may be empty."""

    code: str
    message: str
    next: str
    details: str = ""


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorBody


@dataclass(frozen=True)
class Answer:
    """One possible answer: what it means, and the model of its JSON body."""

    text: str
    model: type[BaseModel] = ErrorAnswer


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query or the path. `schema` is its JSON schema; `pattern` is what a path may have there."""

    name: str
    schema: Mapping[str, Any]
    pattern: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """As OpenAPI describes it."""
        place = "path" if self.pattern else "query"
        return {"name": self.name, "in": place, "required": place == "path", "schema": dict(self.schema)}


@dataclass(frozen=True)
class Operation:
    """One HTTP method of a URL of the API. `request` is the model of its JSON body."""

    method: Literal["get", "post"]
    summary: str
    answers: Mapping[int, Answer]
    request: type[BaseModel] | None = None
    query: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class Route:
    """`path` is below the desk's URL prefix. `{name}` in it is a parameter of `parameters`; the rest is literal, or,
    where `is_pattern`, a regular expression.

    A route without operations is not in the OpenAPI document. `old_path` is a URL of version 0.1 that is still served.
    `options` are further keyword arguments of the handler's `initialize`.
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
    """Error answers, by the names of their statuses: `errors(FORBIDDEN="Not signed in.")`."""
    return {HTTPStatus[name].value: Answer(text) for name, text in texts.items()}
