"""Warm slots: how many to make, and which to give up. Pure; the loop carries it out.

Per flavor and image as many as its demand asks for, between the floor and the ceiling of the catalog. Nothing is kept
warm at the cost of somebody who stands in line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Image, Warm
from spawner.ledger import Slot, SlotState, Ticket, TicketState
from spawner.pool.backends.base import Backend
from spawner.pool.controls import Controls, Plan
from spawner.pool.stock import room_for, waits_for_nobody
from spawner.pool.targets import lead_time, target

LONGEST_BACKOFF = timedelta(minutes=5)
PLAN_LEAD = timedelta(minutes=5)
"""How long before a class its slots are begun."""
Template = tuple[str, str]
"""A flavor and an image, by id."""


@dataclass(frozen=True)
class MakeSlot:
    """Create one warm slot."""

    flavor: Flavor
    image: Image


@dataclass(frozen=True)
class GiveUp:
    """Destroy a waiting slot that nobody needs, or that is too old."""

    slot_id: str


@dataclass(frozen=True)
class Demand:
    """What was asked for lately. `arrivals`: how many seconds ago, by template; `leads`: seconds that slots took."""

    arrivals: Mapping[Template, Sequence[float]]
    leads: Mapping[Template, Sequence[float]]


NO_DEMAND = Demand({}, {})


def decide(
    *,
    catalog: Catalog,
    backend: Backend,
    slots: Iterable[Slot],
    failures: Iterable[Slot],
    now: datetime,
    demand: Demand = NO_DEMAND,
    controls: Controls | None = None,
    tickets: Iterable[Ticket] = (),
) -> list[MakeSlot | GiveUp]:
    """Bring the waiting slots of every flavor and image to their target.

    `slots` are all that take up room, creations that the pool has not shown yet included, so nothing is made twice.
    `failures` are recent slots that never became ready, newest first: a template that fails backs off.
    `tickets` are those of people who wait.
    """
    slots, failures, controls = list(slots), list(failures), controls or Controls({})
    targets = targets_of(catalog, backend, demand=demand, controls=controls, tickets=tickets, now=now)
    rests = is_too_soon(catalog, slots, now)
    actions: list[MakeSlot | GiveUp] = []
    planned: list[Slot] = []  # takes room from the templates that come after
    for (flavor_id, image_id), wanted in targets.items():
        flavor, image = catalog.flavor(flavor_id), catalog.image(image_id)
        waiting = _waiting(slots, flavor_id, image_id)
        fresh = [one for one in waiting if _is_fresh(one, backend.version(image), catalog, now)]
        stale = [one for one in waiting if one not in fresh]
        actions += [GiveUp(one.id) for one in fresh[wanted:]]
        # What is too old goes when its replacement is ready; one is replaced at a time.
        is_replaced = sum(one.state is SlotState.WARM for one in fresh) >= wanted
        actions += [GiveUp(one.id) for one in (stale if is_replaced else stale[max(0, wanted - len(fresh)) :])]
        if rests or backs_off(flavor_id, image_id, failures, now) is not None:
            continue
        missing = wanted - len(fresh)
        if stale:
            missing = min(missing, 1)
        room = room_for(catalog, flavor, [*slots, *planned], backend.memory())
        if missing > 0 and room < 1 and stale:
            actions.append(GiveUp(stale[0].id))
        making = max(0, min(missing, room))
        actions += [MakeSlot(flavor, image)] * making
        planned += [_plan(flavor, image, now)] * making
    actions += [GiveUp(one.id) for one in slots if waits_for_nobody(one) and (one.flavor, one.image) not in targets]
    return _without_doubles(actions)


def targets_of(
    catalog: Catalog,
    backend: Backend,
    *,
    demand: Demand,
    controls: Controls,
    tickets: Iterable[Ticket],
    now: datetime,
) -> dict[Template, int]:
    """How many slots should wait, for each template that is kept warm at all."""
    wanted = {one.flavor for one in tickets if one.state is TicketState.WAITING}
    closed = controls.closed(catalog)
    plans = [plan for plan in controls.plans.values() if plan.holds(now, lead=PLAN_LEAD)]
    found: dict[Template, int] = {}
    for flavor in catalog.flavors:
        for rule in _rules(catalog, flavor, plans):
            image = catalog.image(rule.image or catalog.defaults.image)
            template = flavor.id, image.id
            if (
                not image.agent
                or flavor.id in closed
                or backend.why_not(flavor, image)
                or _is_scarce(catalog, backend, flavor, wanted)
            ):
                found[template] = 0
            else:
                floor = controls.floor(*template)
                found[template] = target(
                    demand.arrivals.get(template, ()),
                    lead=lead_time(demand.leads.get(template, ())),
                    floor=rule.floor if floor is None else floor,
                    ceiling=max(rule.ceiling, floor or 0),
                    planned=sum(plan.slots for plan in plans if (plan.flavor, plan.image) == template),
                )
    return found


def _rules(catalog: Catalog, flavor: Flavor, plans: Iterable[Plan]) -> list[Warm]:
    """The catalog's rules, and one for each template that only a plan names."""
    named = {rule.image or catalog.defaults.image for rule in flavor.warm}
    only_planned = {plan.image for plan in plans if plan.flavor == flavor.id} - named
    return [*flavor.warm, *(Warm(image=image, ceiling=0) for image in sorted(only_planned))]


