"""Asks instances how they are used: few at once, briefly, and without trust in the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import aiohttp

from spawner.instance.report_key import HEADER, report_key
from spawner.instance.sealing import ACTIVITY_PATH, slot_key
from spawner.ledger import Instance
from spawner.pool.time.idle.report import LARGEST_REPORT, Report, parse_report

AT_ONCE = 32
ANSWER_SECONDS = 3.0
LOOK_SECONDS = 30.0
"""For all of them. Who has not answered then is silent in this look."""


class ActivityReports:
    """Asks over HTTP at the slots' addresses, with the key that only this slot's agent has."""

    def __init__(self, session: aiohttp.ClientSession, master_key: bytes) -> None:
        self._session = session
        self._master_key = master_key

    async def ask(self, asked: Sequence[Instance]) -> Mapping[str, Report]:
        """The reports of those that answered in time, by instance."""
        found: dict[str, Report] = {}
        places = asyncio.Semaphore(AT_ONCE)

        async def ask_one(instance: Instance) -> None:
            async with places:
                report = await self._ask(instance)
                if report is not None:
                    found[instance.id] = report

        if not asked:
            return found
        _, late = await asyncio.wait([asyncio.create_task(ask_one(one)) for one in asked], timeout=LOOK_SECONDS)
        for task in late:
            task.cancel()
        return found

    async def is_busy(self, instance: Instance) -> bool | None:
        """Whether a kernel runs a cell, as the instance says; None where it does not answer."""
        report = await self.of(instance)
        return None if report is None else report.busy_seconds is not None

    async def of(self, instance: Instance) -> Report | None:
        """The report of one instance; None where it does not answer."""
        return None if instance.url is None else await self._ask(instance)

    async def _ask(self, instance: Instance) -> Report | None:
        key = report_key(slot_key(self._master_key, instance.slot_id or ""))
        try:
            async with self._session.get(
                f"{instance.url}{ACTIVITY_PATH}",
                headers={HEADER: key.hex()},
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    return None
                return parse_report(await _read(answer.content))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """All of it, or a little more than a report may have."""
    body = b""
    async for piece in stream.iter_any():
        body += piece
        if len(body) > LARGEST_REPORT:
            break
    return body
