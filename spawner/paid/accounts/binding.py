"""Rules of a binding: when it may be used, what a probe must have shown, and when it may be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from spawner.errors import NotAllowed
from spawner.ledger.paid.rows import OVER, Binding, BindingState, Consent, Order, OrderState
from spawner.paid.providers.base import Account, Probe

EXTERNAL_ID_BYTES = 24
"""192 bits: it cannot be guessed, and is never typed by anybody."""
OUT_OF_REACH = timedelta(hours=24)
Reach = Callable[[str, str], bool]
"""Whether the settings name a cloud and a region of it, as `Paid.reaches`."""
OTHER_ACCOUNT = "The role belongs to account {found}, but you have signed in to account {proven}."


def external_id(randomness: bytes) -> str:
    """The word that the role's trust asks for, made here for one person and account."""
    if len(randomness) < EXTERNAL_ID_BYTES:
        raise ValueError("an external id that can be guessed protects nobody")
    return f"freepool-{randomness.hex()}"


def account_for(binding: Binding, order: Order) -> Account:
    """On whose behalf calls for an order are made: it stays in the workspace in which it was ordered."""
    return replace(account_of(binding, order.region), workspace=order.workspace)


def account_of(binding: Binding, region: str) -> Account:
    """On whose behalf calls under a binding are made. It must have a role."""
    if binding.role is None:
        raise NotAllowed("This cloud account is not linked yet.", next_step="Finish linking it first.")
    return Account(
        provider=binding.provider,
        region=region,
        account_id=binding.account_id,
        role=binding.role,
        external_id=binding.external_id,
        workspace=binding.workspaces.get(region),
    )


def problems_of(binding: Binding, probe: Probe) -> Sequence[tuple[str, Mapping[str, str]]]:
    """All that speaks against using a binding, after a look at it. Empty: it may become ACTIVE."""
    if probe.account_id == binding.account_id:
        return probe.problems
    return [*probe.problems, (OTHER_ACCOUNT, {"found": probe.account_id, "proven": binding.account_id})]


def is_same(one: Binding | Consent | Order, other: Binding | Consent | Order) -> bool:
    """Whether both are the same person's: a name alone may have been somebody else's before."""
    return one.person_id == other.person_id


def may_order(binding: Binding) -> bool:
    """Whether something new may be made or started there."""
    return binding.state is BindingState.ACTIVE


def in_the_way_of_unlinking(orders: Iterable[Order], now: datetime, *, reaches: Reach) -> list[Order]:
    """What must be stopped before a binding is forgotten: all that may compute.

    What we cannot reach any more, or the settings do not name any more, is waited for until its timer has surely
    fired. What has none, for a day: by then its owner has been told, and only they can do something.
    """
    return [
        order
        for order in orders
        if order.state not in OVER
        and order.state is not OrderState.STOPPED
        and not _is_out_of_reach(order, now, reaches)
    ]


def _is_out_of_reach(order: Order, now: datetime, reaches: Reach) -> bool:
    if order.blocked is None and reaches(order.provider, order.region):
        return False
    until = order.stops_at if order.auto_stop_set_at is not None else None
    return now > (until or (order.blocked_at or order.stop_wanted_at or now) + OUT_OF_REACH)