def _is_scarce(catalog: Catalog, backend: Backend, flavor: Flavor, wanted: Collection[str]) -> bool:
    """Whether somebody stands in line for what a waiting slot of this flavor would take up."""
    if not wanted:
        return False
    if flavor.id in wanted or backend.memory() is not None:
        return True
    resources = {one.accelerator.resource for one in catalog.flavors if one.id in wanted and one.accelerator}
    return flavor.accelerator is not None and flavor.accelerator.resource in resources


def is_too_soon(catalog: Catalog, slots: Iterable[Slot], now: datetime) -> bool:
    """Somebody has just been given a slot, and their notebook needs the processor more than the next slot does."""
    pause = timedelta(seconds=catalog.limits.replenish_after_seconds)
    return any(slot.claimed_at is not None and now - slot.claimed_at < pause for slot in slots)


def backs_off(flavor: str, image: str, failures: Iterable[Slot], now: datetime) -> Slot | None:
    """The newest failure of a template that is not to be tried again yet; None where it may be."""
    bad = [slot for slot in failures if (slot.flavor, slot.image) == (flavor, image)]
    if not bad:
        return None
    pause = min(LONGEST_BACKOFF, timedelta(seconds=2 ** min(len(bad), 10)))
    return bad[0] if now - bad[0].created_at < pause else None


def _without_doubles(actions: list[MakeSlot | GiveUp]) -> list[MakeSlot | GiveUp]:
    seen: set[str] = set()
    result: list[MakeSlot | GiveUp] = []
    for action in actions:
        if isinstance(action, GiveUp):
            if action.slot_id in seen:
                continue
            seen.add(action.slot_id)
        result.append(action)
    return result


def _is_fresh(slot: Slot, version: str, catalog: Catalog, now: datetime) -> bool:
    """Whether a waiting slot is of the image as it is now, and has not waited for too long."""
    is_current = slot.version is None or slot.version == version
    return is_current and now - slot.created_at < timedelta(hours=catalog.limits.warm_hours)


def _waiting(slots: Iterable[Slot], flavor: str, image: str) -> list[Slot]:
    """Oldest first."""
    found = [one for one in slots if (one.flavor, one.image) == (flavor, image) and waits_for_nobody(one)]
    return sorted(found, key=lambda one: one.created_at)


def _plan(flavor: Flavor, image: Image, now: datetime) -> Slot:
    return Slot("", flavor.id, image.id, SlotState.CREATING, None, now, None, None, None, None, None)
