"""Records how a real instance is used, scenario by scenario: `python -m tests.idle.record [SCENARIO …]`.

Each scenario runs in a notebook of its own on a whole platform: real hub, sandbox, JupyterLab and, where one has a tab
open, Chromium. Every few seconds what the steward would read is kept: the backend's counters, and the instance's own
report. The platform runs in a network namespace of its own with a world behind it, so that a download is one.

Writes `samples/SCENARIO.json`. Needs root, and what the browser tests need.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright

from spawner.instance.report_key import HEADER, report_key
from spawner.instance.sealing import ACTIVITY_PATH, slot_key
from spawner.ledger import Instance
from spawner.pool.build import make_pool
from spawner.pool.pool import Pool
from tests.backends.notebook import Notebook, _message
from tests.backends.other_host import other_host
from tests.stack import PROJECT, Stack, running_stack, write_catalog

SAMPLES = Path(__file__).parent / "samples"
PLACE = "203.0.113.80"
EVERY, LENGTH, SETTLE = 10.0, 180.0, 20.0
"""Seconds: between samples, of a recording, and from the scenario's beginning to the first sample."""
AT_ONCE = 4
CHUNK, CHUNKS_PER_SECOND = 20_000, 10


@dataclass
class Person:
    """A person with a notebook, and the browser that they may use."""

    stack: Stack
    name: str
    notebook: Notebook
    browser: Browser
    shown: list[asyncio.Task[None]] = field(default_factory=list)
    """What reads the output of open terminals, as their tabs do."""

    async def leave_running(self, code: str) -> None:
        """Send code to a kernel and close the connection at once: the lid is closed."""
        await self.notebook.open_kernel()
        await self.notebook.run("1 + 1")
        address = f"{self.notebook.url}api/kernels/{self.notebook.kernel}/channels"
        async with self.notebook.session.ws_connect(address, headers=self._headers) as channels:
            content = {"code": code, "silent": False, "allow_stdin": True, "stop_on_error": True}
            await channels.send_json(_message("execute_request", content, channel="shell"))
            await asyncio.sleep(1)  # the request must be read before the connection ends

    async def in_terminal(self, *lines: str, stays: bool = False) -> None:
        """Type into a new terminal; without `stays` the browser is closed then."""
        status, terminal = await self.notebook.call("POST", "terminals")
        assert status == 200, terminal
        address = f"{self.notebook.url}terminals/websocket/{terminal['name']}"
        channel = await self.notebook.session.ws_connect(address, headers=self._headers)
        await asyncio.sleep(1)  # the shell's prompt has no event of its own
        for line in lines:
            await channel.send_json(["stdin", line + "\r"])
            await asyncio.sleep(0.5)
        if stays:
            self.shown.append(asyncio.create_task(_show(channel)))
        else:
            await channel.close()

    async def open_lab(self, path: str = "lab") -> Any:
        """JupyterLab in a tab, with a notebook open whose kernel runs."""
        context = await self.browser.new_context(viewport={"width": 1280, "height": 800})
        page = await context.new_page()
        page.set_default_timeout(90_000)
        await page.goto(self.stack.link_for(self.name))
        await page.goto(f"{self.notebook.url}{path}")
        await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        return page

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.notebook.token}"}


