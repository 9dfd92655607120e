"""The line: whose ticket is to be settled, started, given up, and who is to be told. Pure; the loop carries it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog
from spawner.ledger import Instance, InstanceState, Slot, SlotState, Ticket, TicketState

GRACE = timedelta(seconds=3)
"""How long whoever reserved a slot for themselves may take to start it, before it is started for them."""


@dataclass(frozen=True)
class SettleTicket:
    """The start of a called ticket is over, and did not come to an instance."""

    ticket: Ticket
    instance_id: str


@dataclass(frozen=True)
class RequeueTicket:
    """What was reserved for a called ticket is lost: it waits again, at its place."""

    ticket: Ticket


@dataclass(frozen=True)
class ExpireTicket:
    """Nobody came for what was held."""

    ticket: Ticket


@dataclass(frozen=True)
class FailTicket:
    """The catalog does not have any more what somebody waits for."""

    ticket: Ticket


@dataclass(frozen=True)
class StartTicket:
    """Start the instance of somebody whose turn has come."""

    ticket: Ticket


Action = SettleTicket | RequeueTicket | ExpireTicket | FailTicket | StartTicket


def decide(
    tickets: Iterable[Ticket],
    *,
    slots: Iterable[Slot],
    instances: Iterable[Instance],
    catalog: Catalog,
    now: datetime,
) -> Iterator[Action]:
    """What is due for living tickets. `slots` take up room, `instances` are not over; all of one moment."""
    flavors, images = {one.id for one in catalog.flavors}, {one.id for one in catalog.images}
    loans = {one.id: one for one in instances if one.state is not InstanceState.STOPPING}
    busy = {(one.user_name, one.server_name) for one in loans.values()}
    holders = {one.holder_id for one in slots if one.state is not SlotState.DESTROYING}
    for ticket in tickets:
        if ticket.instance_id is not None:
            if ticket.instance_id not in loans:
                yield SettleTicket(ticket, ticket.instance_id)
        elif ticket.flavor not in flavors or ticket.image not in images:
            yield FailTicket(ticket)
        elif ticket.state is not TicketState.CALLED:
            continue
        elif ticket.id not in holders:
            yield RequeueTicket(ticket)
        elif (ticket.user_name, ticket.server_name) in busy:  # they have something else meanwhile, and must choose
            if ticket.hold_until is not None and ticket.hold_until <= now:
                yield ExpireTicket(ticket)
        elif not _starts_itself(ticket, now):
            yield StartTicket(ticket)


def _starts_itself(ticket: Ticket, now: datetime) -> bool:
    """Whether its person is just about to start it: it never had to wait."""
    return not ticket.has_waited and now - ticket.joined_at < GRACE


def to_notify(untold: Iterable[Ticket], instances: Iterable[Instance]) -> list[Ticket]:
    """Those who waited, and have now something to come for: it runs, or is held beside what runs for them already."""
    busy = {(one.user_name, one.server_name) for one in instances if one.state is InstanceState.RUNNING}
    return [
        ticket
        for ticket in untold
        if ticket.state is TicketState.SERVED
        or (ticket.instance_id is None and (ticket.user_name, ticket.server_name) in busy)
    ]


def unclaimed(served: Iterable[Ticket], waiting: Iterable[Ticket], *, now: datetime, hold: timedelta) -> list[Ticket]:
    """Those whose instance has run for too long without them while somebody waits for one like it.

    `served` are tickets whose person is not known to have come. As many as wait, and first whose runs longest.
    """
    wanted = Counter(ticket.flavor for ticket in waiting if ticket.state is TicketState.WAITING)
    missing = [one for one in served if one.served_at and now - one.served_at >= hold]
    taken: list[Ticket] = []
    for one in sorted(missing, key=lambda one: one.served_at or now):
        if wanted[one.flavor]:
            wanted[one.flavor] -= 1
            taken.append(one)
    return taken
