"""Fault injection: named faults for the next calls of an action, once or several times."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds of faults. "Done": the call took effect."""

    CLOSE_BEFORE = "close_before"  # not done, connection lost
    CLOSE_AFTER = "close_after"  # done, response lost
    HANG_BEFORE = "hang_before"  # not done; no response for `seconds`, then the connection is lost
    HANG_AFTER = "hang_after"  # done; no response for `seconds`, then the connection is lost
    HALF_BODY = "half_body"  # done, half of the response
    SLOW = "slow"  # done, correct response after `seconds`
    LATE = "late"  # response 504; done after `seconds` of virtual time
    HTML502 = "html502"  # done, a proxy's error page as response
    HTML502_BEFORE = "html502_before"  # not done, a proxy's error page as response
    EMPTY500 = "empty500"  # not done, 500 without a body
    ERROR = "error"  # not done, the JSON error `status`, `code`, `message`
    XML = "xml"  # not done, the same as XML
    LIST400 = "list400"  # not done, 400 with a JSON list
    NOT_JSON = "not_json"  # done, 200 with plain text
    SUCCESS_FALSE = "success_false"  # not done, 200 with Success: false
    SUCCESS_FALSE_AFTER = "success_false_after"  # done, 200 with Success: false
    BODY_NONE = "body_none"  # done, 200 with types that the SDK cannot parse
    NO_ID = "no_id"  # done, 200 without the instance's id
    THROTTLE = "throttle"  # not done, 400 with a retry-after header
    THROTTLE_PLAIN = "throttle_plain"  # not done, 429 without that header
    REDIRECT = "redirect"  # not done, 302 to `url`
    IGNORED = "ignored"  # not done, response as if it had been
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
"""Faults with which the call takes no effect, or not yet."""


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
    """`action` as in `x-acs-action`, or `*`. `times`: number of calls, -1 for all until it is removed."""

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
        """The status that the caller gets instead of `status`; 0 where it gets none."""
        if self.kind in (Kind.ERROR, Kind.XML):
            return self.status
        return SENT.get(self.kind, status)


@dataclass
class Faults:
    """Pending faults, in order."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, data: dict[str, Any]) -> None:
        """Append a fault. Raises `ValueError` or `TypeError` where a field is invalid."""
        self.waiting.append(Fault(**{**data, "kind": Kind(data["kind"])}))

    def take(self, action: str, account: str | None) -> Fault | None:
        """The first pending fault for this call, counted as used; None if there is none."""
        for fault in self.waiting:
            if fault.action in ("*", action) and fault.account in (None, account):
                if fault.times > 0:
                    fault.times -= 1
                if fault.times == 0:
                    self.waiting.remove(fault)
                return fault
        return None
