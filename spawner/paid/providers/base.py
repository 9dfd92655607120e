"""The interface of cloud providers, and the errors that they raise.

A provider keeps no state but the cloud's sessions, in memory; every call names its account. `create`, `start`, `stop`,
`delete` and `set_auto_stop` are *mutating*: only the steward calls them, and only for an order, which has a consent.

`create` is idempotent by `name`, which the caller derives from its order.
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
    """State of an instance in any cloud. `UNKNOWN`: the cloud's status has no mapping."""

    PROVISIONING = "provisioning"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    FAILED = "failed"
    UNKNOWN = "unknown"


NOT_BILLING = (RemoteState.STOPPED,)
"""States in which computing is not billed. In every other state it may be, and counts as billed."""


class Capability(StrEnum):
    """Optional features of a cloud."""

    AUTO_STOP = "deadman"  # a timer in the cloud that stops the instance without Freepool
    IDLE_CULLER = "idle_culler"
    PRICES = "prices"  # list prices by API
    PROOF = "proof"  # an OAuth login that proves which account a user owns
    WIPES = "wipes"  # the included disk is wiped after the instance has been stopped for some days


@dataclass(frozen=True)
class Account:
    """The account, role and region for a call. Only `external_id` is secret."""

    provider: str
    region: str
    account_id: str
    role: str
    external_id: str
    workspace: str | None = None


@dataclass(frozen=True)
class InstanceType:
    """An instance type on offer. `price`: list price of one hour of computing, None where the cloud reports none.

    Sizes are in bytes. `available`: whether the cloud reports capacity now, None where it reports nothing. `disk`:
    included size; `disk_price`: of one GiB and hour beyond it, also while stopped. `least_disk`: size, and so price,
    where no size is requested; None for the included size.
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
    """An instance as the cloud describes it. `raw_state` and `reason` are the cloud's texts, shown to users.

    `running`: seconds of computing that the cloud counts, None where it counts none. `stops_at`: due time of the
    auto-stop.
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
        """Whether computing may be billed now."""
        return self.state not in NOT_BILLING


@dataclass(frozen=True)
class Probe:
    """Result of checking a role. `problems` prevent using it, `remarks` only inform the user.

    Both are (template, params). `workspaces`: (id, name) of each workspace that instances may be created in.
    """

    account_id: str
    problems: Sequence[tuple[str, Mapping[str, str]]] = ()
    remarks: Sequence[tuple[str, Mapping[str, str]]] = ()
    workspaces: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Request:
    """An instance to create. `name` is the idempotency key: 1 to 27 letters and digits, valid in every cloud.

    `disk` is in bytes, None for the included size.
    """

    name: str
    instance_type: str
    labels: Mapping[str, str]
    disk: int | None = None
    image: str | None = None


@dataclass(frozen=True)
class Access:
    """An address with a short-lived token that opens an instance, made for one click. It is never stored or logged."""

    url: str = field(repr=False)


class Provider(Protocol):
    """One cloud. The methods do not block the event loop and raise only `ProviderError`."""

    id: str
    title: str
    capabilities: frozenset[Capability]

    async def probe(self, account: Account) -> Probe:
        """Check the role: it must refuse a missing or wrong external id, belong to the account, and allow reading."""
        ...

    async def instance_types(self, account: Account) -> list[InstanceType]:
        """All instance types on offer now."""
        ...

    async def create(self, account: Account, request: Request) -> str:
        """Create an instance and return its id in the cloud.

        Raises `AlreadyExists` where the name is taken; any other `Rejected` is a definite refusal. After any other
        error the outcome is unknown: call `find`.
        """
        ...

    async def find(self, account: Account, name: str) -> RemoteInstance | None:
        """The instance with exactly this name. None only if a complete listing does not contain it."""
        ...

    async def owned(self, account: Account, labels: Mapping[str, str]) -> list[RemoteInstance]:
        """All instances with these labels in the account's region. Raises rather than return an incomplete list."""
        ...

    async def describe(self, account: Account, remote_id: str) -> RemoteInstance:
        """The instance as it is now. Raises `NotFound` only if the cloud accepts the role and has no such instance."""
        ...

    async def start(self, account: Account, remote_id: str) -> None:
        """Start a stopped instance. Raises `Conflict` where its state does not allow it: call `describe`."""
        ...

    async def stop(self, account: Account, remote_id: str) -> None:
        """Request a stop. Raises `Conflict` where its state does not allow it."""
        ...

    async def delete(self, account: Account, remote_id: str) -> None:
        """Request deletion of the instance and its disk. Raises `Conflict` where its state does not allow it."""
        ...

    async def set_auto_stop(self, account: Account, remote_id: str, *, stop_in: float, idle: float | None) -> None:
        """Have the cloud stop the instance `stop_in` seconds from now, by the cloud's clock, and after `idle` seconds
        without use. Replaces an earlier auto-stop.
        """
        ...

    async def access(self, account: Account, remote_id: str) -> Access:
        """A new address that opens the instance."""
        ...

    async def close(self) -> None:
        """End threads and connections."""
        ...


class ProviderError(FreepoolError):
    """A call failed. `request_id` is the cloud's, for its support.

    Message, repr and attributes contain no secrets, and an SDK's exception is never chained as cause or context.
    """

    def __init__(self, template: str, *, code: str = "", request_id: str = "", **rest: str) -> None:
        self.code, self.request_id = code, request_id
        super().__init__(template, **rest)


class Rejected(ProviderError):
    """A definite refusal: nothing was created or changed."""


class AlreadyExists(Rejected):
    """The name is taken."""


class NoCapacity(Rejected):
    """The cloud has no capacity for this instance type now."""


class Insufficient(Rejected):
    """The account's balance or quota does not allow it."""


class Conflict(Rejected):
    """The instance's state does not allow the call."""


class NotFound(Rejected):
    """The cloud accepts the role and has no such instance."""


class AuthLost(ProviderError):
    """The role is gone or no longer allows the call. The state of the account's instances is unknown."""


class Throttled(ProviderError):
    """Too many calls. Nothing was done. `after`: seconds to wait, None where the cloud names no time."""

    def __init__(self, template: str, *, after: float | None = None, **rest: str) -> None:
        self.after = after
        super().__init__(template, **rest)


class ClockSkew(ProviderError):
    """The cloud does not accept this machine's clock. Nothing was done."""


class Unavailable(ProviderError):
    """The cloud cannot be reached now. A mutating call that raises this was not sent."""


class OutcomeUnknown(ProviderError):
    """A mutating call may or may not have had an effect: observe before the next call."""
