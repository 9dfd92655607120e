"""Records of the paid path, and the states that they go through.

binding    PROVEN ──> ACTIVE <──> BLOCKED
              └─────────┴───────────┴──> UNLINKED
consent    OFFERED ──> ACCEPTED ──> SPENT
              └───────────┴──> EXPIRED, WITHDRAWN
order      INTENDED ──> CREATING ──> ACTIVE ──> STOPPING ──> STOPPED ──> DELETING ──> GONE
              │            │  └── UNKNOWN ─^        ^           │
              └────────────┴───────> REJECTED    RECOVERED      └──> INTENDED (a new consent, of kind START)

An amount of money is exact text here ("0.65"); its currency stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict


class BindingState(StrEnum):
    """How far a person's cloud account is linked."""

    PROVEN = "proven"  # whose account it is, is known; what we may do there is not
    ACTIVE = "active"
    BLOCKED = "blocked"
    UNLINKED = "unlinked"


LINKED = (BindingState.ACTIVE, BindingState.BLOCKED)


class Block(StrEnum):
    """Why nothing new may be made under a binding, or an order cannot be followed just now."""

    AUTH_LOST = "auth_lost"
    LIST_BLIND = "list_blind"
    CHECK = "check"  # its person has looked again, and something speaks against it


class ConsentState(StrEnum):
    """Where one question to a person stands."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    SPENT = "spent"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ConsentKind(StrEnum):
    """What a consent allows, once."""

    CREATE = "create"
    START = "start"


class OrderState(StrEnum):
    """Where one instance in a person's cloud stands."""

    INTENDED = "intended"  # nothing was ever asked of the cloud
    CREATING = "creating"  # committed before the cloud is asked: it may or may not have been
    UNKNOWN = "unknown"  # the cloud was asked, and what came of it is not known
    ACTIVE = "active"
    RECOVERED = "recovered"  # found in the cloud, and the ledger knows of no run that is allowed now
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    GONE = "gone"
    REJECTED = "rejected"


OVER = (OrderState.GONE, OrderState.REJECTED)
RUNS = (OrderState.ACTIVE, OrderState.RECOVERED)
ENDS = (OrderState.STOPPING, OrderState.DELETING)
UNSETTLED = (OrderState.CREATING, OrderState.UNKNOWN)
"""The cloud may have been asked to make it, and has not been seen to have done so."""


class StopReason(StrEnum):
    """Why a run ended, or is being ended."""

    ASKED = "asked"
    HUB = "hub"  # through JupyterHub, which does not say by whom: its owner, an administrator, or a culler
    CANCELLED = "cancelled"
    CAP = "cap"
    TIME = "time"
    OUTSIDE = "outside"  # by the cloud's idle culler, or in its console
    UNPROTECTED = "unprotected"  # its timer in the cloud could not be armed
    LIST_BLIND = "list_blind"
    TOO_LATE = "too_late"  # it was not made while its consent was fresh
    NOT_STARTED = "not_started"
    REFUSED = "refused"  # by the cloud
    PRICE = "price"  # not what was agreed to
    BLOCKED = "blocked"  # the binding, or an operator, allows nothing new
    UNLINKED = "unlinked"  # its owner has unlinked the account while it was there


class NoticeKind(StrEnum):
    """What a person is told once."""

    RUNNING = "running"
    MOST_SPENT = "most_spent"
    STOPPED = "stopped"
    STOP_FAILED = "stop_failed"
    DELETE_FAILED = "delete_failed"
    DELETED = "deleted"
    NOT_MADE = "not_made"
    PRICE_CHANGED = "price_changed"
    AUTH_LOST = "auth_lost"
    LIST_BLIND = "list_blind"
    RECOVERED = "recovered"
    FAILED = "failed"
    STRANGE_STATE = "strange_state"
    WIPED_SOON = "wiped_soon"
    LEFT = "left"  # the account was unlinked, and it stays there


@dataclass(frozen=True)
class Binding:
    """A link between a user and a cloud account. `external_id` is made here and is known to the role's trust only.

    `workspaces` are by region. `subject` is who signed in when the account was proven. `user_since` is when JupyterHub
    made this user: names can be given to others later, and that cannot.
    """

    id: str
    person_id: str
    user_name: str
    user_since: str
    provider: str
    account_id: str
    subject: str
    external_id: str
    role: str | None
    workspaces: dict[str, str]
    state: BindingState
    blocked: Block | None
    blocked_at: datetime | None
    proven_at: datetime
    probed_at: datetime | None
    unlinked_at: datetime | None


