"""Bad luck by name: what the cloud is told to do wrong, once or so many times, to the next calls of an action."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What goes wrong. "Done" says whether the call took effect."""

    CLOSE_BEFORE = "close_before"  # not done, connection lost
    CLOSE_AFTER = "close_after"  # done, answer lost
    HANG_BEFORE = "hang_before"  # not done; no answer for `seconds`, then the connection is lost
    HANG_AFTER = "hang_after"  # done; no answer for `seconds`, then the connection is lost
    HALF_BODY = "half_body"  # done, half of the answer
    SLOW = "slow"  # done, answered rightly after `seconds`
    LATE = "late"  # answered as 504; done after so many virtual `seconds`
    HTML502 = "html502"  # done, a proxy's page for an answer
    HTML502_BEFORE = "html502_before"  # not done, a proxy's page for an answer
    EMPTY500 = "empty500"  # not done, 500 without a body
    ERROR = "error"  # not done, the JSON error `status`, `code`, `message`
    XML = "xml"  # not done, the same as XML
    LIST400 = "list400"  # not done, 400 with a JSON list
    NOT_JSON = "not_json"  # done, 200 with text for an answer
    SUCCESS_FALSE = "success_false"  # not done, 200 that says so
    SUCCESS_FALSE_AFTER = "success_false_after"  # done, 200 that says it was not
    BODY_NONE = "body_none"  # done, 200 with types that the SDK chokes on
    NO_ID = "no_id"  # done, 200 without the instance's id
    THROTTLE = "throttle"  # not done, with the header that says when
    THROTTLE_PLAIN = "throttle_plain"  # not done, without it
    REDIRECT = "redirect"  # not done, 302 to `url`
    IGNORED = "ignored"  # not done, and answered as if it had been
    FAIL_BOOT = "fail_boot"  # done, but the instance ends as Failed with `code` and `message`
    NEVER_STOPS = "never_stops"  # done, but the instance stays Stopping for good
    NEVER_DELETES = "never_deletes"  # done, but the instance stays Deleting for good


BEFORE = {
    Kind.CLOSE_BEFORE,
    Kind.HANG_BEFORE,
    Kind.LATE,
    Kind.HTML502_BEFORE,
    Kind.EMPTY500,
    Kind.ERROR,
    Kind.XML,
    Kind.LIST400,
    Kind.SUCCESS_FALSE,
    Kind.THROTTLE,
    Kind.THROTTLE_PLAIN,
    Kind.REDIRECT,
    Kind.IGNORED,
}
"""With these the call takes no effect, or not yet."""


SENT = {
    Kind.CLOSE_BEFORE: 0,
    Kind.CLOSE_AFTER: 0,
    Kind.HANG_BEFORE: 0,
    Kind.HANG_AFTER: 0,
    Kind.HTML502: 502,
    Kind.HTML502_BEFORE: 502,
    Kind.EMPTY500: 500,
    Kind.LIST400: 400,
    Kind.THROTTLE: 400,
    Kind.THROTTLE_PLAIN: 429,
    Kind.REDIRECT: 302,
}


@dataclass
class Fault:
    """`action` as in `x-acs-action`, or `*`. `times`: how often, -1 for until it is taken back."""

    action: str
    kind: Kind
    times: int = 1
    account: str | None = None
    seconds: float = 0
    status: int = 400
    code: str = "InternalError"
    message: str = "The request processing has failed due to some unknown error."
    url: str = ""

    def sent(self, status: int) -> int:
        """The status that the caller sees instead of this one, 0 where it sees none."""
        if self.kind in (Kind.ERROR, Kind.XML):
            return self.status
        return SENT.get(self.kind, status)


@dataclass
class Faults:
    """Those to come, in order."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, data: dict[str, Any]) -> None:
        """Raises `ValueError` or `TypeError` where it makes no sense."""
        self.waiting.append(Fault(**{**data, "kind": Kind(data["kind"])}))

    def take(self, action: str, account: str | None) -> Fault | None:
        """The next one for this call, if any."""
        for fault in self.waiting:
            if fault.action in ("*", action) and fault.account in (None, account):
                if fault.times > 0:
                    fault.times -= 1
                if fault.times == 0:
                    self.waiting.remove(fault)
                return fault
        return None
