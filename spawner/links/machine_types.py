"""Which machine types a link can be opened on now, and which of them is chosen at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spawner.pool.fits import Resources, lacks


class Fit(StrEnum):
    """Whether a machine type serves."""

    NOW = "now"
    QUEUE = "queue"
    LACKING = "lacking"
    CLOSED = "closed"


@dataclass(frozen=True)
class Offer:
    """One machine type for this person now. `wait_seconds`: the upper end of the estimate; None: no estimate."""

    id: str
    has: Resources
    available: int
    can_queue: bool
    wait_seconds: float | None = None


def fit_of(offer: Offer, needs: Resources) -> Fit:
    """What it needs first: waiting for a machine type that is too small would be in vain."""
    if lacks(needs, offer.has):
        return Fit.LACKING
    if offer.available > 0:
        return Fit.NOW
    return Fit.QUEUE if offer.can_queue else Fit.CLOSED


def best(offers: Sequence[Offer], needs: Resources, preferred: str) -> str | None:
    """The machine type to choose at first: what is free before what is not, then the preferred one, then one without an
    accelerator, then the smallest. None where nothing serves."""

    def rank(offer: Offer) -> tuple[bool, bool, bool, float, int]:
        is_free = fit_of(offer, needs) is Fit.NOW
        wait = 0.0 if is_free else (offer.wait_seconds if offer.wait_seconds is not None else float("inf"))
        has_accelerator = offer.has.gpu_memory is not None
        return (not is_free, offer.id != preferred, has_accelerator, wait, offer.has.memory)

    serving = [offer for offer in offers if fit_of(offer, needs) in (Fit.NOW, Fit.QUEUE)]
    return min(serving, key=rank).id if serving else None
