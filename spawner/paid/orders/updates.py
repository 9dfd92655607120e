"""What is written after one step of an order: the row, what its person is told, and a line of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spawner.ledger.paid.rows import Block, NoticeKind, Order, OrderChanges

FREEPOOL = "freepool"
"""Who wishes an end where no person does. It is only shown: no rule asks for it."""


@dataclass(frozen=True)
class UserNotice:
    """A notice to leave. `occasion`: one of its kind is left for each."""

    kind: NoticeKind
    occasion: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class OrderUpdate:
    """`what` is empty where nothing happened that belongs into the record. `block`: what is wrong with the binding."""

    changes: OrderChanges
    notices: tuple[UserNotice, ...] = ()
    what: str = ""
    request_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    block: Block | None = None


def notice(kind: NoticeKind, order: Order, **params: object) -> UserNotice:
    """A notice about the present run of an order: one of each kind."""
    run = order.consent_id or (order.recovered_at.isoformat() if order.recovered_at else "")
    words = {
        "instance_type": order.instance_type,
        "region": order.region,
        **{name: str(value) for name, value in params.items()},
    }
    return UserNotice(kind, f"{order.id}:{run}", words)
