"""What a pool backend promises. One conformance suite (`tests/backends`) runs against every one of them.

A backend knows slots and nothing of users, loans or rows. It is one plain object per process, shared by all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from spawner.catalog import Flavor, Image
from spawner.compat import StrEnum
from spawner.ledger.model import EndReason


class Phase(StrEnum):
    """What a slot is, as the backend sees it. Whether a READY one is claimed, only the ledger knows."""

    CREATING = "creating"
    READY = "ready"
    DEAD = "dead"


@dataclass(frozen=True)
class SlotSpec:
    """A slot to be made. `key` is its one-time claim key (32 bytes)."""

    id: str
    flavor: Flavor
    image: Image
    key: bytes
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class SlotStatus:
    """A slot that exists. `url` is where its notebook port answers, without a trailing slash, once READY.

    `reason` and `detail` say why a DEAD one died, where that is known.
    """

    id: str
    phase: Phase
    url: str | None = None
    reason: EndReason | None = None
    detail: str = ""


Slots = Mapping[str, SlotStatus]


class Backend(Protocol):
    """The four verbs of a pool, and what it can serve."""

    @property
    def isolated(self) -> bool:
        """Whether strangers' instances are kept apart from each other and from the platform."""
        ...

    async def create(self, spec: SlotSpec) -> None:
        """Begin to make a slot. Idempotent by `spec.id`. Returns as soon as the slot is on its way.

        Raises `SlotFailed` when it cannot be made, `BackendUnavailable` when nobody can tell.
        """
        ...

    async def destroy(self, slot_id: str) -> None:
        """Make a slot not be: when this returns, its processes are dead and its storage is gone. Idempotent.

        Raises `BackendUnavailable` when that could not be made sure of; the caller tries again later.
        """
        ...

    async def list(self) -> Slots:
        """Everything of ours that exists, by id: whole, or `BackendUnavailable`; never a part."""
        ...

    def watch(self) -> AsyncIterator[None]:
        """Yields whenever `list` may have something new to say; the first time at once. Never ends."""
        ...

    def why_not(self, flavor: Flavor, image: Image | None = None) -> tuple[str, str] | None:
        """Why this backend can never serve a flavor (or image), in English and Chinese; None if it can."""
        ...

    def memory(self) -> int | None:
        """Bytes of memory that all slots together may set aside; None where only the scheduler knows."""
        ...
