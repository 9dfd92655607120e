"""What operators can change through the API: each path with its request, what it does, and how it is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from spawner.errors import BadOption
from spawner.pool import operations

LARGEST_BODY = 4 * 1024


@dataclass(frozen=True)
class Change:
    """One POST. `apply(connection, catalog, request, now=…, by=…)` is one write of the ledger."""

    summary: str
    model: type[BaseModel]
    apply: Callable[..., None]


CHANGES: dict[str, Change] = {
    "floor": Change(
        "Set how many wait at least; null: as the catalog says", operations.FloorChange, operations.set_floor
    ),
    "pause": Change("Lend nothing of a flavor to anybody new", operations.FlavorChange, operations.pause),
    "resume": Change("Lend it again", operations.FlavorChange, operations.resume),
    "drain": Change("Close for maintenance", operations.DrainChange, operations.drain),
    "drain/end": Change("Open again", operations.Nothing, operations.end_drain),
    "plan": Change("Add a plan, or replace the one of this name", operations.PlanChange, operations.plan),
    "unplan": Change("Remove a plan", operations.PlanName, operations.unplan),
}
"""By path below /api/operator/."""


def change_of(model: type[BaseModel], body: bytes) -> BaseModel:
    """A request's body; an empty one is an empty object. Raises `BadOption`."""
    if len(body) > LARGEST_BODY:
        raise BadOption("The request is too large.", next_step="Send one change at a time.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise operations.explained(model, error) from None
