"""What operators can change through the API: each path with its request, what it does, and how it is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from spawner.errors import BadOption
from spawner.pool.admin import commands

LARGEST_BODY = 4 * 1024


@dataclass(frozen=True)
class Change:
    """One POST. `apply(connection, catalog, request, now=…, by=…)` is one write of the ledger."""

    summary: str
    model: type[BaseModel]
    apply: Callable[..., None]


CHANGES: dict[str, Change] = {
    "floor": Change("Set how many wait at least; null: as the catalog says", commands.FloorChange, commands.set_floor),
    "pause": Change("Lend nothing of a flavor to anybody new", commands.FlavorChange, commands.pause),
    "resume": Change("Lend it again", commands.FlavorChange, commands.resume),
    "drain": Change("Close for maintenance", commands.DrainChange, commands.drain),
    "drain/end": Change("Open again", commands.Nothing, commands.end_drain),
    "plan": Change("Add a plan, or replace the one of this name", commands.PlanChange, commands.plan),
    "unplan": Change("Remove a plan", commands.PlanName, commands.unplan),
}
"""By path below /api/operator/."""


def change_of(model: type[BaseModel], body: bytes) -> BaseModel:
    """A request's body; an empty one is an empty object. Raises `BadOption`."""
    if len(body) > LARGEST_BODY:
        raise BadOption("The request is too large.", next_step="Send one change at a time.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise commands.explained(model, error) from None
