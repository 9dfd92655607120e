"""The actions that open tickets need: settle, requeue, expire, fail, start, notify. Pure; `dispatch` acts on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Denial, Membership, rights_of
from spawner.ledger import Instance, InstanceState, Slot, SlotState, Ticket, TicketState

GRACE = timedelta(seconds=3)
"""How long the desk may take to start a ticket that it got at once, before the steward starts it."""


@dataclass(frozen=True)
class SettleTicket:
    """The start of a called ticket has ended without a running instance."""

    ticket: Ticket
    instance_id: str


@dataclass(frozen=True)
class RequeueTicket:
    """The slot of a called ticket is lost: queue it again at its place."""

    ticket: Ticket


@dataclass(frozen=True)
class ExpireTicket:
    """The user did not come while the slot was held."""

    ticket: Ticket


@dataclass(frozen=True)
class FailTicket:
    """The catalog has dropped the ticket's flavor or image."""

    ticket: Ticket


@dataclass(frozen=True)
class RefuseTicket:
    """Policies do not give the ticket's flavor or image to its user any more."""

    ticket: Ticket
    denial: Denial


@dataclass(frozen=True)
class StartTicket:
    """Start the instance of a called ticket."""

    ticket: Ticket


Action = SettleTicket | RequeueTicket | ExpireTicket | FailTicket | RefuseTicket | StartTicket


def decide(
    tickets: Iterable[Ticket],
    *,
    slots: Iterable[Slot],
    instances: Iterable[Instance],
    catalog: Catalog,
    now: datetime,
    groups: Mapping[str, frozenset[str]],
) -> Iterator[Action]:
    """The actions for open tickets. `slots` take up room, `instances` are not ended; all of one snapshot.

    `groups` are those of the tickets' people, by id.
    """
    flavors, images = {flavor.id for flavor in catalog.flavors}, {image.id for image in catalog.images}
    live = {instance.id: instance for instance in instances if instance.state is not InstanceState.STOPPING}
    busy = {(instance.person_id, instance.server_name) for instance in live.values()}
    holders = {slot.holder_id for slot in slots if slot.state is not SlotState.DESTROYING}
    for ticket in tickets:
        if ticket.instance_id is not None:
            if ticket.instance_id not in live:
                yield SettleTicket(ticket, ticket.instance_id)
        elif ticket.flavor not in flavors or ticket.image not in images:
            yield FailTicket(ticket)
        elif denial := _denial(catalog, ticket, groups):
            yield RefuseTicket(ticket, denial)
        elif ticket.state is not TicketState.CALLED:
            continue
        elif ticket.id not in holders:
            yield RequeueTicket(ticket)
        elif (ticket.person_id, ticket.server_name) in busy:  # the server runs another instance: the user must choose
            if ticket.hold_until is not None and ticket.hold_until <= now:
                yield ExpireTicket(ticket)
        elif not _starts_itself(ticket, now):
            yield StartTicket(ticket)


def _denial(catalog: Catalog, ticket: Ticket, groups: Mapping[str, frozenset[str]]) -> Denial | None:
    membership = Membership(groups.get(ticket.person_id, frozenset()))
    return rights_of(catalog, membership).denial(ticket.flavor, ticket.image)


def _starts_itself(ticket: Ticket, now: datetime) -> bool:
    """Whether the desk is about to start it: the ticket never waited."""
    return not ticket.has_waited and now - ticket.joined_at < GRACE


def to_notify(untold: Iterable[Ticket], instances: Iterable[Instance]) -> list[Ticket]:
    """Called tickets to notify about: their instance runs, or a slot is held beside a running instance."""
    busy = {(one.person_id, one.server_name) for one in instances if one.state is InstanceState.RUNNING}
    return [
        ticket
        for ticket in untold
        if ticket.state is TicketState.SERVED
        or (ticket.instance_id is None and (ticket.person_id, ticket.server_name) in busy)
    ]


def unclaimed(served: Iterable[Ticket], waiting: Iterable[Ticket], *, now: datetime, hold: timedelta) -> list[Ticket]:
    """Served tickets whose user has not come within `hold` while others wait for the flavor.

    `served` are tickets whose user has not been active. Returns as many per flavor as wait, the longest running first.
    """
    wanted = Counter(ticket.flavor for ticket in waiting if ticket.state is TicketState.WAITING)
    missing = [one for one in served if one.served_at and now - one.served_at >= hold]
    taken: list[Ticket] = []
    for one in sorted(missing, key=lambda one: one.served_at or now):
        if wanted[one.flavor]:
            wanted[one.flavor] -= 1
            taken.append(one)
    return taken
