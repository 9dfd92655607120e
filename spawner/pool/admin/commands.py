"""The commands of administrators, with the same checks for the page, its API and the command line.

Each command is one write of the ledger, with its author and time. A setting can be taken back even where the catalog
no longer has what it names.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, echo
from spawner.errors import BadOption
from spawner.ledger.people.rows import BanCode
from spawner.ledger.pool import admin_settings
from spawner.pool.admin.settings import DRAIN, FLOOR, PAUSE, PLAN, WEEK, Drain, Plan

MAX_AHEAD = timedelta(days=366)
"""How far ahead a plan or drain may be: a later time is taken for a typing mistake."""
MAX_PLANS = 200

Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Model = TypeVar("Model", bound=BaseModel)


class Command(BaseModel):
    """Base of all commands: unknown fields are errors, and numbers are not texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EmptyCommand(Command):
    """An empty object."""


class FloorChange(Command):
    """Set the least number of warm `slots`; null: the catalog's."""

    flavor: Name
    image: Name
    slots: Annotated[int, Field(ge=0, le=1000)] | None


class FlavorChange(Command):
    """Pause or resume one flavor."""

    flavor: Name


class DrainChange(Command):
    """No new instances from now on. Those that still run at `at` are ended then; null: none is ended."""

    at: AwareDatetime | None = None
    reason: str = Field(default="", max_length=200)


class PlanChange(Command):
    """`slots` are warm from `begins` until `ends`, every week if `weekly`. Replaces a plan of the same name."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    flavor: Name
    image: Name
    slots: int = Field(ge=1, le=1000)
    begins: AwareDatetime
    ends: AwareDatetime
    weekly: bool = False


class PlanName(Command):
    """Remove a plan."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=75)]


def read(model: type[Model], values: object) -> Model:
    """`values` as `model`. Raises `BadOption`."""
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        raise bad_option(model, error) from None


def bad_option(model: type[BaseModel], error: ValidationError) -> BadOption:
    """The first error as a refusal."""
    first: Any = error.errors()[0]
    place, kind = ".".join(str(step) for step in first["loc"][:1]), first["type"]
    if not place:
        return BadOption(
            "Invalid request: {why}.", next_step="Send a JSON object.", why=str(first["msg"]).splitlines()[0]
        )
    if kind == "extra_forbidden":
        known = ", ".join(model.model_fields) or "(none)"
        return BadOption(
            "Unknown option: {key}.", next_step="Available options: {known}.", key=echo(place), known=known
        )
    if kind == "missing":
        return BadOption("{key} is missing.", next_step="Add it and send again.", key=place)
    value = echo(first["input"])
    if place in ("en", "zh"):
        return BadOption("The text is not valid.", next_step="Use at most 500 characters.")
    if place in ("begins", "ends", "at"):
        return BadOption(
            "{value} is not a valid time.",
            next_step="Use date, time, and time zone, for example 2026-11-23T09:00+08:00.",
            value=value,
        )
    if place == "slots":
        return BadOption(
            "{value} is not a valid number of notebooks.", next_step="Enter a whole number up to 1000.", value=value
        )
    if place == "name":
        return BadOption(
            "{value} is not a valid plan name.",
            next_step="Use up to 40 lowercase letters, digits, and hyphens, for example ml-course.",
            value=value,
        )
    if place == "reason":
        return BadOption("The reason is not valid.", next_step="Use at most 200 characters.")
    if place == "code":
        return BadOption(
            "{value} is not a valid code.", next_step="Available codes: {codes}.", value=value, codes=", ".join(BanCode)
        )
    if place == "days":
        return BadOption(
            "{value} is not a number of days.",
            next_step="Enter a number above 0 and up to 36500, or choose no end date.",
            value=value,
        )
    return BadOption(
        "{value} is not a valid {key}.", next_step="Check the format and send it again.", value=value, key=place
    )


def set_floor(connection: Connection, catalog: Catalog, change: FloorChange, *, now: datetime, by: str) -> None:
    """Set the least number of warm slots, or remove the setting."""
    name = f"{FLOOR}{change.flavor}:{change.image}"
    if change.slots is None:
        admin_settings.clear(connection, name)
        return
    flavor = _warm_flavor(catalog, change.flavor, change.image)
    _refuse_too_many(flavor, change.slots)
    admin_settings.put(connection, name, change.slots, now=now, by=by)


