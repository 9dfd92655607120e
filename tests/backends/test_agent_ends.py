"""How a notebook server's process ends, as its parent process sees it; without a sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from spawner.instance.agent import ORDERS_VARIABLE, SHUT_DOWN, TOLD_TO_END
from spawner.instance.arguments import server_arguments
from spawner.pool.claim import push_claim, wait_for_answer, wait_until_warm
from tests.backends.fakehub import fake_hub

SECONDS = 30.0


@asynccontextmanager
async def claimed(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """An agent that has become the server of a user: its process, its URL and the user's token."""
    listener, key, token = socket.create_server(("127.0.0.1", 0)), secrets.token_bytes(32), secrets.token_hex(16)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    orders = {
        "slot_id": "slot-1",
        "key": key.hex(),
        "root": str(folder),
        "arguments": [*server_arguments(str(folder)), "--allow-root"],
        "listener": listener.fileno(),
    }
    environment = {**os.environ, ORDERS_VARIABLE: json.dumps(orders), "HOME": str(folder)}
    agent = [sys.executable, "-m", "spawner.instance.agent"]
    with listener:
        process = await asyncio.create_subprocess_exec(*agent, env=environment, pass_fds=[listener.fileno()])
    try:
        async with fake_hub() as hub, aiohttp.ClientSession() as session:
            await wait_until_warm(session, url, seconds=SECONDS)
            hub.tokens[token] = "ann"
            service = {"JUPYTERHUB_SERVICE_URL": f"{url}/user/ann/", "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
            await push_claim(
                session,
                url,
                claim_id="loan-1",
                environment=hub.environment("ann", token) | service,
                key=key,
                slot_id="slot-1",
                now=time.time(),
            )
            await wait_for_answer(session, f"{url}/user/ann/api", seconds=SECONDS)
            yield process, f"{url}/user/ann/", token
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_server_that_is_told_to_end_does_not_call_that_a_success(tmp_path: Path) -> None:
    """With exit code 0 Kubernetes calls an evicted pod `Succeeded`, and forgets that it was evicted."""
    async with claimed(tmp_path) as (process, _, _):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), SECONDS) == TOLD_TO_END == 143


async def test_a_server_that_its_user_ends_says_so_by_its_exit_code(tmp_path: Path) -> None:
    """JupyterLab's own "Shut Down"."""
    async with claimed(tmp_path) as (process, url, token), aiohttp.ClientSession() as session:
        answer = await session.post(f"{url}api/shutdown", headers={"Authorization": f"token {token}"})
        assert answer.status == 200
        assert await asyncio.wait_for(process.wait(), SECONDS) == SHUT_DOWN
