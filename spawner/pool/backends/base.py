"""The interface of a pool backend. One conformance suite (`tests/backends`) runs against each kind.

A backend knows slots; it knows no users, instances or rows. There is one per process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from spawner.catalog import Flavor, Image
from spawner.ledger.pool.rows import EndReason
from spawner.plain_text import printable


class Phase(StrEnum):
    """A slot's state in the backend. Whether a READY slot is claimed is in the ledger."""

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


class Weakness(StrEnum):
    """What a pool lacks of the isolation that users expect. `desk/user/state.py` has the sentences."""

    NO_ISOLATION = "no_isolation"
    SHARED_NETWORK = "shared_network"
    NO_INTERNET = "no_internet"


@dataclass(frozen=True)
class SlotSpec:
    """A slot to create. `key` is its one-time claim key (32 bytes).

    `awaited`: a start waits for it, so it is no warm slot. `environment` is the server's, for an image without the
    agent (`Image.agent` is false): it takes no claim later. `user_namespace` asks for a user namespace where the flavor
    does not decide it (`PodFields.host_users`).
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
    """A slot that exists. `url` is its notebook port's, without a trailing slash.

    A CREATING slot may have a URL already: its agent can be asked there. `no_room` is the scheduler's message while the
    slot has no node. `reason` and `detail` say why a DEAD slot died, where that is known; until `is_final` a better
    reason may follow within seconds, because Kubernetes may write the cause after the end. `assigned`: `Backend.assign`
    was called for it, or need not be. `was_assigned`: the slot itself shows that it was. `node` is the node's name,
    where there are several. `user_namespace`: it was created with one; `lacks_user_namespace`: it died because its node
    supports none.
    """

    id: str
    phase: Phase
    url: str | None = None
    reason: EndReason | None = None
    detail: str = ""
    no_room: str = ""
    assigned: bool = False
    was_assigned: bool = False
    is_final: bool = True
    node: str = ""
    user_namespace: bool = False
    lacks_user_namespace: bool = False
    died_at: datetime | None = None
    """When it died, as the keeper or the kubelet recorded it: before the backend noticed, and maybe long before."""
    is_silent: bool = False
    """With `lacks_user_namespace`: its node made no sandbox, and did not say why. A node that is down does the same."""

    def __post_init__(self) -> None:
        """What a program or a cluster wrote must not break a database or a terminal."""
        for name in ("detail", "no_room"):
            object.__setattr__(self, name, printable(getattr(self, name)))


Slots = Mapping[str, SlotStatus]


def fingerprint(parts: Any) -> str:
    """The version of a template whose parts are these, as JSON: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Unseen(StrEnum):
    """Why a backend cannot tell what processor time slots use. `desk/admin/guard.py` has the sentences."""

    NO_METRICS = "no_metrics"
    MAY_NOT_READ_METRICS = "may_not_read_metrics"


@dataclass(frozen=True)
class SlotUse:
    """What a slot uses, as seen from outside: processor seconds since its creation, or processors in use now.

    `names`: of its programs. `places`: `ADDRESS:PORT` of connections to one of the ports that were asked about.
    `network`: bytes in and out of its network since its creation, without loopback. `gpu`: the share of the last
    seconds in which its accelerators computed, 0 to 1; memory that is held does not count. `stamp` changes with each
    new measurement, where one may be read twice.
    """

    seconds: float | None = None
    processors: float | None = None
    names: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    network: int | None = None
    gpu: float | None = None
    stamp: str = ""


@dataclass(frozen=True)
class Usage:
    """What all slots use. `unseen`: why there are no processor times; `sees_inside`: names and places can be seen."""

    slots: Mapping[str, SlotUse]
    unseen: Unseen | None = None
    sees_inside: bool = False
    can_slow: bool = False


class Backend(Protocol):
    """What a pool can do and what it can serve."""

    @property
    def isolated(self) -> bool:
        """Whether instances are isolated from each other and from the platform."""
        ...

    @property
    def weakness(self) -> Weakness | None:
        """The worst of what this pool lacks; None where it lacks nothing."""
        ...

    @property
    def supports_user_namespaces(self) -> bool:
        """Whether `SlotSpec.user_namespace` and `SlotStatus.lacks_user_namespace` have a meaning here."""
        ...

    async def create(self, spec: SlotSpec) -> None:
        """Begin to create a slot, and return before it is ready. Idempotent by `spec.id`.

        Raises `NoRoom` where the backend has no room for it, `SlotFailed` where it cannot be created,
        `BackendUnavailable` where the outcome is unknown.
        """
        ...

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        """Mark the slot as assigned, with a hard deadline of so many seconds after its creation.

        The deadline ends the session where no steward runs. Idempotent; does nothing where the slot does not exist.
        Raises `BackendUnavailable`; the steward then tries again while `SlotStatus.assigned` is false.
        """
        ...

    async def destroy(self, slot_id: str) -> None:
        """Destroy a slot. On return its processes are dead and its storage is deleted. Idempotent.

        Raises `BackendUnavailable` where that is not certain; the caller tries again later.
        """
        ...

    async def list(self) -> Slots:
        """All slots that exist, by id: complete, else raises `BackendUnavailable`.

        Slots that another process has just created may be missing. Confirm absence with `find`.
        """
        ...

    async def find(self, slot_id: str) -> SlotStatus | None:
        """One slot, by an uncached read; None if it does not exist. Raises `BackendUnavailable`."""
        ...

    def watch(self) -> AsyncGenerator[None, None]:
        """Yields when the result of `list` may have changed, and once at the start. Never ends."""
        ...

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:
        """Why this backend can never serve a flavor (or image); None if it can."""
        ...

    def version(self, template: SlotSpec) -> str:
        """A text of at most 128 characters that changes with anything a slot is made from: image, sizes, pod fields.

        `template` is a slot of the flavor and image (`spawner.pool.templates.template_of`): its id, key, environment
        and `user_namespace` do not count. Warm slots of another version are given to nobody, and replaced.
        """
        ...

    def memory(self) -> int | None:
        """Bytes of memory that all slots together may reserve; None where only the scheduler knows."""
        ...

    async def usage(self, slot_ids: Collection[str], *, ports: frozenset[int] | None) -> Usage:
        """What these slots use. Reads little: it is asked every minute. Raises `BackendUnavailable`.

        Without `ports` the counters only: no names and no places.
        """
        ...

    async def slow(self, slot_id: str, share: float) -> bool:
        """Leave a slot this share of its processors (1: all). False where that is not possible."""
        ...

    async def close(self) -> None:
        """Close connections. Slots stay."""
        ...
