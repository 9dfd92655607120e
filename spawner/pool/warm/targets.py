"""How many slots should wait for each flavor and image, and why so many. Pure.

Between the floor and the ceiling of the catalog as many as its demand asks for; what operators set may go beyond. What
the catalog does not know (any more) is nobody's wish: a floor or a plan that names it changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Image, Warm
from spawner.compat import StrEnum
from spawner.ledger import Slot, Ticket, TicketState
from spawner.pool.admin.settings import Controls, Plan, Template
from spawner.pool.backends.base import Backend
from spawner.pool.warm.demand import Demand
from spawner.pool.warm.sizing import lead_time, target

LONGEST_BACKOFF = timedelta(minutes=5)
PLAN_LEAD = timedelta(minutes=5)
"""How long before a class its slots are begun."""


class Why(StrEnum):
    """What decides how many slots of a template wait."""

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


WHY: dict[Why, str] = {
    Why.QUIET: "Nobody asks for it just now.",
    Why.CATALOG: "The catalog keeps at least so many.",
    Why.FLOOR: "An operator has set this floor.",
    Why.PLAN: "A plan asks for them.",
    Why.DEMAND: "So many are being asked for.",
    Why.CEILING: "More are being asked for, but the catalog's ceiling is reached.",
    Why.LINE: "People stand in line: what there is goes to them.",
    Why.PAUSED: "The flavor is paused.",
    Why.DRAIN: "None waits during maintenance.",
    Why.NOT_SERVED: "This pool cannot keep it waiting.",
}
"""In words. The desk translates them."""


@dataclass(frozen=True)
class Wanted:
    """So many `slots` should wait. `floor` and `ceiling` are the catalog's."""

    slots: int
    why: Why
    floor: int
    ceiling: int


def wanted(
    catalog: Catalog,
    backend: Backend,
    *,
    demand: Demand,
    controls: Controls,
    tickets: Iterable[Ticket],
    now: datetime,
) -> dict[Template, Wanted]:
    """For each template that is kept warm at all, or that an operator has named."""
    known = {flavor.id for flavor in catalog.flavors}
    in_line = {one.flavor for one in tickets if one.state is TicketState.WAITING} & known
    plans = [plan for plan in controls.plans.values() if plan.holds(now, lead=PLAN_LEAD)]
    found: dict[Template, Wanted] = {}
    for flavor in catalog.flavors:
        for rule in _rules(catalog, flavor, plans, controls.floors):
            image = catalog.image(rule.image or catalog.defaults.image)
            template = flavor.id, image.id
            against = _against(catalog, backend, flavor, image, in_line, controls)
            if against is not None:
                found[template] = Wanted(0, against, rule.floor, rule.ceiling)
                continue
            planned = sum(plan.slots for plan in plans if (plan.flavor, plan.image) == template)
            found[template] = _weigh(rule, template, demand, planned=planned, floor=controls.floors.get(template))
    return found


def _weigh(rule: Warm, template: Template, demand: Demand, *, planned: int, floor: int | None) -> Wanted:
    least = rule.floor if floor is None else floor
    arrivals, lead = demand.arrivals.get(template, ()), lead_time(demand.leads.get(template, ()))
    demanded = target(arrivals, lead=lead, floor=0, ceiling=rule.ceiling)
    slots = target(arrivals, lead=lead, floor=least, ceiling=rule.ceiling, planned=planned)
    if planned == slots and planned > max(least, demanded):
        why = Why.PLAN
    elif demanded > least:
        unbound = target(arrivals, lead=lead, floor=0, ceiling=demanded + 1)
        why = Why.CEILING if unbound > demanded else Why.DEMAND
    elif floor is not None:
        why = Why.FLOOR
    else:
        why = Why.CATALOG if slots else Why.QUIET
    return Wanted(slots, why, rule.floor, rule.ceiling)


def _against(
    catalog: Catalog, backend: Backend, flavor: Flavor, image: Image, in_line: Collection[str], controls: Controls
) -> Why | None:
    """Why none should wait, whatever is asked for."""
    if not image.agent or backend.why_not(flavor, image):
        return Why.NOT_SERVED
    if controls.drain is not None:
        return Why.DRAIN
    if controls.is_paused(flavor.id):
        return Why.PAUSED
    return Why.LINE if _is_scarce(catalog, backend, flavor, in_line) else None


def _rules(catalog: Catalog, flavor: Flavor, plans: Iterable[Plan], floors: Mapping[Template, int]) -> Iterable[Warm]:
    """The catalog's rules, and one for each template that only operators name."""
    named = {rule.image or catalog.defaults.image for rule in flavor.warm}
    by_operators = {plan.image for plan in plans if plan.flavor == flavor.id}
    by_operators |= {image for name, image in floors if name == flavor.id}
    known = {image.id for image in catalog.images}
    return [*flavor.warm, *(Warm(image=image, ceiling=0) for image in sorted(by_operators & known - named))]


def _is_scarce(catalog: Catalog, backend: Backend, flavor: Flavor, in_line: Collection[str]) -> bool:
    """Whether somebody stands in line for what a waiting slot of this flavor would take up."""
    if not in_line:
        return False
    if flavor.id in in_line or backend.memory() is not None:
        return True
    resources = {one.accelerator.resource for one in catalog.flavors if one.id in in_line and one.accelerator}
    return flavor.accelerator is not None and flavor.accelerator.resource in resources


@dataclass(frozen=True)
class BackOff:
    """A template that fails is left alone for a while. `slot` is its newest failure, one of `failures` in a row."""

    slot: Slot
    failures: int
    until: datetime


def backs_off(flavor: str, image: str, failures: Iterable[Slot], now: datetime) -> BackOff | None:
    """None where the template may be tried. `failures`: newest first."""
    bad = [slot for slot in failures if (slot.flavor, slot.image) == (flavor, image)]
    if not bad:
        return None
    until = bad[0].created_at + min(LONGEST_BACKOFF, timedelta(seconds=2 ** min(len(bad), 10)))
    return BackOff(bad[0], len(bad), until) if now < until else None
