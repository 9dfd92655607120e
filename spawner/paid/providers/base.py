"""The contract of a cloud that bills a person: what Freepool asks of it, and what its answers mean.

A provider holds no state of ours. Every call names the account it is for; what may be cached is a session of the
cloud's, in memory. A call that changes something in the cloud is *mutating*: `create`, `start`, `stop`, `delete` and
`set_auto_stop`. Only the steward makes those, and only for an order, which stands for a consent.

Calls are idempotent by `name`, which the caller derives from its own order before it calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from spawner.errors import FreepoolError
from spawner.paid.money import Money


class RemoteState(StrEnum):
    """What an instance in the cloud is doing, in our words. `UNKNOWN` is a status that we have never seen."""

    PROVISIONING = "provisioning"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    FAILED = "failed"
    UNKNOWN = "unknown"


NOT_BILLING = (RemoteState.STOPPED,)
"""States in which computing surely costs nothing. In every other it may: that counts as yes."""


class Capability(StrEnum):
    """What a cloud can do beyond what all of them can."""

    AUTO_STOP = "deadman"  # a timer in the cloud that stops the instance without us
    IDLE_CULLER = "idle_culler"
    PRICES = "prices"  # list prices by API
    PROOF = "proof"  # an OAuth login that proves which account a person owns
    WIPES = "wipes"  # what is included of the disk is wiped when it has been stopped for long


@dataclass(frozen=True)
class Account:
    """On whose behalf a call is made. Nothing in it is secret but `external_id`, which only the role's trust uses."""

    provider: str
    region: str
    account_id: str
    role: str
    external_id: str
    workspace: str | None = None


@dataclass(frozen=True)
class InstanceType:
    """A machine on offer. `price` is the list price of one hour of computing, None where the cloud does not say.

    Sizes are in bytes. `available`: whether the cloud says that it has one now; None where it does not say.
    `disk`: what is included; `disk_price` is for one GiB and hour beyond it, also while stopped. `least_disk`: what it
    gets, and costs, where none is asked for; None where that is what is included.
    """

    id: str
    cpu: int
    memory: int
    gpu_count: int
    gpu_name: str | None
    gpu_memory: int | None
    price: Money | None
    available: bool | None
    disk: int | None
    disk_price: Money | None = None
    least_disk: int | None = None


@dataclass(frozen=True)
class RemoteInstance:
    """An instance as the cloud describes it. `raw_state` and `reason` are the cloud's own words, kept for people.

    `running`: seconds of computing by the cloud's own count, None where it does not say. `stops_at`: when its own
    timer will stop it.
    """

    id: str
    name: str
    region: str
    state: RemoteState
    raw_state: str
    reason: str
    instance_type: str
    labels: Mapping[str, str]
    running: float | None
    created_at: datetime | None
    stops_at: datetime | None

    @property
    def may_bill(self) -> bool:
        """Whether computing may be costing money now."""
        return self.state not in NOT_BILLING


@dataclass(frozen=True)
class Probe:
    """What a look at a binding found. `problems` refuse it, `remarks` are what its person should know.

    Both are sentences with their parameters: (template, params). `workspaces`: where instances may be made: id, name.
    """

    account_id: str
    problems: Sequence[tuple[str, Mapping[str, str]]] = ()
    remarks: Sequence[tuple[str, Mapping[str, str]]] = ()
    workspaces: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Request:
    """What is to be made. `name` is the idempotency key: 1 to 27 letters and digits, which every cloud takes.

    `disk` is in bytes, None for what is included.
    """

    name: str
    instance_type: str
    labels: Mapping[str, str]
    disk: int | None = None
    image: str | None = None


@dataclass(frozen=True)
class Access:
    """A way in, minted for one click: never stored, never logged."""

    url: str = field(repr=False)


class Provider(Protocol):
    """One cloud. All methods are coroutines that never block the loop, and raise only `ProviderError`."""

    id: str
    title: str
    capabilities: frozenset[Capability]

    async def probe(self, account: Account) -> Probe:
        """Assume the role, and try what it must refuse: no external id, a wrong one, another account."""
        ...

    async def instance_types(self, account: Account) -> list[InstanceType]:
        """What is on offer now, whole."""
        ...

    async def create(self, account: Account, request: Request) -> str:
        """Make it; the id in the cloud.

        Raises `AlreadyExists` where the name is taken; any other `Rejected` is a definite no. Everything else leaves
        the outcome open: `find` tells.
        """
        ...

    async def find(self, account: Account, name: str) -> RemoteInstance | None:
        """The one of exactly this name. None only if a complete listing has succeeded without it."""
        ...

    async def owned(self, account: Account, labels: Mapping[str, str]) -> list[RemoteInstance]:
        """All that carry these labels in the account's region, whole or an error."""
        ...

    async def describe(self, account: Account, remote_id: str) -> RemoteInstance:
        """As it is now. Raises `NotFound` only if the cloud knows us and does not know it."""
        ...

    async def start(self, account: Account, remote_id: str) -> None:
        """Start a stopped one. Raises `Conflict` where its state does not allow it: `describe` decides."""
        ...

    async def stop(self, account: Account, remote_id: str) -> None:
        """Ask it to stop; `Conflict` where its state does not allow it."""
        ...

    async def delete(self, account: Account, remote_id: str) -> None:
        """Ask for its end and that of its disk; `Conflict` where its state does not allow it."""
        ...

    async def set_auto_stop(self, account: Account, remote_id: str, *, stop_in: float, idle: float | None) -> None:
        """Have the cloud itself stop it `stop_in` seconds from now, and after `idle` seconds without use.

        Counted from now on the cloud's own clock. Replaces what was armed before.
        """
        ...

    async def access(self, account: Account, remote_id: str) -> Access:
        """A fresh way in."""
        ...

    async def close(self) -> None:
        """End threads and connections."""
        ...


class ProviderError(FreepoolError):
    """The cloud did not do what was asked. `request_id` is the cloud's, for its support.

    No message, repr or attribute ever carries a secret; causes from an SDK are cut off (`raise … from None`).
    """

    def __init__(self, template: str, *, code: str = "", request_id: str = "", **rest: str) -> None:
        self.code, self.request_id = code, request_id
        super().__init__(template, **rest)


class Rejected(ProviderError):
    """A well-formed, definite no: nothing was made or changed."""


class AlreadyExists(Rejected):
    """The name is taken."""


class NoCapacity(Rejected):
    """The cloud has no such machine now."""


class Insufficient(Rejected):
    """The account's balance or quota does not allow it."""


class Conflict(Rejected):
    """Its state does not allow it."""


class NotFound(Rejected):
    """The cloud knows us and does not know it."""


class AuthLost(ProviderError):
    """The role is gone, or does not let us do this any more. What runs there is unknown."""


class Throttled(ProviderError):
    """Too many calls. Nothing was done; `after` is how many seconds to wait, None where the cloud does not say."""

    def __init__(self, template: str, *, after: float | None = None, **rest: str) -> None:
        self.after = after
        super().__init__(template, **rest)


class ClockSkew(ProviderError):
    """The cloud does not accept our clock. Nothing was done."""


class Unavailable(ProviderError):
    """The cloud cannot be asked just now. From a call that changes something: it was not sent."""


class OutcomeUnknown(ProviderError):
    """A mutating call may or may not have been done: look before anything else."""
