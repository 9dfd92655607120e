"""Messages for users of provider errors, the same for every cloud."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from spawner.errors import SetupError
from spawner.paid.providers import base

E = TypeVar("E", bound=base.ProviderError)
K = TypeVar("K")
LONGEST = 400
"""Maximum characters kept of a cloud's message."""

MESSAGES: dict[type[base.ProviderError], tuple[str, str]] = {
    base.Rejected: ("The cloud refused this request.", ""),
    base.AlreadyExists: ("The cloud already has a notebook with this name.", ""),
    base.NoCapacity: (
        "This machine type is sold out in the cloud right now.",
        "Try another machine type, or try again later.",
    ),
    base.Insufficient: (
        "The cloud account does not have enough balance or quota.",
        "Check both in the cloud console.",
    ),
    base.Conflict: ("The current state of the notebook does not allow this.", "Try again in a minute."),
    base.NotFound: ("This notebook does not exist in the cloud.", ""),
    base.AuthLost: (
        "The cloud account no longer allows Freepool to do this.",
        "Check the role in the cloud console. You can also stop running notebooks there.",
    ),
    base.Throttled: ("The cloud is limiting requests.", ""),
    base.ClockSkew: ("The cloud rejects this server's clock.", "An administrator must correct the time."),
    base.Unavailable: ("The cloud is not reachable right now.", "Try again in a minute."),
    base.OutcomeUnknown: ("The cloud did not confirm this request. Freepool is checking.", ""),
}


def say(
    kind: type[E], *, code: str = "", said: str = "", request_id: str = "", secrets: Iterable[str] = (), **more: object
) -> E:
    """An error of this kind. `said` is the cloud's message, from which `secrets` are removed."""
    template, next_step = MESSAGES[kind]
    details = clean(": ".join(part for part in (code, said) if part), secrets)
    return kind(
        template,
        next_step=next_step,
        details=details,
        code=clean(code, secrets),
        request_id=request_id,
        **more,  # type: ignore[arg-type]
    )


def platform_key(read: Callable[[], K]) -> K:
    """Read the platform's key. Raises `Unavailable`, which does not count as a problem of the user's account."""
    try:
        return read()
    except SetupError as error:
        raise say(base.Unavailable, code="PlatformKey", said=error.message) from None


def offered(account: base.Account, regions: Collection[str]) -> None:
    """Raise `Rejected`, before anything is sent, if the settings do not name the account's region."""
    if account.region not in regions:
        raise say(base.Rejected, code="RegionNotSetUp", said=account.region)


def clean(text: str, secrets: Iterable[str]) -> str:
    """The text in one line, at most `LONGEST` characters, without `secrets`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:LONGEST]
