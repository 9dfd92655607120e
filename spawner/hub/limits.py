"""Limits of what the hub takes. The proxy has its own in front of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import cache, partialmethod, wraps
from typing import Any

from jupyterhub import orm
from sqlalchemy import event
from tornado.httpserver import HTTPServer
from tornado.web import HTTPError

from spawner.settings import LARGEST_REQUEST

WAITING = 4096
"""Connections that may wait while the hub is busy: where a Unix socket has no more room, it refuses at once."""
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
    _let_connections_wait()


def _let_connections_wait() -> None:
    """JupyterHub takes Tornado's 128 for its socket: a crowd at once would be answered with 503 by the proxy."""
    add_sockets = HTTPServer.add_sockets

    @wraps(add_sockets)
    def with_room(server: HTTPServer, sockets: Iterable[socket.socket]) -> None:
        listening = list(sockets)
        for one in listening:
            if one.family is socket.AF_UNIX:
                one.listen(WAITING)
        add_sockets(server, listening)

    HTTPServer.add_sockets = with_room  # type: ignore[method-assign, assignment]


def _check_length(_: Any, value: Any, __: Any, initiator: Any) -> None:
    attribute = initiator.parent_token
    longest = attribute.parent.columns[attribute.key].type.length
    if isinstance(value, str) and len(value) > longest:
        raise HTTPError(400, f"{attribute.key} is too long: at most {longest} characters.")
