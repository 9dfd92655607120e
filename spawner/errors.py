"""Every error that Freepool itself raises.

    FreepoolError                 carries what happened and what to do next
    ├── SetupError                this machine or these settings cannot run Freepool
    │   └── CatalogInvalid        the catalog has mistakes; all of them are listed
    ├── LedgerError
    │   ├── LedgerUnusable        corrupt, read-only, full, unreachable, too new or not migrated
    │   └── LostRace              another process changed the row first; nothing was written
    ├── PoolError
    │   ├── BackendUnavailable    the pool does not answer: the state of its slots is unknown
    │   ├── NoRoom                the pool has no room for another slot now
    │   ├── SlotFailed            a slot could not be created, or ended before it could be used
    │   │   └── ImageUnavailable  because its image cannot be pulled
    │   └── ClaimFailed           a slot did not accept its claim
    └── Refusal                   a request that cannot be granted; the sentence is for the user
        ├── BadOption             400, the request is malformed or names an unknown id
        ├── SignedOut             403, no valid session or token
        ├── NotAllowed            403, the user has no permission
        ├── Banned                403, the person is banned
        ├── TermsNotAccepted      403, the person has not accepted the present terms
        ├── NotForYou             403, policies give the flavor or image to other groups
        ├── NoHours               403, the person's hours of the flavor's class are used up
        ├── NameTaken             403, the name that a login gives belongs to another account here
        ├── OfAnotherHub          403, the account is on another hub of this platform
        ├── NoConsent             403, no unused consent to being billed for this server
        ├── Conflict              409, the state of the user's instances does not allow it
        │   ├── AlreadyRunning    the user has an instance
        │   ├── NotRunning        the user has no instance
        │   ├── NotCalled         no slot is reserved for the user
        │   ├── StartCancelled    another request of the user has stopped the start
        │   └── CannotExtend      the session's end cannot be moved; a subclass for each reason
        ├── TooMany               409, the user has as many instances as the catalog allows
        ├── TooManyRequests       409, too many requests of one user at once
        ├── RateLimited           429, too many requests in a short time
        ├── AlreadyQueued         409, the user's ticket is for another flavor or image
        ├── OfferChanged          409, price or terms differ from those that the user agreed to
        ├── NotOffered            503, this pool cannot serve it at all
        ├── PoolFull              503
        │   └── Queued            503, the user has a ticket in the queue
        ├── Paused, Maintenance   503
        ├── PaidPaused            503
        └── StartFailed           500

A message is a template and its parameters, so that the desk can translate it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from spawner.plain_text import one_line


class FreepoolError(Exception):
    """Base of all. `str(error)` is one paragraph: what happened, what to do next, and the details for the log.

    `template` and `next_step` are English sentences with `{name}` placeholders filled from `params`. `details` is
    the output of another program, such as a cluster's message; it is not translated.
    """

    def __init__(self, template: str, *, next_step: str = "", details: str = "", **params: object) -> None:
        self.template = template
        self.next_template = next_step
        self.details = details
        self.params = params
        super().__init__(
            " ".join(part for part in (self.message, self.next_step, details and f"({one_line(details)})") if part)
        )

    @property
    def message(self) -> str:
        """What happened."""
        return self.template.format(**self.params)

    @property
    def next_step(self) -> str:
        """What the user should do next; may be empty."""
        return self.next_template.format(**self.params)


class SetupError(FreepoolError):
    """This machine, or these settings, cannot run Freepool."""


class CatalogInvalid(SetupError):
    """The catalog has mistakes.

    `mistakes` has one line for each: its place in the file, the mistake, and how to correct it.
    """

    def __init__(self, path: str, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        listing = "\n".join(f"  {line}" for line in self.mistakes)
        super().__init__(
            "{path}: {count}\n{listing}",
            path=path,
            count="1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes",
            listing=listing,
        )


class LedgerError(FreepoolError):
    """The ledger could not read or write a row."""


class LedgerUnusable(LedgerError):
    """The database is corrupt, read-only, full, unreachable, too new, or not migrated."""


class LostRace(LedgerError):
    """A compare-and-set found another state than expected. Nothing was written."""


class PoolError(FreepoolError):
    """An operation of the pool failed."""


class BackendUnavailable(PoolError):
    """The pool does not answer. The state of its slots is unknown; do not treat them as stopped."""


class NoRoom(PoolError):
    """A quota or the scheduler has no room for another slot now."""


class SlotFailed(PoolError):
    """A slot could not be created, or ended before it could be used."""


class ImageUnavailable(SlotFailed):
    """The slot's image cannot be pulled. Another slot would fail in the same way."""


class ClaimFailed(PoolError):
    """A slot did not accept its claim."""


