"""Why a message was not delivered, as a code for the ledger and in words for users and administrators."""

from __future__ import annotations

from enum import StrEnum

from spawner.plain_text import one_line

LONGEST_DETAIL = 300


class Failure(StrEnum):
    """What went wrong."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    LOGIN = "login"
    TLS = "tls"
    REFUSED = "refused"
    NO_MAILBOX = "no_mailbox"
    STATUS = "status"
    REDIRECT = "redirect"
    PRIVATE = "private"
    HOST = "host"
    OFF = "off"


WORDS: dict[Failure, str] = {
    Failure.UNREACHABLE: "The server cannot be reached.",
    Failure.SLOW: "The server did not answer in time.",
    Failure.LOGIN: "The mail server does not accept the platform's login.",
    Failure.TLS: "The server's certificate is not valid, or it does not offer encryption.",
    Failure.REFUSED: "The mail server refused the message.",
    Failure.NO_MAILBOX: "The mail server says that this address does not exist.",
    Failure.STATUS: "The address answered with an error.",
    Failure.REDIRECT: "The address leads to another one. Enter that one instead.",
    Failure.PRIVATE: "The address is in a private network.",
    Failure.HOST: "The administrator does not allow webhooks to this host.",
    Failure.OFF: "The administrator has turned off this kind of message.",
}
"""Sentences. The desk translates them."""
PLATFORM_FAILURES = frozenset({Failure.LOGIN, Failure.OFF})
"""What the person can do nothing about."""


class Undelivered(Exception):
    """A message was not delivered. `is_final`: another try would fail, too. `details`: the other program's words."""

    def __init__(self, failure: Failure, details: object = "", *, is_final: bool = False) -> None:
        self.failure = failure
        self.details = one_line(str(details))[:LONGEST_DETAIL]
        self.is_final = is_final
        super().__init__(self.detail)

    @property
    def detail(self) -> str:
        """As it is kept in the ledger: the code, and after a colon the other program's words."""
        return f"{self.failure}: {self.details}" if self.details else str(self.failure)


def failure_of(detail: str) -> Failure | None:
    """The code in a row's `detail`; None where there is none."""
    code = detail.partition(":")[0]
    return Failure(code) if code in set(Failure) else None


def details_of(detail: str) -> str:
    """The other program's words in a row's `detail`; empty where there are none."""
    return detail.partition(": ")[2]
