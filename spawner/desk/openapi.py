"""The OpenAPI document, generated from the table of routes and the pydantic models of the handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from spawner import __version__
from spawner.desk.routes import Answer, Operation, Route

TOO_MANY = {429: Answer("Too many requests of this user or network address; `Retry-After` says when to try again.")}
"""Answer of every operation."""

Schemas = Mapping[object, dict[str, Any]]
"""The `$ref` object of each model."""


def openapi(base: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document. `base` is the desk's URL prefix."""
    references, definitions = _schemas([operation for route in routes for operation in route.operations])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Freepool desk",
            "version": __version__,
            "description": "Start, stop and restart your instance. Authenticate with a JupyterHub token "
            "(`Authorization: token …`), or with the desk's cookie and an XSRF token.",
        },
        "servers": [{"url": base.rstrip("/")}],
        "security": [{"token": []}],
        "paths": {
            f"/{route.path}": {
                operation.method: _operation(route, operation, references) for operation in route.operations
            }
            for route in routes
            if route.operations
        },
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
            "schemas": definitions,
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[Schemas, dict[str, Any]]:
    """`$ref` objects of all models that the operations use, and their schemas by name."""
    answers = dict.fromkeys(answer.model for operation in operations for answer in _answers(operation).values())
    requests = dict.fromkeys(operation.request for operation in operations if operation.request is not None)
    references, definitions = models_json_schema(
        [*((model, "serialization") for model in answers), *((model, "validation") for model in requests)],
        ref_template="#/components/schemas/{model}",
    )
    return {model: reference for (model, _), reference in references.items()}, definitions.get("$defs", {})


def _answers(operation: Operation) -> dict[int, Answer]:
    return {**operation.answers, **TOO_MANY}


def _operation(route: Route, operation: Operation, references: Schemas) -> dict[str, Any]:
    def content(model: type[BaseModel]) -> dict[str, Any]:
        return {"application/json": {"schema": references[model]}}

    document: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {
            str(status): {"description": answer.text, "content": content(answer.model)}
            for status, answer in _answers(operation).items()
        },
    }
    if operation.is_public:
        document["security"] = []
    if operation.request is not None:
        document["requestBody"] = {"required": False, "content": content(operation.request)}
    if parameters := (*route.parameters, *operation.query):
        document["parameters"] = [parameter.document for parameter in parameters]
    return document
