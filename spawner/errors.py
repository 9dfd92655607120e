"""Every error that Freepool itself raises.

    FreepoolError                 carries what happened and what to do next
    ├── SetupError                this machine or its settings cannot run Freepool as asked
    │   └── CatalogInvalid        the catalog has mistakes; all of them are listed
    ├── LedgerError
    │   ├── LedgerUnusable        corrupt, read-only, full, unreachable, too new or not migrated
    │   └── LostRace              somebody else changed the row first; nothing was written
    ├── PoolError
    │   ├── BackendUnavailable    the pool cannot be asked just now: unknown, which is not "nothing there"
    │   ├── NoRoom                the pool itself has no room for another slot just now
    │   ├── SlotFailed            a slot could not be made or died before it was of use
    │   │   └── ImageUnavailable  because its image cannot be had
    │   └── ClaimFailed           a slot did not take its claim
    └── Refusal                   a person asked for what cannot be; the sentence is for them
        ├── BadOption             400
        ├── NotAllowed            403
        ├── TooMany               409
        ├── NotOffered            503
        ├── PoolFull              503
        │   └── Queued            503, but there is a place in line
        ├── AlreadyQueued                409
        ├── Paused, Maintenance   503
        ├── NoConsent             403, nobody said yes to being billed for this
        ├── OfferChanged              409, what was agreed to is not what is on offer any more
        ├── PaidPaused            503
        └── StartFailed           500

A message is a template and its parameters, so that the desk can say it in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from spawner.plain_text import one_line


class FreepoolError(Exception):
    """Base of all. `str(error)` is one paragraph: what happened, what to do next, and the details for the log.

    `template` and `next_step` are English sentences with `{name}` placeholders filled from `params`. `details` are
    somebody else's own words (a cluster's, a program's), for the reader who wants to know more.
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
        """What the reader should do next; may be empty."""
        return self.next_template.format(**self.params)


class SetupError(FreepoolError):
    """This machine, or its settings, cannot run Freepool as asked."""


class CatalogInvalid(SetupError):
    """The catalog has mistakes.

    `mistakes` holds one line each: the place in the file, what is wrong, how to mend it.
    """

    def __init__(self, path: str, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        listing = "\n".join(f"  {line}" for line in self.mistakes)
        super().__init__(
            "{path}: {count} to mend\n{listing}",
            path=path,
            count="1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes",
            listing=listing,
        )


class LedgerError(FreepoolError):
    """The ledger did not take or give a row."""


class LedgerUnusable(LedgerError):
    """The database is corrupt, read-only, full, unreachable, too new, or not migrated."""


class LostRace(LedgerError):
    """A compare-and-set found another state than it expected. Nothing was written."""


class PoolError(FreepoolError):
    """The pool could not do what was asked of it."""


class BackendUnavailable(PoolError):
    """The pool cannot be asked just now. What runs in it is unknown, and unknown is not stopped."""


class NoRoom(PoolError):
    """The pool itself (a quota, the scheduler) has no room for another slot just now."""


class SlotFailed(PoolError):
    """A slot could not be made, or died before it was of use."""


class ImageUnavailable(SlotFailed):
    """The slot's image cannot be had: another slot would fare no better."""


class ClaimFailed(PoolError):
    """A slot did not take its claim."""


class Refusal(FreepoolError):
    """A person asked for something that cannot be given.

    `code` is stable and short: it labels metrics and API answers. `status` is the HTTP status.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400


class BadOption(Refusal):
    """The request names what the catalog does not know, or is malformed."""

    code = "bad_option"
    status = 400


class NotAllowed(Refusal):
    """The person may not do or see this."""

    code = "not_allowed"
    status = 403


class TooMany(Refusal):
    """The person already has as many instances as the catalog allows."""

    code = "too_many"
    status = 409


class NotOffered(Refusal):
    """The catalog knows it, but this pool cannot serve it at all."""

    code = "not_offered"
    status = 503


class PoolFull(Refusal):
    """Everything is lent out just now."""

    code = "pool_full"
    status = 503


class Queued(PoolFull):
    """The person stands in line. `facts` say where, for programs."""

    code = "queued"

    def __init__(
        self, template: str, *, facts: Mapping[str, object], next_step: str = "", details: str = "", **params: object
    ) -> None:
        super().__init__(template, next_step=next_step, details=details, **params)
        self.facts = dict(facts)


class AlreadyQueued(Refusal):
    """The person stands in line for something else already."""

    code = "in_line"
    status = 409


class Paused(Refusal):
    """An operator lends none of it just now."""

    code = "paused"
    status = 503


class Maintenance(Refusal):
    """An operator lends nothing to anybody new just now."""

    code = "maintenance"
    status = 503


class NoConsent(Refusal):
    """Its person has not said yes to being billed for this very server, or that yes is used up."""

    code = "no_consent"
    status = 403


class OfferChanged(Refusal):
    """A yes, or the offer that it answers, does not fit any more: the person must be asked anew."""

    code = "ask_again"
    status = 409


class PaidPaused(Refusal):
    """An operator lets nobody make new paid instances just now."""

    code = "paid_paused"
    status = 503


class StartFailed(Refusal):
    """The pool tried and could not bring an instance up."""

    code = "start_failed"
    status = 500