def pause(connection: Connection, catalog: Catalog, change: FlavorChange, *, now: datetime, by: str) -> None:
    """Pause a flavor: no new instances; queued tickets keep their place."""
    flavor = catalog.flavor(change.flavor)
    if PAUSE + flavor.id not in admin_settings.all_of(connection):
        admin_settings.put(connection, PAUSE + flavor.id, True, now=now, by=by)


def resume(connection: Connection, catalog: Catalog, change: FlavorChange, *, now: datetime, by: str) -> None:  # noqa: ARG001
    """Resume a paused flavor."""
    admin_settings.clear(connection, PAUSE + change.flavor)


def drain(connection: Connection, catalog: Catalog, change: DrainChange, *, now: datetime, by: str) -> None:  # noqa: ARG001
    """Close the platform for maintenance, or change the present maintenance."""
    if change.at is not None:
        _refuse_far(change.at, now)
        if change.at <= now:
            raise BadOption(
                "{value} is in the past.",
                next_step="Choose a future time, or leave it empty to let notebooks run on.",
                value=format_time(change.at),
            )
    reason = " ".join(change.reason.split())
    value = Drain(at=change.at, reason=reason).model_dump(mode="json")
    admin_settings.put(connection, DRAIN, value, now=now, by=by)


def end_drain(connection: Connection, catalog: Catalog, change: EmptyCommand, *, now: datetime, by: str) -> None:  # noqa: ARG001
    """End the maintenance."""
    admin_settings.clear(connection, DRAIN)


def plan(connection: Connection, catalog: Catalog, change: PlanChange, *, now: datetime, by: str) -> None:
    """Add a plan, or replace the one of this name."""
    flavor = _warm_flavor(catalog, change.flavor, change.image)
    _refuse_too_many(flavor, change.slots)
    for time in (change.begins, change.ends):
        _refuse_far(time, now)
    if change.ends <= change.begins:
        raise BadOption("The plan ends before it starts.", next_step="Choose an end time after the start time.")
    if change.weekly and change.ends - change.begins >= WEEK:
        raise BadOption(
            "A weekly plan must be shorter than a week.",
            next_step="Choose an earlier end time, or turn off weekly repeat.",
        )
    if not change.weekly and change.ends <= now:
        raise BadOption("The plan is in the past.", next_step="Choose a future time, or repeat it weekly.")
    others = [
        name for name in admin_settings.all_of(connection) if name.startswith(PLAN) and name != PLAN + change.name
    ]
    if len(others) >= MAX_PLANS:
        raise BadOption("There are already {count} plans.", next_step="Delete one first.", count=len(others))
    value = Plan.model_validate(change.model_dump(exclude={"name"})).model_dump(mode="json")
    admin_settings.put(connection, PLAN + change.name, value, now=now, by=by)


def unplan(connection: Connection, catalog: Catalog, change: PlanName, *, now: datetime, by: str) -> None:  # noqa: ARG001
    """Remove a plan. Raises `BadOption` where none has this name."""
    if not admin_settings.clear(connection, PLAN + change.name):
        known = ", ".join(
            name.removeprefix(PLAN) for name in admin_settings.all_of(connection) if name.startswith(PLAN)
        )
        raise BadOption(
            "Unknown plan: {wanted}.",
            next_step="Available: {known}.",
            wanted=echo(change.name),
            known=known or "(none)",
        )


def format_time(time: datetime) -> str:
    """A time with its zone, to the minute."""
    return time.isoformat(sep=" ", timespec="minutes")


def _warm_flavor(catalog: Catalog, flavor_id: str, image_id: str) -> Flavor:
    flavor, image = catalog.flavor(flavor_id), catalog.image(image_id)
    if not image.agent:
        raise BadOption(
            "The image {image} cannot be kept warm: it does not contain Freepool's agent.",
            next_step="Choose an image that contains Freepool's agent.",
            image=image.id,
        )
    return flavor


def _refuse_too_many(flavor: Flavor, slots: int) -> None:
    if slots > flavor.limit:
        raise BadOption(
            "The limit for {flavor} is {limit}.",
            next_step="Choose a smaller number, or raise the limit in the catalog.",
            flavor=flavor.id,
            limit=flavor.limit,
        )


def _refuse_far(time: datetime, now: datetime) -> None:
    if abs(time - now) > MAX_AHEAD:
        raise BadOption("{value} is more than a year away.", next_step="Check the year.", value=format_time(time))
