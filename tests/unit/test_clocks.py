"""A node whose clock is wrong by ten minutes takes claims, and ends instances at the right time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from spawner.instance.sealing import CLAIM_PATH, Claim, ClaimRefused, slot_key, unseal
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.claim import VALID_SECONDS, push_claim
from spawner.pool.pool import ASSIGN_SECONDS, DEADLINE_SLACK, Pool
from spawner.pool.time.notices import LEAST_NOTICE
from tests.unit import make

KEY = slot_key(b"m" * 64, "slot-1")
TEN_MINUTES = 600.0
HUB_TIME = 1_800_000_000.0


@pytest.fixture
async def sealed() -> bytes:
    """What a hub whose clock says HUB_TIME sends to a slot."""
    got: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post(CLAIM_PATH, take)
    async with TestServer(app) as server, ClientSession() as session:
        await push_claim(
            session,
            str(server.make_url("")).rstrip("/"),
            claim_id="loan-1",
            environment={"JUPYTERHUB_USER": "ann"},
            key=KEY,
            slot_id="slot-1",
            now=HUB_TIME,
        )
    return got[0]


@pytest.mark.parametrize("off", [-TEN_MINUTES, 0.0, TEN_MINUTES])
async def test_a_slot_whose_clock_is_ten_minutes_off_takes_its_claim(sealed: bytes, off: float) -> None:
    claim = unseal(sealed, key=KEY, slot_id="slot-1", now=lambda: HUB_TIME + off)
    assert claim == Claim("loan-1", HUB_TIME + VALID_SECONDS, {"JUPYTERHUB_USER": "ann"})


async def test_a_claim_of_the_day_before_is_refused(sealed: bytes) -> None:
    with pytest.raises(ClaimRefused):
        unseal(sealed, key=KEY, slot_id="slot-1", now=lambda: HUB_TIME + VALID_SECONDS + TEN_MINUTES)


@dataclass
class AssigningBackend:
    """The part of a backend that assigning a slot uses."""

    answers: bool = True
    assigned_seconds: dict[str, float] = field(default_factory=dict)

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        self.assigned_seconds[slot_id] = seconds
        if not self.answers:
            await asyncio.Event().wait()


def pool(backend: AssigningBackend, now: datetime) -> Pool:
    """A pool of which only `assign` is used."""
    parts: dict[str, Any] = dict.fromkeys(("ledger", "view", "session"))
    return Pool(
        catalog=make.catalog(),
        backend=backend,
        master_key=b"",
        hub_epoch="",
        now=lambda: now,
        new_id=str,
        coming_up=asyncio.Semaphore(1),
        **parts,
    )  # type: ignore[arg-type]


MOVED = timedelta(hours=2, minutes=10)
"""All extensions of the default catalog, and grace: Kubernetes can only lower a pod's deadline."""


@pytest.mark.parametrize("off", [timedelta(minutes=-10), timedelta(0), timedelta(minutes=10)])
async def test_the_backends_deadline_is_a_duration_between_two_times_of_the_ledger(off: timedelta) -> None:
    """Kubernetes counts it from the pod's start by the node's own clock, so no two clocks are compared."""
    backend = AssigningBackend()
    slot = make.slot("one", created_at=make.NOW - timedelta(hours=3))
    assert await pool(backend, make.NOW + off).assign(slot, make.NOW + timedelta(hours=1))
    assert backend.assigned_seconds == {"one": (timedelta(hours=4) + MOVED + DEADLINE_SLACK).total_seconds()}
    assert DEADLINE_SLACK > LEAST_NOTICE


async def test_kubernetes_gets_the_deadline_with_the_mark_of_a_pod_in_use() -> None:
    """In one change: a pod that is marked and has no deadline would run for ever without a steward."""
    changes: list[Any] = []

    class Patches:
        async def patch(self, name: str, change: Any) -> None:
            changes.append((name, change["spec"], change["metadata"]["labels"]["freepool/assigned"]))

    kubernetes: Any = object.__new__(KubernetesBackend)
    kubernetes._cluster = Patches()
    assert await pool(kubernetes, make.NOW).assign(make.slot("one", created_at=make.NOW), make.NOW + timedelta(hours=1))
    seconds = round((timedelta(hours=1) + MOVED + DEADLINE_SLACK).total_seconds())
    assert changes == [("freepool-one", {"activeDeadlineSeconds": seconds}, "true")]


async def test_an_unreachable_backend_does_not_delay_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.pool.pool.ASSIGN_SECONDS", 0.05)
    assert ASSIGN_SECONDS <= 3
    assert not await pool(AssigningBackend(answers=False), make.NOW).assign(make.slot("one"), make.NOW)
