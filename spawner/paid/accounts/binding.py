"""Rules of bindings: when one may be used, which problems prevent linking, and which orders prevent unlinking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from spawner.errors import NotAllowed
from spawner.ledger.paid.rows import OVER, Binding, BindingState, Consent, Order, OrderState
from spawner.paid.providers.base import Account, Probe

EXTERNAL_ID_BYTES = 24
"""192 bits; users copy it and never type it."""
OUT_OF_REACH = timedelta(hours=24)
"""How long an unreachable instance without an auto-stop prevents unlinking."""
Reach = Callable[[str, str], bool]
"""`Paid.reaches`: whether the settings name a provider and a region."""
OTHER_ACCOUNT = "The role belongs to account {found}, but you signed in to account {proven}."


def external_id(randomness: bytes) -> str:
    """The external id that the role's trust policy requires, unique to a user and account."""
    if len(randomness) < EXTERNAL_ID_BYTES:
        raise ValueError(f"an external id needs {EXTERNAL_ID_BYTES} random bytes: a shorter one can be guessed")
    return f"freepool-{randomness.hex()}"


def account_for(binding: Binding, order: Order) -> Account:
    """The account for an order's calls, in the workspace in which the order was placed."""
    return replace(account_of(binding, order.region), workspace=order.workspace)


def account_of(binding: Binding, region: str) -> Account:
    """The account for calls under a binding. Raises `NotAllowed` where the binding has no role yet."""
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
    """Why the probe does not allow using the binding, as (template, params); empty if it may become ACTIVE."""
    if probe.account_id == binding.account_id:
        return probe.problems
    return [*probe.problems, (OTHER_ACCOUNT, {"found": probe.account_id, "proven": binding.account_id})]


def is_same(row: Binding | Consent | Order, other: Binding | Consent | Order) -> bool:
    """Whether both rows belong to the same person."""
    return row.person_id == other.person_id


def may_order(binding: Binding) -> bool:
    """Whether instances may be created or started under the binding."""
    return binding.state is BindingState.ACTIVE


def in_the_way_of_unlinking(orders: Iterable[Order], now: datetime, *, reaches: Reach) -> list[Order]:
    """The orders to stop before a binding is unlinked: all that may be running.

    An instance that Freepool cannot reach (access lost, or region removed from the settings) counts until its
    auto-stop is due; without an auto-stop, for `OUT_OF_REACH`. Its user has a notice by then and must act in the cloud.
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
