"""Answers to spawn requests that get no slot now: the place in the queue, or why the pool cannot serve them."""

from __future__ import annotations

import math

from spawner.errors import NotOffered, Queued
from spawner.pool.backends.base import Unavailable
from spawner.pool.queue.admission import QueuePosition

TICKET_PATH = "/services/desk/api/ticket"
"""The path that a program polls, with its user's token."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 5, 60
"""Bounds of the suggested polling interval, in seconds."""
FULL = "All {flavor} notebooks are in use."
NO_MACHINE = "No server has capacity for {flavor} right now."
PLACE = "You are number {place} in the queue."
WAIT = "The estimated wait is {low} to {high} minutes."
STAY = "Your notebook starts automatically when it is your turn."

UNAVAILABLE_TEXTS: dict[Unavailable, str] = {
    Unavailable.NO_GPU: "This server has no GPU.",
    Unavailable.TOO_LITTLE_MEMORY: "This server does not have enough memory.",
    Unavailable.KUBERNETES_ONLY: "This image is available only on Kubernetes.",
    Unavailable.NOT_ON_KUBERNETES: "This image is not available on Kubernetes.",
    Unavailable.NOT_INSTALLED: "This image is not installed on this server.",
}
"""In English; the desk translates them."""


def not_offered(why: Unavailable) -> NotOffered:
    """The refusal of a start that the backend can never serve."""
    return NotOffered(UNAVAILABLE_TEXTS[why], next_step="Choose another machine type or image.")


def queued(position: QueuePosition, *, why: str = FULL, details: str = "") -> Queued:
    """The refusal that states the place in the queue and the estimated wait."""
    wait = position.wait
    params = {"flavor": position.ticket.flavor, "place": position.place}
    template = f"{why} {PLACE}"
    if wait is not None:
        template += f" {WAIT}"
        low, high = minutes(wait.low, wait.high)
        params |= {"low": low, "high": high}
    return Queued(template, next_step=STAY, details=details, facts=position_fields(position), **params)


def position_fields(position: QueuePosition) -> dict[str, object]:
    """The position as JSON. `expected_seconds` is a range, or null without an estimate."""
    wait = position.wait
    return {
        "ticket": position.ticket.id,
        "flavor": position.ticket.flavor,
        "image": position.ticket.image,
        "place": position.place,
        "expected_seconds": None if wait is None else [round(wait.low), round(wait.high)],
        "retry_after": retry_after(position),
        "poll": TICKET_PATH,
    }


def retry_after(position: QueuePosition) -> int:
    """The suggested polling interval, in seconds."""
    return (
        MIN_RETRY_SECONDS
        if position.wait is None
        else round(min(max(position.wait.low, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS))
    )


def minutes(low: float, high: float) -> tuple[int, int]:
    """A range of seconds in whole minutes; at least 0 to 1."""
    first = math.floor(low / 60)
    return first, max(first + 1, math.ceil(high / 60))