@dataclass(frozen=True)
class Consent:
    """What a person was asked, word for word, and whether they said yes. Nothing but its state ever changes.

    `price` is for one `unit` of computing, `disk_price` for the same unit of the disk beyond what is included, both
    in `currency`; `disk` is in bytes, None for what is included. `cap` bounds what one run may cost: `run_seconds` is
    how long that, and the time that was chosen, let it run. `session` marks the person's session without naming it.
    `answer_hash`: of the word that only the page with this question sends along with the yes.
    """

    id: str
    person_id: str
    user_name: str
    user_since: str
    session: str
    server_name: str
    kind: ConsentKind
    order_id: str | None
    binding_id: str
    provider: str
    region: str
    account_id: str
    instance_type: str
    image: str | None
    price: str
    currency: str
    unit: str
    disk: int | None
    disk_price: str | None
    cap: str
    max_seconds: int
    run_seconds: int
    idle_seconds: int | None
    read_at: datetime
    offered_at: datetime
    expires_at: datetime
    text_version: int
    text_hash: str
    language: str
    text: str
    answer_hash: str
    state: ConsentState = ConsentState.OFFERED
    accepted_at: datetime | None = None
    spent_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True)
class Order:
    """One instance in a person's cloud, from the intent to its end, over all its runs.

    `consent_id`: what allows the present run; None where it was found and not ordered. `blocked` stands beside the
    state, so that nothing is forgotten while we cannot look. `busy_until`: somebody is asking the cloud right now.
    `begun_at`: when the last step began. `unsure`: the cloud's answer to the last request was lost, so look first.
    `asked_at`: when the cloud took the request to stop or delete; `ending_since`: since when that has been tried.
    `workspace`: where in the account it is made. `posted_at`: when it was first asked to make it.
    `remote_state`, `raw_state`, `remote_reason`, `running`, `stops_at`: the last answer, of `seen_at`; `running` is
    seconds by the cloud's count over all runs, `ran_before` those of earlier runs. `run_began_at`: from when
    on this run may have cost something. `spent` is an estimate, in the consent's currency.
    """

    id: str
    person_id: str
    user_name: str
    user_since: str
    server_name: str
    consent_id: str | None
    binding_id: str
    provider: str
    region: str
    instance_type: str
    name: str
    state: OrderState
    created_at: datetime
    version: int = 0
    workspace: str | None = None
    remote_id: str | None = None
    recovered_at: datetime | None = None
    blocked: Block | None = None
    blocked_at: datetime | None = None
    next_try_at: datetime | None = None
    busy_until: datetime | None = None
    begun_at: datetime | None = None
    tries: int = 0
    unsure: bool = False
    posted_at: datetime | None = None
    asked_at: datetime | None = None
    ending_since: datetime | None = None
    active_at: datetime | None = None
    run_began_at: datetime | None = None
    auto_stop_set_at: datetime | None = None
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    reason: StopReason | None = None
    seen_at: datetime | None = None
    remote_state: str | None = None
    raw_state: str | None = None
    remote_reason: str | None = None
    running: float | None = None
    ran_before: float = 0
    stops_at: datetime | None = None
    spent: str | None = None
    stop_wanted_at: datetime | None = None
    stop_wanted_by: str | None = None
    delete_wanted_at: datetime | None = None
    delete_wanted_by: str | None = None

    @property
    def is_unwanted(self) -> bool:
        """Whether it is to be stopped, or deleted."""
        return self.stop_wanted_at is not None or self.delete_wanted_at is not None


class OrderChanges(TypedDict, total=False):
    """Columns of an order to change: all but its id and its version."""

    person_id: str
    user_name: str
    user_since: str
    server_name: str
    consent_id: str | None
    binding_id: str
    provider: str
    region: str
    instance_type: str
    name: str
    state: OrderState
    created_at: datetime
    workspace: str | None
    remote_id: str | None
    recovered_at: datetime | None
    blocked: Block | None
    blocked_at: datetime | None
    next_try_at: datetime | None
    busy_until: datetime | None
    begun_at: datetime | None
    tries: int
    unsure: bool
    posted_at: datetime | None
    asked_at: datetime | None
    ending_since: datetime | None
    active_at: datetime | None
    run_began_at: datetime | None
    auto_stop_set_at: datetime | None
    stopped_at: datetime | None
    ended_at: datetime | None
    reason: StopReason | None
    seen_at: datetime | None
    remote_state: str | None
    raw_state: str | None
    remote_reason: str | None
    running: float | None
    ran_before: float
    stops_at: datetime | None
    spent: str | None
    stop_wanted_at: datetime | None
    stop_wanted_by: str | None
    delete_wanted_at: datetime | None
    delete_wanted_by: str | None


@dataclass(frozen=True)
class OrderEvent:
    """One line of the record of what was done for an order, by whom. `request_id` is the cloud's, for its support."""

    seq: int
    order_id: str
    at: datetime
    by: str
    what: str
    before: str
    after: str
    request_id: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """What a person must be told once. `mark` names the occasion: there is one notice for each."""

    seq: int
    mark: str
    person_id: str
    user_name: str
    kind: NoticeKind
    order_id: str | None
    binding_id: str | None
    at: datetime
    params: dict[str, str]
    seen_at: datetime | None
