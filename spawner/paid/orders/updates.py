"""The changes that one step of an order writes: the row, notices for the user, an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spawner.ledger.paid.rows import Block, NoticeKind, Order, OrderChanges

FREEPOOL = "freepool"
"""Requester of stops that no user requested. Only displayed."""


@dataclass(frozen=True)
class UserNotice:
    """A notice for the order's user. One notice of a kind is kept for each `occasion`."""

    kind: NoticeKind
    occasion: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class OrderUpdate:
    """`what` names the event, empty for none. `block`: the reason to block the binding for."""

    changes: OrderChanges
    notices: tuple[UserNotice, ...] = ()
    what: str = ""
    request_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    block: Block | None = None


def notice(kind: NoticeKind, order: Order, **params: object) -> UserNotice:
    """A notice about the current run of an order, one of each kind per run."""
    run = order.consent_id or (order.recovered_at.isoformat() if order.recovered_at else "")
    all_params = {
        "instance_type": order.instance_type,
        "region": order.region,
        **{name: str(value) for name, value in params.items()},
    }
    return UserNotice(kind, f"{order.id}:{run}", all_params)
