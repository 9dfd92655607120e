"""The paid path's part of the API's description, where there is one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from spawner.desk.openapi import EmptyRequest, ErrorAnswer
from spawner.desk.paid.admin_views import PaidAdminView
from spawner.desk.paid.api import ConsentsView, QuotesView
from spawner.desk.paid.views import ConsentView, PaidView

ANSWERS: tuple[type[BaseModel], ...] = (PaidView, QuotesView, ConsentsView, ConsentView, PaidAdminView, ErrorAnswer)
REQUESTS: tuple[type[BaseModel], ...] = (EmptyRequest,)
REFUSED = {
    "400": "A body or a number that cannot be read.",
    "403": "Not signed in, or no XSRF token.",
    "404": "Nothing of yours has this id.",
    "409": "It is not as you were told any more.",
    "503": "The cloud or the hub does not answer, or the operator lets nobody make anything new.",
}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{1,32}$"}}
SEQ = ID | {"schema": {"type": "integer", "minimum": 0}}


def with_paid(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with it."""
    references, definitions = models_json_schema(
        [*((model, "serialization") for model in ANSWERS), *((model, "validation") for model in REQUESTS)],
        ref_template="#/components/schemas/{model}",
    )
    by_model = {model: reference for (model, _), reference in references.items()}

    def answer(text: str, model: type[BaseModel]) -> dict[str, Any]:
        return {"description": text, "content": {"application/json": {"schema": by_model[model]}}}

    def look(summary: str, model: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
        refused = {code: answer(text, ErrorAnswer) for code, text in REFUSED.items() if code != "409"}
        told = {"summary": summary, "responses": {"200": answer("Now.", model), **refused}}
        return told | ({"parameters": list(parameters)} if parameters else {})

    def change(summary: str, model: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
        told = look(summary, model, *parameters)
        told["responses"] = {
            "200": answer("Afterwards.", model),
            **{code: answer(text, ErrorAnswer) for code, text in REFUSED.items()},
        }
        body = {"required": False, "content": {"application/json": {"schema": by_model[EmptyRequest]}}}
        return told | {"requestBody": body}

    def query(name: str, kind: str, *, required: bool = False) -> dict[str, Any]:
        return {"name": name, "in": "query", "required": required, "schema": {"type": kind}}

    least = [query(name, "string") for name in ("region", "cpu", "memory", "gpu")]
    consent = "/api/paid/consents/{id}"
    paths = {
        "/api/paid": {"get": look("Your accounts and instances in clouds, and what there is to know", PaidView)},
        "/api/paid/quotes": {
            "get": look(
                "Prices, read now, the cheapest that fits first", QuotesView, query("account", "string"), *least
            )
        },
        "/api/paid/consents": {
            "get": look("All that you were asked", ConsentsView),
        },
        consent: {"get": look("One question, word for word", ConsentView, ID)},
        f"{consent}/withdraw": {"post": change("Do not", ConsentView, ID)},
        "/api/paid/instances/{id}/stop": {"post": change("End computing, keep the disk", PaidView, ID)},
        "/api/paid/notices/{id}/seen": {"post": change("Put a notice away", PaidView, SEQ)},
        "/api/admin/paid": {"get": look("All that runs in clouds; for administrators", PaidAdminView)},
    }
    schemas = document["components"]["schemas"] | definitions.get("$defs", {})
    return document | {
        "paths": document["paths"] | paths,
        "components": document["components"] | {"schemas": schemas},
    }
