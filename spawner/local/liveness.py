"""Whether the programs answer: one that lives but does not is ended, so that the supervisor starts it again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp

from spawner.errors import FreepoolError
from spawner.ledger import Ledger, leases, open_ledger
from spawner.local.front import desk_route
from spawner.local.processes import Program
from spawner.pool.build import utc_now
from spawner.settings import Settings

log = logging.getLogger("freepool.up")
FIRST_TIMES = 10
"""How many times as long the first answer may take: after a restart the hub looks at every server that runs."""
LOOKS = 6
"""How often a program is asked within the time in which it must answer."""
Question = Callable[[], Awaitable[bool]]


async def watch(program: Program, question: Question, *, seconds: float) -> None:
    """End a program each time that it has not answered for so long. Runs until it is cancelled.

    Looks are counted as well as seconds, so that a machine that slept, or a supervisor that was stopped, ends nothing.
    """
    pause = seconds / LOOKS
    process, has_answered, answered_at, misses = program.process, False, time.monotonic(), 0
    while True:
        await asyncio.sleep(pause)  # the time between two questions
        if program.process is not process:
            process, has_answered, answered_at, misses = program.process, False, time.monotonic(), 0
        if process is None or process.returncode is not None:
            continue
        try:
            async with asyncio.timeout(pause):  # Python 3.11's wait_for may drop the cancellation that ends the watch
                answers = await question()
        except TimeoutError:
            answers = False
        if answers:
            has_answered, answered_at, misses = True, time.monotonic(), 0
            continue
        misses += 1
        allowed = seconds if has_answered else seconds * FIRST_TIMES
        if time.monotonic() - answered_at >= allowed and misses >= LOOKS // 2 and program.process is process:
            log.error("%s lives but has not answered for %.0f s; starting it again", program.name, allowed)
            program.kill()
            process = None  # the next one is a new process


@asynccontextmanager
async def watching(settings: Settings, programs: Sequence[Program]) -> AsyncIterator[None]:
    """Watch the programs that can be asked."""
    with closing(open_ledger(settings.ledger)) as ledger:
        questions = make_questions(settings, ledger)
        tasks = [
            asyncio.create_task(watch(program, questions[program.name], seconds=settings.answer_seconds))
            for program in programs
            if program.name in questions
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def make_questions(settings: Settings, ledger: Ledger) -> Mapping[str, Question]:
    """By program: what is asked. Hub and desk are asked over their sockets, so that a dead proxy is not theirs."""

    async def steward() -> bool:
        try:
            until = await ledger.aread(leases.steward_ends_at, settings.hubs.name)
        except FreepoolError:
            return True  # the ledger cannot be read now: that says nothing about the steward
        return until is not None and until > utc_now()

    async def proxy() -> bool:
        # Not at its port, which may have all the connections that it takes.
        token = {"Authorization": f"token {settings.secret('proxy')}"}
        return await answers(f"http://proxy/api/routes{desk_route(settings)}", settings.proxy_api_socket, headers=token)

    async def hub() -> bool:
        return await answers("http://hub/hub/health", settings.hub_socket)

    async def desk() -> bool:
        return await answers("http://desk/services/desk/health", settings.desk_socket)

    return {"proxy": proxy, "hub": hub, "desk": desk, "steward": steward}


async def answers(
    url: str, socket: Path | None = None, *, headers: Mapping[str, str] | None = None, seconds: float = 30
) -> bool:
    """Whether a GET brings 200, on a connection of its own, over a Unix socket if one is given."""
    connector = None if socket is None else aiohttp.UnixConnector(path=str(socket))
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
            session.get(url) as answer,
        ):
            return answer.status == 200
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False
