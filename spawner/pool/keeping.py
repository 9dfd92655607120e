"""Whether an end that the user did not ask for leaves a bundle: the intent is a row, written with the end itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import BadOption
from spawner.ledger import EndReason, Instance, InstanceState
from spawner.ledger.bundles import choices
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.pool import instances

KEPT_AFTER = frozenset(
    {EndReason.DEADLINE, EndReason.IDLE, EndReason.MAINTENANCE, EndReason.GUARD, EndReason.ADMINISTRATOR}
)
"""Reasons of ends that the platform brings about while the instance still runs. After all others it is gone already,
or its user asked for the end."""
KEY_BYTES = 32


def new_key() -> str:
    """A new key of a bundle, as hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES)


def intend_bundle(
    connection: Connection,
    catalog: Catalog,
    instance_id: str,
    reason: EndReason,
    *,
    now: datetime,
    new_id: Callable[[], str],
    new_key: Callable[[], str],
) -> Bundle | None:
    """The bundle to make before this end; None where the catalog, the person or the reason asks for none."""
    if not catalog.keep.enabled or reason not in KEPT_AFTER:
        return None
    instance = instances.get(connection, instance_id)
    if not keeps_files(connection, catalog, instance):
        return None
    return Bundle(
        id=new_id(),
        person_id=instance.person_id,
        instance_id=instance.id,
        state=BundleState.MAKING,
        key=new_key(),
        store="",
        bytes=None,
        files=None,
        made_at=now,
        expires_at=now + catalog.keep.duration,
    )


def keeps_files(connection: Connection, catalog: Catalog, instance: Instance) -> bool:
    """Whether an end that the platform brings about now leaves a bundle."""
    is_offered = catalog.keep.enabled and is_kept(catalog, instance)
    return is_offered and choices.is_chosen(connection, instance.person_id)


def is_kept(catalog: Catalog, instance: Instance) -> bool:
    """Whether there is something to ask: it runs, and its image has the agent."""
    return instance.state is InstanceState.RUNNING and has_agent(catalog, instance.image)


def has_agent(catalog: Catalog, image_id: str) -> bool:
    """Whether an image has the agent, without which there are no changes, no bundle and no download of all files."""
    try:
        return catalog.image(image_id).agent
    except BadOption:  # the catalog has dropped the image, and most have it
        return True
