"""Progress messages of a paid start: percentage, template and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from spawner.ledger.paid.rows import Order, StopReason
from spawner.paid.orders.service import OrderProgress, is_open, is_over
from spawner.paid.providers.base import RemoteState

Line = tuple[int, str, Mapping[str, str]]
"""Percent, template, parameters."""

DONE: Mapping[str, tuple[int, str]] = {
    "ordered": (5, "Your order is noted"),
    "unknown": (20, "The cloud's answer was lost; looking whether it was made"),
    "made": (30, "The cloud is making it"),
    "started": (30, "The cloud is starting it"),
    "adopted": (30, "It is there"),
    "armed": (40, "Its timer is set in the cloud, so that it ends even without us"),
    "arming_failed": (35, "Its timer could not be set; trying again, and else it is stopped"),
}
"""Message for each event of an order that users see."""
STAGE = "The cloud says: {stage}"
READY = "It runs. Opening it"
STAGE_PERCENT = {RemoteState.PROVISIONING: 60, RemoteState.RUNNING: 100}

NOT_STARTED = "It was not started."
ENDINGS: Mapping[StopReason, str] = {
    StopReason.CANCELLED: "The start was cancelled.",
    StopReason.ASKED: "It is being stopped.",
    StopReason.HUB: "It is being stopped.",
    StopReason.PRICE: "The price has changed since you agreed, so nothing was made.",
    StopReason.REFUSED: "Your cloud refused it, so nothing was made.",
    StopReason.BLOCKED: "Nothing new can be made in this cloud account just now.",
    StopReason.TOO_LATE: "It could not be made in time, so it is not made any more.",
    StopReason.UNPROTECTED: "Its timer could not be set in the cloud, so it was stopped.",
    StopReason.LIST_BLIND: "Your cloud does not show us what we make there, so it was stopped.",
    StopReason.NOT_STARTED: "Your cloud did not start it.",
    StopReason.OUTSIDE: "It was stopped in your cloud.",
}
"""Why the instance cannot be opened; other reasons have `NOT_STARTED`."""


def lines(watched: OrderProgress) -> list[Line]:
    """The messages of the current run so far, in order."""
    order = watched.order
    messages: list[Line] = [(*DONE[event.what], {}) for event in watched.record if event.what in DONE]
    if is_open(order):
        return [*messages, (100, READY, {})]
    if is_over(order) or order.is_unwanted:
        return [*messages, (100, ending(order), {})]
    if order.raw_state:
        messages.append((STAGE_PERCENT.get(RemoteState(order.remote_state or "unknown"), 50), STAGE, stage_of(order)))
    return messages


def stage_of(order: Order) -> Mapping[str, str]:
    """The instance's state as the cloud names it."""
    return {"stage": order.raw_state or ""}


def ending(order: Order) -> str:
    """Why the instance cannot be opened."""
    return ENDINGS.get(order.reason, NOT_STARTED) if order.reason is not None else NOT_STARTED