class Refusal(FreepoolError):
    """A request that cannot be granted.

    `code` is part of the API and a label of metrics: it never changes. `status` is the HTTP status.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400


class BadOption(Refusal):
    """The request is malformed, or names an id that the catalog does not have."""

    code = "bad_option"
    status = 400


class SignedOut(Refusal):
    """The request carries no valid session or token."""

    code = "signed_out"
    status = 403


class NotAllowed(Refusal):
    """The user has no permission for this."""

    code = "not_allowed"
    status = 403


class Banned(Refusal):
    """The person is banned: it says until when, and how to appeal."""

    status = 403
    code = "banned"


class TermsNotAccepted(Refusal):
    """The person has not accepted the present terms. The next step says where that is done."""

    code = "terms_not_accepted"
    status = 403


class NotForYou(Refusal):
    """Policies do not give the flavor or image to the person. `facts`, for API clients, name the groups that it is
    for."""

    status = 403
    code = "not_for_you"

    def __init__(
        self, template: str, *, facts: Mapping[str, object], next_step: str = "", details: str = "", **params: object
    ) -> None:
        super().__init__(template, next_step=next_step, details=details, **params)
        self.facts = dict(facts)


class NoHours(Refusal):
    """The person's hours of the flavor's class are used up, or set aside for a running instance.

    `facts`, for API clients: `class`, `left_seconds`, `held_seconds`, `resets_at` (ISO 8601), `free_flavors`.
    """

    status = 403
    code = "no_hours"

    def __init__(
        self, template: str, *, facts: Mapping[str, object], next_step: str = "", details: str = "", **params: object
    ) -> None:
        super().__init__(template, next_step=next_step, details=details, **params)
        self.facts = dict(facts)


class NameTaken(Refusal):
    """The name that a login gives belongs to another account here."""

    status = 403
    code = "name_taken"


class OfAnotherHub(Refusal):
    """The person's hub is another one, whose name is in `params`."""

    status = 403
    code = "other_hub"

    @property
    def hub(self) -> str:
        """Its name."""
        return str(self.params["hub"])


class Conflict(Refusal):
    """The state of the user's instances does not allow what the request asks for."""

    code = "conflict"
    status = 409


class AlreadyRunning(Conflict):
    """The user has an instance already."""

    code = "busy"


class NotRunning(Conflict):
    """The user has no instance."""

    code = "not_running"


class NotCalled(Conflict):
    """No slot is reserved for the user: their ticket still waits, or they have none."""

    code = "not_called"


class StartCancelled(Conflict):
    """Another request of the user has stopped the start, or has given up its ticket; or the ticket has expired."""

    code = "start_cancelled"


class CannotExtend(Conflict):
    """The end of the user's session cannot be moved. Its code is `reason` of the session's `extension`."""

    code = "cannot_extend"


class OthersWait(CannotExtend):
    """Somebody waits for the flavor, or for another of its class."""

    code = "others_wait"


class ExtensionsUsed(CannotExtend):
    """The session was extended as often as the catalog allows."""

    code = "used_up"


class NotExtendable(CannotExtend):
    """The person's class, or the catalog's policies, give no longer session."""

    code = "policy"


class NoHoursToExtend(CannotExtend):
    """The person's hours of this week do not cover it."""

    code = "no_hours"


class MaintenanceAhead(CannotExtend):
    """The platform closes for maintenance."""

    code = "maintenance"


class TooMany(Refusal):
    """The user already has as many instances as the catalog allows."""

    code = "too_many"
    status = 409


class TooManyRequests(Refusal):
    """A user sends too many requests at once. It shares its code with `TooMany`, as in version 0.1."""

    code = "too_many"
    status = 409


class RateLimited(Refusal):
    """Too many requests of one person or one address in a short time. `seconds`: after which to try again."""

    code = "rate_limited"
    status = 429

    def __init__(self, template: str, *, seconds: int, next_step: str = "") -> None:
        super().__init__(template, next_step=next_step, seconds=seconds)
        self.seconds = seconds


class NotOffered(Refusal):
    """The catalog has it, but this pool cannot serve it at all."""

    code = "not_offered"
    status = 503


class PoolFull(Refusal):
    """No slot is free now."""

    code = "pool_full"
    status = 503


class Queued(PoolFull):
    """The user has a ticket in the queue. `facts` are its place and wait estimate, for API clients."""

    code = "queued"

    def __init__(
        self, template: str, *, facts: Mapping[str, object], next_step: str = "", details: str = "", **params: object
    ) -> None:
        super().__init__(template, next_step=next_step, details=details, **params)
        self.facts = dict(facts)


class AlreadyQueued(Refusal):
    """The user already has a ticket, for another flavor or image."""

    code = "in_line"
    status = 409


class Paused(Refusal):
    """An administrator has paused this flavor."""

    code = "paused"
    status = 503


class Maintenance(Refusal):
    """An administrator has closed the platform for maintenance."""

    code = "maintenance"
    status = 503


class NoConsent(Refusal):
    """The user has not consented to being billed for this server, or that consent is used already."""

    code = "no_consent"
    status = 403


class OfferChanged(Refusal):
    """The offer, or the consent to it, is out of date: the user must be asked again."""

    code = "ask_again"
    status = 409


class PaidPaused(Refusal):
    """An administrator has paused the creation of paid instances."""

    code = "paid_paused"
    status = 503


class StartFailed(Refusal):
    """The pool could not start an instance."""

    code = "start_failed"
    status = 500
