"""Keeps the target of a link from "Start" until its file is open: during the start, in the queue, after a stop.

The cookie is signed, and counts for one person only.
"""

from __future__ import annotations

import json

from spawner.desk.user.http import UserHandler
from spawner.errors import BadOption
from spawner.links.target import FIELDS, Target, read_target

COOKIE = "freepool-open"
DAYS = 1
"""Longer than the longest queue."""


def keep(handler: UserHandler, target: Target) -> None:
    """Store the target for the signed-in person."""
    fields = {name: getattr(target, name) for name in FIELDS if getattr(target, name)}
    handler.set_signed_cookie(
        COOKIE,
        json.dumps({"person": handler.person_id, "fields": fields}),
        expires_days=DAYS,
        path=handler.desk.base,
        httponly=True,
        samesite="Lax",
        secure=handler.desk.settings.is_secure,
    )


def kept(handler: UserHandler) -> Target | None:
    """The target of the signed-in person, checked again; None for none."""
    found = handler.get_signed_cookie(COOKIE, max_age_days=DAYS)
    try:
        data = json.loads(found or b"{}")
        if data.get("person") != handler.person_id:
            return None
        return read_target(data["fields"], handler.desk.settings.links.also_allow)
    except (ValueError, BadOption):
        return None
