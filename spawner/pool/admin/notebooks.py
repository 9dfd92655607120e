"""What administrators do to running notebooks: stop one, and send a message to its user."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import StringConstraints
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import BadOption, Conflict, LostRace
from spawner.ledger import EndReason, InstanceState
from spawner.ledger.bundles import bundles
from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import LIVE
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind, SessionNotice
from spawner.pool.admin.commands import Command
from spawner.pool.keeping import intend_bundle, new_key

MESSAGE_LASTS = timedelta(days=1)
"""How long a message is shown, at most until its notebook ends."""
LONGEST = 500
"""Characters of a message."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class StopRequest(Command):
    """Stop one notebook."""

    instance: Id


class MessageRequest(Command):
    """Write to the user of one notebook; null: to the users of all that run."""

    instance: Id | None = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]


def stop(
    connection: Connection,
    catalog: Catalog,
    instance_id: str,
    *,
    intend_end: Callable[..., None],
    by: str,
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Write the intent to end it, and that of what its user wants kept. The steward ends it. Raises `Conflict`.

    `intend_end` is `Admission.intend_end`.
    """
    found = next((one for one in instances.unended(connection) if one.id == instance_id), None)
    if found is None or found.state not in LIVE:
        raise Conflict("This notebook is no longer running.", next_step="Reload the list.")
    reason = EndReason.ADMINISTRATOR
    bundle = intend_bundle(connection, catalog, instance_id, reason, now=now, new_id=new_id, new_key=new_key)
    try:
        intend_end(connection, instance_id, reason, detail=f"by {by}")
    except LostRace:
        raise Conflict("This notebook is no longer running.", next_step="Reload the list.") from None
    if bundle is not None:
        bundles.intend(connection, bundle)


def tell(connection: Connection, request: MessageRequest, *, by: str, now: datetime, new_id: Callable[[], str]) -> int:
    """Write the message where its readers work: in the lab and on the desk. Returns to how many notebooks."""
    running = [one for one in instances.unended(connection) if one.state is InstanceState.RUNNING]
    to = [one for one in running if request.instance in (None, one.id)]
    if not to:
        raise BadOption("No notebook is running that could show the message.", next_step="Announce it instead.")
    occasion = new_id()
    for one in to:
        notice = SessionNotice(
            id=new_id(),
            instance_id=one.id,
            person_id=one.person_id,
            kind=NoticeKind.MESSAGE,
            mark=f"message:{occasion}",
            due_at=now + MESSAGE_LASTS,
            written_at=now,
            params={"text": request.text, "by": by},
        )
        notices.write(connection, notice)
    return len(to)
