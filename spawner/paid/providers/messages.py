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
    base.Rejected: ("The cloud refused this.", ""),
    base.AlreadyExists: ("The cloud has an instance of this name already.", ""),
    base.NoCapacity: ("The cloud has no such machine free now.", "Try another shape, or later."),
    base.Insufficient: (
        "The balance or the quota of the cloud account does not allow this.",
        "Look at both in the console of the cloud.",
    ),
    base.Conflict: ("What the instance is doing now does not allow this.", "Try again in a minute."),
    base.NotFound: ("The cloud knows no such instance.", ""),
    base.AuthLost: (
        "The cloud account does not let Freepool do this any more.",
        "Look at the role in the console of the cloud; what runs there can be stopped there, too.",
    ),
    base.Throttled: ("The cloud asks for a pause.", ""),
    base.ClockSkew: ("The cloud does not accept this machine's clock.", "An operator must set it right."),
    base.Unavailable: ("The cloud cannot be asked just now.", "Try again in a minute."),
    base.OutcomeUnknown: ("The cloud did not say whether this was done; Freepool finds out.", ""),
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
