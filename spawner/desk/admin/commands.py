"""The commands of the administrator's API: path, request, effect and summary of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from spawner.errors import BadOption
from spawner.pool.admin import announcement, commands

LARGEST_BODY = 4 * 1024


@dataclass(frozen=True)
class AdminCommand:
    """`apply(connection, catalog, request, now=…, by=…)` runs in one write transaction of the ledger."""

    summary: str
    model: type[BaseModel]
    apply: Callable[..., None]


COMMANDS: dict[str, AdminCommand] = {
    "floor": AdminCommand(
        "Set the least number of warm slots; null: the catalog's number", commands.FloorChange, commands.set_floor
    ),
    "pause": AdminCommand("Pause a flavor: start no new instances of it", commands.FlavorChange, commands.pause),
    "resume": AdminCommand("End the pause of a flavor", commands.FlavorChange, commands.resume),
    "drain": AdminCommand("Start a drain for maintenance", commands.DrainChange, commands.drain),
    "drain/end": AdminCommand("End the drain", commands.EmptyCommand, commands.end_drain),
    "plan": AdminCommand("Add a plan, or replace the plan of the same name", commands.PlanChange, commands.plan),
    "announce": AdminCommand(
        "Announce a text to everybody from and until a time", announcement.AnnouncementChange, announcement.announce
    ),
    "announce/end": AdminCommand("Take the announcement back", commands.EmptyCommand, announcement.end_announcement),
    "unplan": AdminCommand("Remove a plan", commands.PlanName, commands.unplan),
}
"""By path below /api/admin/."""


def parse_command(model: type[BaseModel], body: bytes, *, largest: int = LARGEST_BODY) -> BaseModel:
    """A JSON body as `model`; an empty body is an empty object. Raises `BadOption`."""
    if len(body) > largest:
        raise BadOption("The request is too large.", next_step="Send one change at a time.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise commands.bad_option(model, error) from None
