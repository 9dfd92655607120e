"""A place in line, as it is told to whoever asked for an instance."""

from __future__ import annotations

import math

from spawner.errors import NotOffered, Queued
from spawner.pool.backends.base import Unavailable
from spawner.pool.queue.admission import QueuePosition

TICKET_PATH = "/services/desk/api/ticket"
"""Where a program asks again, with its user's token."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 5, 60
"""Seconds: how soon asking again makes sense, and how late it still does."""
FULL = "Everything of the shape {flavor} is lent out just now."
NO_MACHINE = "No machine has room for the shape {flavor} just now."
PLACE = "You are number {place} in line."
WAIT = "That takes about {low} to {high} minutes."
STAY = "You need not stay: your instance is started when it is your turn."

UNAVAILABLE_TEXTS: dict[Unavailable, str] = {
    Unavailable.NO_GPU: "This machine's pool has no GPU.",
    Unavailable.TOO_LITTLE_MEMORY: "This machine has too little memory for it.",
    Unavailable.KUBERNETES_ONLY: "This image is served on Kubernetes.",
    Unavailable.NOT_ON_KUBERNETES: "This image is not served on Kubernetes.",
    Unavailable.NOT_INSTALLED: "This image is not installed on this machine.",
}
"""In English; the desk translates them."""


def not_offered(why: Unavailable) -> NotOffered:
    """The refusal of a start that the backend can never serve."""
    return NotOffered(UNAVAILABLE_TEXTS[why], next_step="Choose another shape or image.")


def queued(line: QueuePosition, *, why: str = FULL, details: str = "") -> Queued:
    """The refusal that says where somebody stands."""
    wait = line.wait
    params = {"flavor": line.ticket.flavor, "place": line.place}
    template = f"{why} {PLACE}"
    if wait is not None:
        template += f" {WAIT}"
        low, high = minutes(wait.low, wait.high)
        params |= {"low": low, "high": high}
    return Queued(template, next_step=STAY, details=details, facts=position_fields(line), **params)


def position_fields(line: QueuePosition) -> dict[str, object]:
    """The same for programs. `expected_seconds` is a range, or null where nobody can tell."""
    wait = line.wait
    return {
        "ticket": line.ticket.id,
        "flavor": line.ticket.flavor,
        "image": line.ticket.image,
        "place": line.place,
        "expected_seconds": None if wait is None else [round(wait.low), round(wait.high)],
        "retry_after": retry_after(line),
        "poll": TICKET_PATH,
    }


def retry_after(line: QueuePosition) -> int:
    """Seconds after which asking again makes sense."""
    return (
        MIN_RETRY_SECONDS if line.wait is None else round(min(max(line.wait.low, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS))
    )


def minutes(low: float, high: float) -> tuple[int, int]:
    """A range of seconds in whole minutes, never empty: 0 to 1 at least."""
    first = math.floor(low / 60)
    return first, max(first + 1, math.ceil(high / 60))
