"""The guard on a whole platform: a notebook runs a program with a miner's name, and ends with words to its user."""

from __future__ import annotations

import aiohttp

from spawner.guard_settings import GuardSettings
from spawner.hub_client import open_hub_client
from spawner.ledger import EndReason
from spawner.ledger.pool import guard_notes
from spawner.ledger.pool.end_texts import english
from spawner.ledger.pool.rows import GuardKind
from spawner.pool.build import make_pool
from spawner.steward.guard import Guard
from tests.backends.notebook import Notebook
from tests.stack import Stack, eventually

MINE = """
import shutil, subprocess
shutil.copy("/bin/sleep", "/tmp/xmrig")
print(subprocess.Popen(["/tmp/xmrig", "600"]).pid)
"""


async def test_what_runs_is_seen_from_outside_and_ended_where_the_operator_says_so(shared_stack: Stack) -> None:
    stack, settings = shared_stack, shared_stack.settings
    stack.add_user("miner")
    instance, person = stack.run("miner"), stack.person_of("miner")
    async with aiohttp.ClientSession() as session, open_hub_client(settings, "steward") as hub:
        notebook = Notebook(session, f"{stack.url}/user/miner/", stack.user_token("miner"), "")
        pool = make_pool(settings, session=session, epoch="test")
        rules = GuardSettings(stop_after_minutes=0, away_minutes=0, busy_minutes=60)
        guard = Guard(pool, rules, hub=hub, hub_token=settings.secret("steward"))
        await notebook.run("1 + 1")
        await guard.look()
        assert stack.ledger.read(guard_notes.of_person, person) == [], "a notebook alone is nothing to note"
        await notebook.run(MINE)
        await guard.look()
        (note,) = stack.ledger.read(guard_notes.of_person, person)
        assert (note.kind, note.evidence, note.instance_id) == (GuardKind.PROCESS, {"names": ["xmrig"]}, instance.id)
        last = await hub.last_activity("miner", settings.secret("steward"))
        assert last is not None, "the steward's token may ask"
        token = stack.user_token("miner")

        def ended() -> str:
            found = stack.desk("GET", "api/state", token=token).json()["last"]
            return found["text"] if found else ""

        eventually(lambda: ended() == english(EndReason.GUARD), seconds=60, what="the end of the notebook")
        await pool.close()
    stack.ledger.write(guard_notes.prune, before=note.seen_at.replace(year=9999))
