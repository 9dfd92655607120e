"""Limits of what the hub takes. The proxy has its own in front of them."""

from __future__ import annotations

from functools import cache, partialmethod
from typing import Any

from jupyterhub import orm
from sqlalchemy import event
from tornado.httpserver import HTTPServer
from tornado.web import HTTPError

from spawner.settings import LARGEST_REQUEST

TEXTS = (orm.APIToken.note, orm.Spawner.display_name)
"""Columns whose text a user chooses. PostgreSQL holds them to their length; SQLite stores two megabytes as well."""


@cache
def limit_requests() -> None:
    """Set them for this process. JupyterHub has no settings for them."""
    # Tornado would take 100 MB for each request, from anybody.
    HTTPServer.initialize = partialmethod(  # type: ignore[assignment]
        HTTPServer.initialize, max_body_size=LARGEST_REQUEST
    )
    for column in TEXTS:
        event.listen(column, "set", _check_length)


def _check_length(_: Any, value: Any, __: Any, initiator: Any) -> None:
    attribute = initiator.parent_token
    longest = attribute.parent.columns[attribute.key].type.length
    if isinstance(value, str) and len(value) > longest:
        raise HTTPError(400, f"{attribute.key} is too long: at most {longest} characters.")
