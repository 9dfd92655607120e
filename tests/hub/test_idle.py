"""The steward's watch on a whole platform: what a real notebook reports, to whom, and the end of one nobody uses."""

from __future__ import annotations

import asyncio
from datetime import datetime

import aiohttp
import httpx

from spawner.instance.report_key import HEADER, report_key
from spawner.instance.sealing import ACTIVITY_PATH, slot_key
from spawner.ledger import EndReason
from spawner.ledger.pool.end_texts import english
from spawner.ledger.time import notices, use
from spawner.ledger.time.rows import Activity
from spawner.pool.pool import Pool
from tests.backends.notebook import Notebook
from tests.hub.later import watching
from tests.stack import Stack, eventually


def of_the_slot(pool: Pool, slot_id: str, url: str, key: bytes | None = None) -> httpx.Response:
    """What the instance answers at its own port."""
    shown = report_key(slot_key(pool.master_key, slot_id) if key is None else key)
    return httpx.get(f"{url}{ACTIVITY_PATH}", headers={HEADER: shown.hex()})


async def test_a_notebook_reports_its_use_to_the_platform_only_and_ends_when_nobody_answers(
    shared_stack: Stack,
) -> None:
    stack = shared_stack
    stack.add_user("away")
    instance = stack.run("away")
    async with aiohttp.ClientSession() as session, watching(stack) as later:
        token = stack.user_token("away")
        notebook = Notebook(session, f"{stack.url}/user/away/", token, instance.slot_id or "")
        pool, reports = later.pool, later.reports
        assert instance.url is not None
        assert instance.slot_id is not None

        # Its owner by the proxy, and a stranger at the port, get nothing.
        mine = httpx.get(f"{stack.url}/user/away{ACTIVITY_PATH}", headers={"Authorization": f"token {token}"})
        assert mine.status_code == 404
        assert of_the_slot(pool, instance.slot_id, instance.url, key=b"guessed").status_code == 404
        assert httpx.get(f"{instance.url}{ACTIVITY_PATH}").status_code == 404
        assert of_the_slot(pool, instance.slot_id, instance.url).status_code == 200

        # A busy kernel, a program in a terminal, an open tab.
        await notebook.run("1 + 1")
        (quiet,) = (await reports.ask([instance])).values()
        assert (quiet.busy_seconds, quiet.terminals, quiet.input_at) == (None, 0, None)
        running = asyncio.create_task(notebook.run("import time; time.sleep(600)", seconds=600))
        _, terminal = await notebook.call("POST", "terminals")
        address = f"{notebook.url}terminals/websocket/{terminal['name']}"
        async with session.ws_connect(address, headers={"Authorization": f"token {token}"}) as shell:
            await shell.send_json(["stdin", "sleep 600\r"])

            async def busy() -> bool:
                (found,) = (await reports.ask([instance])).values()
                return found.busy_seconds is not None and found.terminals == 1 and (found.tabs or 0) >= 2

            async with asyncio.timeout(60):
                while not await busy():
                    await asyncio.sleep(0.1)  # the shell starts the program after its prompt, for which is no event
        assert await reports.is_busy(instance)
        running.cancel()

        # Nobody is there for an hour: the clock of the watch is the test's.
        def row() -> tuple[Activity, datetime | None]:
            found = stack.ledger.read(use.of_instances, [instance.id])[instance.id]
            return found.activity, found.stops_at

        await later.look(seconds=1)
        await later.look(minutes=30)
        activity, stops_at = row()
        assert (activity, stops_at is not None) == (Activity.WAITING, True)
        await later.look(minutes=31)
        (notice,) = stack.ledger.read(notices.of_instance, instance.id)
        assert (notice.mark, notice.answered_at) == ("idle-1", None)
        await later.look(seconds=1)

        def ended() -> str:
            found = stack.desk("GET", "api/state", token=token).json()["last"]
            return found["text"] if found else ""

        eventually(lambda: ended() == english(EndReason.IDLE), seconds=60, what="the end of the notebook")
