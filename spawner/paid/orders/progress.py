"""Progress messages of a paid start: percentage, template and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from spawner.ledger.paid.rows import Order, StopReason
from spawner.paid.orders.service import OrderProgress, is_open, is_over
from spawner.paid.providers.base import RemoteState

Line = tuple[int, str, Mapping[str, str]]
"""Percent, template, parameters."""

DONE: Mapping[str, tuple[int, str]] = {
    "ordered": (5, "Order received"),
    "unknown": (20, "No response from the cloud. Checking whether the notebook was created"),
    "made": (30, "The cloud is creating your notebook"),
    "started": (30, "The cloud is starting your notebook"),
    "adopted": (30, "Notebook found"),
    "armed": (40, "Auto-stop timer set in the cloud"),
    "arming_failed": (35, "The auto-stop timer could not be set. Trying again; if it fails, the notebook is stopped"),
}
"""Message for each event of an order that users see."""
STAGE = "Cloud status: {stage}"
READY = "Running. Opening your notebook"
STAGE_PERCENT = {RemoteState.PROVISIONING: 60, RemoteState.RUNNING: 100}

NOT_STARTED = "The notebook was not started."
ENDINGS: Mapping[StopReason, str] = {
    StopReason.CANCELLED: "Start cancelled.",
    StopReason.ASKED: "The notebook is stopping.",
    StopReason.HUB: "The notebook is stopping.",
    StopReason.PRICE: "The price changed after you approved it, so nothing was created.",
    StopReason.REFUSED: "Your cloud account refused the request, so nothing was created.",
    StopReason.BLOCKED: "No new notebooks can be created in this cloud account right now.",
    StopReason.TOO_LATE: "The notebook could not be created in time. The request was cancelled.",
    StopReason.UNPROTECTED: "The auto-stop timer could not be set, so the notebook was stopped.",
    StopReason.LIST_BLIND: (
        "Freepool cannot see the notebooks it creates in your cloud account, so this one was stopped."
    ),
    StopReason.NOT_STARTED: "Your cloud account did not start the notebook.",
    StopReason.OUTSIDE: "The notebook was stopped in your cloud account.",
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
