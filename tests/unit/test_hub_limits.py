"""What the hub takes: short texts, and bodies that fit into its memory many times."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from jupyterhub import orm
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, HTTPError

from spawner.hub.limits import limit_requests
from spawner.settings import LARGEST_REQUEST


@pytest.fixture(autouse=True)
def limits() -> None:
    limit_requests()
    limit_requests()  # a second time changes nothing


@pytest.mark.parametrize(
    ("table", "column", "longest"), [(orm.APIToken, "note", 1023), (orm.Spawner, "display_name", 255)]
)
def test_a_text_is_no_longer_than_its_column(table: type, column: str, longest: int) -> None:
    row = table(**{column: "x" * longest})
    setattr(row, column, None)
    with pytest.raises(HTTPError, match=f"{column} is too long: at most {longest} characters") as caught:
        setattr(row, column, "x" * (longest + 1))
    assert caught.value.status_code == 400
    with pytest.raises(HTTPError):
        table(**{column: "x" * (longest + 1)})


def test_jupyterhubs_http_server_takes_small_bodies_only() -> None:
    assert HTTPServer(lambda request: None).conn_params.max_body_size == LARGEST_REQUEST
    assert HTTPServer(lambda request: None, max_body_size=5).conn_params.max_body_size == 5


async def test_a_crowd_waits_for_a_busy_hub(tmp_path: Path) -> None:
    """A Unix socket refuses at once where its queue is full, and the proxy then answers 503."""
    path = str(tmp_path / "hub")
    server = HTTPServer(Application())
    server.add_socket(bind_unix_socket(path))
    with contextlib.ExitStack() as crowd:
        for _ in range(600):
            waiting = crowd.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect(path)  # raises BlockingIOError where there is no room
    server.stop()
