"""What a pool backend promises. One conformance suite (`tests/backends`) runs against every one of them.

A backend knows slots and nothing of users, loans or rows. It is one plain object per process, shared by all.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spawner.catalog import Flavor, Image
from spawner.compat import StrEnum
from spawner.ledger.pool.rows import EndReason


class Phase(StrEnum):
    """What a slot is, as the backend sees it. Whether a READY one is claimed, only the ledger knows."""

    CREATING = "creating"
    READY = "ready"
    DEAD = "dead"


class Unavailable(StrEnum):
    """Why a backend can never serve a flavor or image. `queue/responses.py` has the sentences."""

    NO_GPU = "no_gpu"
    TOO_LITTLE_MEMORY = "too_little_memory"
    KUBERNETES_ONLY = "kubernetes_only"
    NOT_ON_KUBERNETES = "not_on_kubernetes"
    NOT_INSTALLED = "not_installed"


@dataclass(frozen=True)
class SlotSpec:
    """A slot to be made. `key` is its one-time claim key (32 bytes).

    `awaited` says that somebody waits for it, rather than it for somebody. `environment` is the identity of an image
    that knows no claim (`Image.agent` is false): it cannot be told later. `own_users` asks for users of its own, apart
    from the machine's, where the flavor does not say it (`PodFields.host_users`).
    """

    id: str
    flavor: Flavor
    image: Image
    key: bytes
    examples: tuple[str, ...] = ()
    awaited: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    user_namespace: bool = False


@dataclass(frozen=True)
class SlotStatus:
    """A slot that exists. `url` is where its notebook port answers, without a trailing slash.

    A CREATING slot may have a URL already: whoever is in a hurry may ask there. `no_room` says why it could not be
    placed yet, in the scheduler's words. `reason` and `detail` say why a DEAD one died, where that is known. Until they
    are `settled` a better reason may follow within seconds: the cause of an end can come after the end. `lent` is
    whether the backend knows that it has an owner, see `Backend.lend`. `node` is the machine it is on, where there are
    several; `own_users` says that it was made with users of its own, and `no_users` that it died because its node
    cannot do that.
    """

    id: str
    phase: Phase
    url: str | None = None
    reason: EndReason | None = None
    detail: str = ""
    no_room: str = ""
    lent: bool = False
    is_final: bool = True
    node: str = ""
    user_namespace: bool = False
    lacks_user_namespace: bool = False


Slots = Mapping[str, SlotStatus]


class Backend(Protocol):
    """The verbs of a pool, and what it can serve."""

    @property
    def isolated(self) -> bool:
        """Whether strangers' instances are kept apart from each other and from the platform."""
        ...

    @property
    def supports_user_namespaces(self) -> bool:
        """Whether `SlotSpec.own_users` means anything here, and `SlotStatus.no_users` tells where it does not work."""
        ...

    async def create(self, spec: SlotSpec) -> None:
        """Begin to make a slot. Idempotent by `spec.id`. Returns as soon as the slot is on its way.

        Raises `NoRoom` when the backend has no room for it, `SlotFailed` when it cannot be made,
        `BackendUnavailable` when nobody can tell.
        """
        ...

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        """Note that somebody has the slot now, which from now on must end within so many seconds of its creation.

        The last line of a session's limit, for the day when no steward runs. Idempotent. A slot that is gone is fine.
        Raises `BackendUnavailable`; the steward then tries again, as `SlotStatus.lent` tells it.
        """
        ...

    async def destroy(self, slot_id: str) -> None:
        """Make a slot not be: when this returns, its processes are dead and its storage is gone. Idempotent.

        Raises `BackendUnavailable` when that could not be made sure of; the caller tries again later.
        """
        ...

    async def list(self) -> Slots:
        """Everything of ours that exists, by id: whole, or `BackendUnavailable`; never a part.

        What others have just made may be missing for a moment. Who concludes something from an absence asks `find`.
        """
        ...

    async def find(self, slot_id: str) -> SlotStatus | None:
        """One slot, asked of the truth itself; None if it does not exist. Raises `BackendUnavailable`."""
        ...

    def watch(self) -> AsyncGenerator[None, None]:
        """Yields whenever `list` may have something new to say; the first time at once. Never ends."""
        ...

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:
        """Why this backend can never serve a flavor (or image); None if it can."""
        ...

    def version(self, image: Image) -> str:
        """What changes when the image does: waiting slots of another version are replaced."""
        ...

    def memory(self) -> int | None:
        """Bytes of memory that all slots together may set aside; None where only the scheduler knows."""
        ...

    async def close(self) -> None:
        """Let go of connections. Slots stay."""
        ...
