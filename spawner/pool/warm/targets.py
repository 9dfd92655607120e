"""The target number of warm slots for each flavor and image, and the reason for it. Pure.

Demand decides between the catalog's floor and ceiling; administrators' settings may exceed both. A floor or plan for a
flavor or image that the catalog does not have is ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from spawner.catalog import Catalog, Flavor, Image, Warm
from spawner.ledger import Slot, Ticket, TicketState
from spawner.pool.admin.settings import AdminSettings, FlavorImage, Plan
from spawner.pool.backends.base import Backend
from spawner.pool.warm.demand import Demand
from spawner.pool.warm.sizing import lead_time, slots_to_keep

LONGEST_BACKOFF = timedelta(minutes=5)
PLAN_LEAD = timedelta(minutes=5)
"""How long before a plan begins its slots are created."""


class TargetReason(StrEnum):
    """What decides a target."""

    QUIET = "quiet"
    CATALOG = "catalog"
    FLOOR = "floor"
    PLAN = "plan"
    DEMAND = "demand"
    CEILING = "ceiling"
    LINE = "line"
    PAUSED = "paused"
    DRAIN = "drain"
    NOT_SERVED = "not_served"


TARGET_REASONS: dict[TargetReason, str] = {
    TargetReason.QUIET: "No demand right now.",
    TargetReason.CATALOG: "Minimum set in the catalog.",
    TargetReason.FLOOR: "Minimum set by an administrator.",
    TargetReason.PLAN: "Scheduled by a plan.",
    TargetReason.DEMAND: "Matches current demand.",
    TargetReason.CEILING: "Demand is higher, but the catalog's maximum is reached.",
    TargetReason.LINE: "People are in the queue; capacity goes to them first.",
    TargetReason.PAUSED: "This machine type is paused.",
    TargetReason.DRAIN: "No warm notebooks during maintenance.",
    TargetReason.NOT_SERVED: "Cannot be kept warm here.",
}
"""In English; the desk translates them."""


@dataclass(frozen=True)
class WarmTarget:
    """A target of `slots` warm slots. `floor` and `ceiling` are the catalog's."""

    slots: int
    why: TargetReason
    floor: int
    ceiling: int


def warm_targets(
    catalog: Catalog,
    backend: Backend,
    *,
    demand: Demand,
    controls: AdminSettings,
    tickets: Iterable[Ticket],
    now: datetime,
) -> dict[FlavorImage, WarmTarget]:
    """For each flavor and image that the catalog keeps warm, or that an administrator has named."""
    known = {flavor.id for flavor in catalog.flavors}
    in_line = {one.flavor for one in tickets if one.state is TicketState.WAITING} & known
    plans = [plan for plan in controls.plans.values() if plan.holds(now, lead=PLAN_LEAD)]
    found: dict[FlavorImage, WarmTarget] = {}
    for flavor in catalog.flavors:
        for rule in _rules(catalog, flavor, plans, controls.floors):
            image = catalog.image(rule.image or catalog.defaults.image)
            template = flavor.id, image.id
            against = _against(catalog, backend, flavor, image, in_line, controls)
            if against is not None:
                found[template] = WarmTarget(0, against, rule.floor, rule.ceiling)
                continue
            planned = sum(plan.slots for plan in plans if (plan.flavor, plan.image) == template)
            found[template] = _weigh(rule, template, demand, planned=planned, floor=controls.floors.get(template))
    return found


def _weigh(rule: Warm, template: FlavorImage, demand: Demand, *, planned: int, floor: int | None) -> WarmTarget:
    least = rule.floor if floor is None else floor
    arrivals, lead = demand.arrivals.get(template, ()), lead_time(demand.leads.get(template, ()))
    demanded = slots_to_keep(arrivals, lead=lead, floor=0, ceiling=rule.ceiling)
    slots = slots_to_keep(arrivals, lead=lead, floor=least, ceiling=rule.ceiling, planned=planned)
    if planned == slots and planned > max(least, demanded):
        why = TargetReason.PLAN
    elif demanded > least:
        unbound = slots_to_keep(arrivals, lead=lead, floor=0, ceiling=demanded + 1)
        why = TargetReason.CEILING if unbound > demanded else TargetReason.DEMAND
    elif floor is not None:
        why = TargetReason.FLOOR
    else:
        why = TargetReason.CATALOG if slots else TargetReason.QUIET
    return WarmTarget(slots, why, rule.floor, rule.ceiling)


def _against(
    catalog: Catalog, backend: Backend, flavor: Flavor, image: Image, in_line: Collection[str], controls: AdminSettings
) -> TargetReason | None:
    """Why the target is 0 whatever the demand; None where it need not be."""
    if not image.agent or backend.why_not(flavor, image):
        return TargetReason.NOT_SERVED
    if controls.drain is not None:
        return TargetReason.DRAIN
    if controls.is_paused(flavor.id):
        return TargetReason.PAUSED
    return TargetReason.LINE if _is_scarce(catalog, backend, flavor, in_line) else None


def _rules(
    catalog: Catalog, flavor: Flavor, plans: Iterable[Plan], floors: Mapping[FlavorImage, int]
) -> Iterable[Warm]:
    """The catalog's rules, and one for each flavor and image that only administrators name."""
    named = {rule.image or catalog.defaults.image for rule in flavor.warm}
    by_admins = {plan.image for plan in plans if plan.flavor == flavor.id}
    by_admins |= {image for name, image in floors if name == flavor.id}
    known = {image.id for image in catalog.images}
    return [*flavor.warm, *(Warm(image=image, ceiling=0) for image in sorted(by_admins & known - named))]


def _is_scarce(catalog: Catalog, backend: Backend, flavor: Flavor, in_line: Collection[str]) -> bool:
    """Whether a queued ticket needs the room that a warm slot of this flavor would take up."""
    if not in_line:
        return False
    if flavor.id in in_line or backend.memory() is not None:
        return True
    resources = {one.accelerator.resource for one in catalog.flavors if one.id in in_line and one.accelerator}
    return flavor.accelerator is not None and flavor.accelerator.resource in resources


@dataclass(frozen=True)
class BackOff:
    """A pause after slots of a flavor and image failed. `slot` is the newest failure, one of `failures` in a row."""

    slot: Slot
    failures: int
    until: datetime


def back_off(flavor: str, image: str, failures: Iterable[Slot], now: datetime) -> BackOff | None:
    """The pause that holds now; None where slots may be created. `failures`: newest first."""
    bad = [slot for slot in failures if (slot.flavor, slot.image) == (flavor, image)]
    if not bad:
        return None
    until = bad[0].created_at + min(LONGEST_BACKOFF, timedelta(seconds=2 ** min(len(bad), 10)))
    return BackOff(bad[0], len(bad), until) if now < until else None
