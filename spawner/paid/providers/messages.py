"""What a person is told when a cloud says no; the same words for every cloud."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from spawner.errors import SetupError
from spawner.paid.providers import base

E = TypeVar("E", bound=base.ProviderError)
K = TypeVar("K")
LONGEST = 400
"""Characters of a cloud's own words that are kept."""

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
    """An error of this kind. `said` are the cloud's own words, from which `secrets` are struck out."""
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
    """The platform's own key; without it nothing can be asked, and nobody's account is to blame."""
    try:
        return read()
    except SetupError as error:
        raise say(base.Unavailable, code="PlatformKey", said=error.message) from None


def offered(account: base.Account, regions: Collection[str]) -> None:
    """Raises `Rejected` where the account's region is not set up here (any more): then nothing is sent at all."""
    if account.region not in regions:
        raise say(base.Rejected, code="RegionNotSetUp", said=account.region)


def clean(text: str, secrets: Iterable[str]) -> str:
    """In one line, not too long, and without any of these."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:LONGEST]
