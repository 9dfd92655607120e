"""Build the paid path from settings. The only module that lists the providers.

Providers are imported when `make_paid` is called: the hub calls no cloud and imports no SDK.
"""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from spawner.errors import SetupError
from spawner.ledger import Ledger
from spawner.paid.paid import Paid
from spawner.paid.providers.base import Provider
from spawner.paid.providers.dsw.settings import DswSettings
from spawner.paid.rules import Rules
from spawner.paid_settings import PaidSettings

T = TypeVar("T", bound=BaseModel)
LIBRARIES = ("alibabacloud_pai_dsw20220101", "alibabacloud_sts20150401", "alibabacloud_aiworkspace20210204", "authlib")


def utc_now() -> datetime:
    """The current time, aware."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id for a binding or a consent: 128 bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def make_paid(settings: PaidSettings, ledger: Ledger) -> Paid:
    """For steward and desk, inside an event loop. Calls no cloud. Raises `SetupError`."""
    providers: dict[str, Provider] = {}
    regions: dict[str, Sequence[str]] = {}
    dsw = check(settings)
    try:
        if dsw is not None:
            from spawner.paid.providers.dsw.provider import DswProvider  # noqa: PLC0415

            providers[DswProvider.id], regions[DswProvider.id] = DswProvider(dsw), tuple(dsw.regions)
    except ImportError as error:
        raise _not_installed(error.name or str(error)) from None
    return Paid(
        ledger=ledger,
        providers=providers,
        regions=regions,
        now=utc_now,
        new_id=new_id,
        hub_label=settings.label,
        rules=Rules(
            poll=settings.poll_seconds,
            poll_soon=settings.poll_soon_seconds,
            lease=timedelta(seconds=settings.lease_seconds),
        ),
    )


async def close(paid: Paid) -> None:
    """End the providers' threads and connections."""
    for provider in paid.providers.values():
        await provider.close()


def check(settings: PaidSettings) -> DswSettings | None:
    """Parse the section of PAI-DSW, None where it is absent. Raises `SetupError` where it is not valid.

    The SageMaker provider is left out until there is a proof that a user owns an account.
    """
    return _read(DswSettings, "dsw", settings.dsw)


def require(settings: PaidSettings) -> None:
    """`check`, and also raise `SetupError` where a package or a secret is missing. Called before a process starts."""
    dsw = check(settings)
    missing = [name for name in LIBRARIES if dsw is not None and importlib.util.find_spec(name) is None]
    if missing:
        raise _not_installed(missing[0])
    if dsw is not None:
        dsw.key()
    if settings.oauth is not None:
        settings.oauth.secret()


def _not_installed(module: str) -> SetupError:
    return SetupError(
        "The paid path needs {module}, which is not installed.",
        next_step="Install freepool[paid], or leave `paid` out of the settings.",
        module=module,
    )


def _read(model: type[T], name: str, section: dict[str, Any] | None) -> T | None:
    if section is None:
        return None
    try:
        return model.model_validate(section)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise SetupError(
            "The settings are not valid: {where}: {why}.",
            next_step="Correct it in the settings file.",
            where=".".join(map(str, ("paid", name, *first["loc"]))),
            why=first["msg"],
        ) from None
