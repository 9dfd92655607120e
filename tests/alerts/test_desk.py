"""The desk's metrics while hub, proxy and steward are away: alerts are for such times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

from spawner.desk import app
from spawner.hub_client import open_hub_client
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import run_migrations
from spawner.local.secrets import make_secrets
from spawner.settings import Settings
from tests.stack import PROJECT, free_port


@asynccontextmanager
async def lonely_desk(state: Path) -> AsyncIterator[Settings]:
    """A desk that serves on its socket, with an empty ledger and none of its siblings."""
    settings = Settings(
        state=state,
        sockets=state,
        ledger_url=f"sqlite:///{state}/ledger.sqlite",
        catalog=PROJECT / "hub_config" / "catalog.yaml",
        examples=PROJECT / "images" / "examples",
        public_port=free_port(),
    )
    make_secrets(state)
    engine = make_engine(settings.ledger)
    with engine.execution_options(freepool_write=True).begin() as connection:
        run_migrations(connection)
    engine.dispose()
    async with open_hub_client(settings, "desk") as hub:
        parts = app.make_parts(settings, hub)
        server = HTTPServer(app.make_application(parts))
        server.add_socket(bind_unix_socket(str(settings.desk_socket), mode=0o600))
        try:
            yield settings
        finally:
            server.stop()
            await server.close_all_connections()
            parts.desk.ledger.close()


async def test_its_own_token_reads_the_metrics_while_all_others_are_away(state: Path) -> None:
    async with lonely_desk(state) as settings:
        own = settings.secret("metrics")

        async def read(token: str) -> tuple[int, str]:
            connector = aiohttp.UnixConnector(path=str(settings.desk_socket))
            headers = {"Authorization": f"token {token}"}
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get("http://desk/services/desk/metrics", headers=headers) as answer,
            ):
                return answer.status, await answer.text()

        status, text = await read(own)
        assert status == 200
        for part, is_up in (("hub", 0), ("proxy", 0), ("database", 1)):
            assert f'freepool_part_up{{part="{part}"}} {is_up}.0' in text
        assert "freepool_steward_lease_seconds 0.0" in text
        assert (await read(own[:-1]))[0] == 503, "only the hub knows other tokens"
