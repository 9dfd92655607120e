"""A client of a notebook: runs code in an instance by Jupyter's API, as JupyterLab does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import textwrap
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from spawner.pool.backends.base import Backend, SlotSpec, SlotStatus
from spawner.pool.claim import push_claim, wait_for_answer
from tests.backends.conformance import destroy, ready
from tests.backends.fakehub import FakeHub

RUN_SECONDS = 60
DEBUG_SECONDS = 3


class CodeFailed(Exception):
    """The code raised; `name` is the exception's."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class KernelDied(Exception):
    """The kernel is gone, and the code with it."""


@dataclass
class Notebook:
    """A user's running instance in the slot `slot_id`."""

    session: aiohttp.ClientSession
    url: str
    token: str
    slot_id: str
    kernel: str = ""

    async def call(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        """Jupyter Server's REST API with the user's token; status and what it said."""
        headers = {"Authorization": f"token {self.token}"}
        async with self.session.request(method, f"{self.url}api/{path}", headers=headers, **kwargs) as answer:
            text = await answer.text()
            assert not text.startswith("<"), f"no answer of the notebook: {answer.status} {text[:200]}"
            return answer.status, json.loads(text) if text else None

    async def open_kernel(self) -> None:
        """Start a kernel for the code to come."""
        status, model = await self.call("POST", "kernels", json={"name": "python3"})
        assert status == 201, model
        self.kernel = model["id"]

    async def debug(self, command: str, **arguments: Any) -> dict[str, Any] | None:
        """Send a command to the kernel's debugger, as JupyterLab does; None without an answer."""
        address = f"{self.url}api/kernels/{self.kernel}/channels"
        headers = {"Authorization": f"token {self.token}"}
        async with self.session.ws_connect(address, headers=headers) as socket:
            content = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
            await socket.send_json(_message("debug_request", content, channel="control"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEBUG_SECONDS):
                    async for frame in socket:
                        message = frame.json()
                        if message["msg_type"] == "debug_reply":
                            return dict(message["content"])
        return None

    async def run(self, code: str, *, seconds: float = RUN_SECONDS, **beside: str) -> str:
        """Run code; what it printed. `beside` is sent in the same message. Raises `CodeFailed` or `KernelDied`."""
        if not self.kernel:
            await self.open_kernel()
        headers = {"Authorization": f"token {self.token}"}
        address = f"{self.url}api/kernels/{self.kernel}/channels"
        async with (
            asyncio.timeout(seconds),
            self.session.ws_connect(address, headers=headers, max_msg_size=0) as socket,
        ):
            content = {"code": textwrap.dedent(code), "silent": False, "stop_on_error": False, **beside}
            request = _message("execute_request", content, channel="shell")
            message_id = request["header"]["msg_id"]
            await socket.send_json(request)
            printed: list[str] = []
            async for frame in socket:
                message = frame.json()
                content, kind = message["content"], message["msg_type"]
                if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                    self.kernel = ""
                    raise KernelDied
                if message["parent_header"].get("msg_id") != message_id:
                    continue
                if kind == "stream":
                    printed.append(content["text"])
                elif kind == "error":
                    raise CodeFailed(content["ename"], content["evalue"])
                elif kind == "status" and content["execution_state"] == "idle":
                    return "".join(printed)
        raise KernelDied

    async def wait_busy(self) -> None:
        """Until the server knows that a cell runs."""

        async def is_busy() -> bool:
            _, model = await self.call("GET", f"kernels/{self.kernel}")
            return bool(model["execution_state"] == "busy")

        await eventually(is_busy, seconds=RUN_SECONDS)

    async def ask(self, expression: str, *, setup: str = "") -> Any:
        """The value of an expression, by way of JSON, after running `setup`."""
        code = f"{textwrap.dedent(setup)}\nimport json as _json\nprint('\\n=>' + _json.dumps({expression}))"
        return json.loads((await self.run(code)).rpartition("\n=>")[2])

    async def is_well(self) -> bool:
        """Whether the server still answers, and runs code in a fresh kernel."""
        self.kernel = ""
        return bool(await self.ask("6 * 7") == 42)


def _message(kind: str, content: dict[str, Any], *, channel: str) -> dict[str, Any]:
    names = {"msg_id": uuid.uuid4().hex, "username": "", "session": uuid.uuid4().hex, "version": "5.3"}
    return {
        "header": names | {"msg_type": kind},
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": channel,
    }


async def claim(
    session: aiohttp.ClientSession, hub: FakeHub, wanted: SlotSpec, status: SlotStatus, user: str
) -> Notebook:
    """Make a READY slot a user's instance, as the pool does."""
    assert status.url is not None
    prefix, token = f"/user/{user}/", uuid.uuid4().hex
    hub.tokens[token] = user
    environment = hub.environment(user, token) | {"JUPYTERHUB_SERVICE_URL": status.url + prefix}
    await push_claim(
        session,
        status.url,
        claim_id="loan",
        environment=environment,
        key=wanted.key,
        slot_id=wanted.id,
        now=time.time(),
    )
    await wait_for_answer(session, f"{status.url}{prefix}api", seconds=60)
    return Notebook(session, status.url + prefix, token, wanted.id)


@asynccontextmanager
async def assigned(
    backend: Backend, session: aiohttp.ClientSession, hub: FakeHub, wanted: SlotSpec, user: str
) -> AsyncIterator[Notebook]:
    """A fresh instance of a user; destroyed afterwards."""
    await backend.create(wanted)
    try:
        yield await claim(session, hub, wanted, await ready(backend, wanted.id), user)
    finally:
        await destroy(backend, wanted.id)


async def eventually(look: Any, *, seconds: float = 10) -> Any:
    """The first true value of `look()`."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.05)  # what is looked at has no event
        return found