async def _show(channel: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in channel:
        pass


LOOP = "n = 0\nwhile True:\n    n += 1\n"
HEARTBEAT = """
import threading, time
from comm import create_comm
beat = create_comm(target_name="heartbeat")
def go():
    while True:
        beat.send({"alive": True})
        time.sleep(1)
threading.Thread(target=go, daemon=True).start()
"""
MODEL_SERVER = """
import subprocess, sys
program = '''
import http.server
weights = bytearray(300_000_000)
http.server.ThreadingHTTPServer(("127.0.0.1", 8123), http.server.SimpleHTTPRequestHandler).serve_forever()
'''
server = subprocess.Popen([sys.executable, "-c", program])
"""
DOWNLOAD = f"""
import socket
link, got = socket.create_connection(("{PLACE}", 8080)), 0
while piece := link.recv(65536):
    got += len(piece)
"""


async def training(person: Person) -> None:
    """A loop in a cell that prints nothing; the lid is closed."""
    await person.leave_running(LOOP)


async def sleep_in_a_cell(person: Person) -> None:
    """`time.sleep` in a cell, with the lid closed."""
    await person.leave_running("import time; time.sleep(3600)")


async def input_in_a_cell(person: Person) -> None:
    """`input()` in a cell, with the lid closed."""
    await person.leave_running("input('? ')")


async def lab_left_open(person: Person) -> None:
    """JupyterLab with a notebook, open in a tab that nobody looks at."""
    await person.open_lab("lab/tree/examples/language/language.ipynb")


async def lab_closed(person: Person) -> None:
    """A notebook with an idle kernel, and no tab."""
    page = await person.open_lab("lab/tree/examples/language/language.ipynb")
    await page.context.close()


async def job_in_a_terminal(person: Person) -> None:
    """A computation in a terminal whose browser was closed."""
    await person.in_terminal("python -c 'while True: pass'")


async def top_in_a_terminal(person: Person) -> None:
    """`top` in a terminal that is open in a tab."""
    await person.in_terminal("top", stays=True)


async def nohup(person: Person) -> None:
    """A computation by nohup, whose terminal is gone."""
    await person.in_terminal("nohup python -c 'while True: pass' >/dev/null 2>&1 &", "exit")


async def widget_heartbeat(person: Person) -> None:
    """A widget that sends a message each second to an open tab, and does nothing else."""
    await person.open_lab("lab/tree/examples/language/language.ipynb")
    await person.notebook.run(HEARTBEAT)


async def model_server(person: Person) -> None:
    """A server that holds a model in memory and gets no requests, with the lid closed."""
    await person.notebook.run(MODEL_SERVER)


async def debugger(person: Person) -> None:
    """A cell that stands at a breakpoint, with the lid closed."""
    await person.leave_running("def f(x):\n    breakpoint()\n    return x\nf(1)\n")


async def download(person: Person) -> None:
    """A download of 200 kB a second in a cell, with the lid closed."""
    await person.leave_running(DOWNLOAD)


SCENARIOS: dict[str, Callable[[Person], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        training, sleep_in_a_cell, input_in_a_cell, lab_left_open, lab_closed, job_in_a_terminal, top_in_a_terminal,
        nohup, widget_heartbeat, model_server, debugger, download,
    )
}  # fmt: skip


async def record(stack: Stack, pool: Pool, browser: Browser, name: str, *, every: float, length: float) -> None:
    """Run one scenario and write its file."""
    user = name.replace("_", "-")
    await asyncio.to_thread(stack.add_user, user)
    instance = await asyncio.to_thread(stack.run, user)
    async with aiohttp.ClientSession() as session:
        token = await asyncio.to_thread(stack.user_token, user)
        notebook = Notebook(session, f"{stack.url}/user/{user}/", token, instance.slot_id or "")
        await SCENARIOS[name](Person(stack, user, notebook, browser))
        await asyncio.sleep(SETTLE)
        looks, began = [], time.monotonic()
        while (at := time.monotonic() - began) <= length:
            looks.append({"at": round(at, 3), **await _look(pool, session, instance)})
            await asyncio.sleep(every - (time.monotonic() - began) % every)
    _write(name, looks)
    await asyncio.to_thread(stack.stop, user)


async def _look(pool: Pool, session: aiohttp.ClientSession, instance: Instance) -> dict[str, Any]:
    slot_id = instance.slot_id or ""
    usage = await pool.backend.usage([slot_id], ports=None)
    key = report_key(slot_key(pool.master_key, slot_id))
    headers = {HEADER: key.hex()}
    async with session.get(f"{instance.url}{ACTIVITY_PATH}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        report = await answer.json()
    use = asdict(usage.slots[slot_id])
    return {"use": {name: use[name] for name in ("seconds", "network")}, "report": report}


def _write(name: str, looks: list[dict[str, Any]]) -> None:
    source = {
        "scenario": (SCENARIOS[name].__doc__ or "").strip(),
        "by": "tests/idle/record.py, in a sandbox of the local pool",
        "on": time.strftime("%Y-%m-%d"),
        "with": f"Linux {platform.release()}, JupyterHub {version('jupyterhub')}, image light",
    }
    lines = ",\n  ".join(json.dumps(look) for look in looks)
    (SAMPLES / f"{name}.json").write_text(f'{{"source": {json.dumps(source)},\n "looks": [\n  {lines}\n]}}\n')
    print(f"{name}: {len(looks)} looks", flush=True)


def _room(data: dict[str, Any]) -> None:
    data["flavors"] = [one for one in data["flavors"] if one["id"] == "cpu-basic"]
    data["flavors"][0] |= {"limit": 30, "warm": 1, "reserve": "256MiB", "idle": "off"}


async def _record_all(folder: Path, names: Sequence[str], *, every: float, length: float) -> None:
    with running_stack(folder / "state", catalog=write_catalog(folder / "catalog.yaml", _room)) as stack:
        async with AsyncExitStack() as undo:
            session = await undo.enter_async_context(aiohttp.ClientSession())
            pool = make_pool(stack.settings, session=session, epoch="record")
            undo.push_async_callback(pool.close)
            playwright = await undo.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(
                executable_path="/usr/bin/chromium-headless-shell",
                args=["--no-sandbox", "--disable-quic", "--disable-background-networking"],
            )
            places = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> None:
                async with places:
                    await record(stack, pool, browser, name, every=every, length=length)

            results = await asyncio.gather(*map(one, names), return_exceptions=True)
            await browser.close()
            for name, result in zip(names, results, strict=True):
                if isinstance(result, BaseException):
                    print(f"{name} failed: {result!r}", flush=True)


def serve(address: str, port: int) -> None:
    """A slow download for ever, for everybody who connects."""
    with socket.create_server((address, port)) as listener:
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                while True:
                    connection.sendall(bytes(CHUNK))
                    time.sleep(1 / CHUNKS_PER_SECOND)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record all scenarios, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.idle.record", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--every", type=float, default=EVERY)
    parser.add_argument("--length", type=float, default=LENGTH)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.scenarios or list(SCENARIOS)
    if options.serve:
        return serve(PLACE, 8080)
    if options.inside:
        with tempfile.TemporaryDirectory(prefix="freepool-record-", ignore_cleanup_errors=True) as folder:
            asyncio.run(_record_all(Path(folder), names, every=options.every, length=options.length))
        return None
    again = [sys.executable, "-m", "tests.idle.record", "--every", str(options.every), "--length", str(options.length)]
    with other_host([f"udp:{PLACE}:9"]) as host:
        world = f"--net=/run/netns/{host.name.replace('host-', 'world-')}"
        server = subprocess.Popen(["nsenter", world, "--", *again, "--serve"], cwd=PROJECT, start_new_session=True)
        try:
            subprocess.run(host.command([*again, "--inside", *names]), cwd=PROJECT, check=True)
        finally:
            os.killpg(server.pid, 9)
    return None


if __name__ == "__main__":
    main()
