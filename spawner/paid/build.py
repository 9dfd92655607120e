"""Putting the paid path together from settings: the one place that knows which clouds there are.

Only what is configured is imported, and only where it is called for: the hub, which asks no cloud, imports no SDK.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from spawner.errors import SetupError
from spawner.ledger import Ledger
from spawner.paid.paid import Paid
from spawner.paid.providers.base import Provider
from spawner.paid.providers.dsw_settings import DswSettings
from spawner.paid.providers.sagemaker_settings import SageMakerSettings
from spawner.settings import PaidSettings

T = TypeVar("T", bound=BaseModel)


def utc_now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(timezone.utc)


def new_id() -> str:
    """A fresh id of a binding or a consent: 32 hexadecimal digits, which nobody guesses."""
    return secrets.token_hex(16)


def make_paid(settings: PaidSettings, ledger: Ledger) -> Paid:
    """For steward and desk, inside an event loop. Nothing is asked of any cloud. Raises `SetupError`."""
    providers: dict[str, Provider] = {}
    regions: dict[str, Sequence[str]] = {}
    dsw, sagemaker = check(settings)
    try:
        if dsw is not None:
            from spawner.paid.providers.dsw import DswProvider  # noqa: PLC0415

            providers[DswProvider.id], regions[DswProvider.id] = DswProvider(dsw), tuple(dsw.regions)
        if sagemaker is not None:
            from spawner.paid.providers.sagemaker import SageMakerProvider  # noqa: PLC0415

            providers[SageMakerProvider.id] = SageMakerProvider(sagemaker)
            regions[SageMakerProvider.id] = sagemaker.regions
    except ImportError as error:
        raise SetupError(
            "The paid path needs {module}, which is not installed.",
            next_step="Install freepool[paid], or leave `paid` out of the settings.",
            module=error.name or str(error),
        ) from None
    return Paid(
        ledger=ledger, providers=providers, regions=regions, now=utc_now, new_id=new_id, hub_label=settings.label
    )


async def close(paid: Paid) -> None:
    """End the providers' threads and connections."""
    for provider in paid.providers.values():
        await provider.close()


def check(settings: PaidSettings) -> tuple[DswSettings | None, SageMakerSettings | None]:
    """The clouds' own sections, read. Raises `SetupError` where one is not valid."""
    return _read(DswSettings, "dsw", settings.dsw), _read(SageMakerSettings, "sagemaker", settings.sagemaker)


def _read(model: type[T], name: str, section: dict[str, Any] | None) -> T | None:
    if section is None:
        return None
    try:
        return model.model_validate(section)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise SetupError(
            "The settings are not valid: {where}: {why}.",
            next_step="Mend it in the settings file.",
            where=".".join(map(str, ("paid", name, *first["loc"]))),
            why=first["msg"],
        ) from None
