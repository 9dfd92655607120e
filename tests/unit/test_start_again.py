"""A user who starts again at once after their instance ended still reads why it ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from spawner.ledger import EndReason, Instance
from spawner.pool import start
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.options import Choice
from spawner.pool.pool import Server
from spawner.pool.slot_view import SlotView
from spawner.pool.start import Start
from tests.unit import make

DIED_AT = make.NOW - timedelta(hours=1)
GUESS = replace(make.status("s", Phase.DEAD, EndReason.CRASHED, "exit code 143"), is_final=False, died_at=DIED_AT)
CAUSE = replace(make.status("s", Phase.DEAD, EndReason.OUT_OF_DISK, "the workspace is full"), died_at=DIED_AT)


@dataclass
class StatusSequence:
    """A backend that returns the statuses given to it."""

    found: Slots = field(default_factory=dict)

    async def list(self) -> Slots:
        return self.found


class OneInstanceLedger:
    """One running instance."""

    async def aread(self, _query: Any, _user: str) -> list[Instance]:
        return [make.instance("i", slot_id="s")]


@dataclass
class SupersedingPool:
    """The part of a pool that superseding uses."""

    backend: StatusSequence
    ledger: OneInstanceLedger = field(default_factory=OneInstanceLedger)
    ended: list[tuple[str, EndReason, str | None]] = field(default_factory=list)
    corrected: list[tuple[str, EndReason, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view = SlotView(self.backend)  # type: ignore[arg-type]

    async def correct_reason(
        self, instance_id: str, reason: EndReason, detail: str | None, *, died_at: datetime | None
    ) -> None:
        assert died_at == DIED_AT
        assert self.ended == [], "a noted end gets its cause before its slot is destroyed"
        self.corrected.append((instance_id, reason, detail))

    async def end_soon(
        self, instance_id: str, reason: EndReason, *, detail: str | None = None, died_at: datetime | None
    ) -> None:
        assert died_at == (None if reason is EndReason.SUPERSEDED else DIED_AT)
        self.ended.append((instance_id, reason, detail))


async def superseded(*shown: SlotStatus | None) -> list[tuple[str, EndReason, str | None]]:
    """The ending recorded for a start during which the pool shows these statuses in turn."""
    pool = SupersedingPool(StatusSequence())
    catalog = make.catalog()
    choice = Choice(catalog.flavors[0], catalog.images[0], None)
    again = Start(pool, Server("ann", "ann", ""), choice, {}, "/user/ann/", lambda: None)  # type: ignore[arg-type]
    doing = None
    for status in shown:
        pool.backend.found = {"s": status} if status else {}
        await pool.view.refresh()
        doing = doing or asyncio.create_task(again._supersede())
        await asyncio.sleep(0)
    assert doing is not None
    await doing
    assert pool.corrected == [end for end in pool.ended if end[1] is not EndReason.SUPERSEDED]
    return pool.ended


async def test_the_cause_of_the_end_is_recorded_instead_of_superseded() -> None:
    assert await superseded(CAUSE) == [("i", EndReason.OUT_OF_DISK, "the workspace is full")]


async def test_a_start_waits_for_a_cause_that_follows_the_end() -> None:
    assert await superseded(GUESS, CAUSE) == [("i", EndReason.OUT_OF_DISK, "the workspace is full")]


async def test_the_wait_of_a_start_for_a_cause_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "END_CAUSE_SECONDS", 0.05)
    assert await superseded(GUESS) == [("i", EndReason.CRASHED, "exit code 143")]


@pytest.mark.parametrize("status", [None, make.status("s")])
async def test_a_running_instance_is_superseded(status: SlotStatus | None) -> None:
    assert await superseded(status) == [("i", EndReason.SUPERSEDED, None)]
