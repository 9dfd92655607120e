"""The pool: what all its users share, how a loan ends, and whether one runs. `start.py` is how one begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from spawner.catalog import Catalog, Flavor, Image
from spawner.errors import BackendUnavailable, LostRace
from spawner.instance.sealing import HEALTH_PATH, slot_key
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, instances, slots
from spawner.pool.backends.base import Backend, Phase, SlotSpec
from spawner.pool.view import SlotView

log = logging.getLogger("freepool.pool")


@dataclass(frozen=True)
class Server:
    """Which of JupyterHub's servers an instance is: the default one has the empty name."""

    user_name: str
    server_name: str


@dataclass
class Pool:
    """Lends instances of one catalog from one backend.

    `master_key` derives slot keys; `hub_epoch` names this run of the hub; `now` and `new_id` are passed in so that
    tests control them.
    """

    catalog: Catalog
    ledger: Ledger
    backend: Backend
    view: SlotView
    session: aiohttp.ClientSession
    master_key: bytes
    hub_epoch: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def spec(self, slot_id: str, flavor: Flavor, image: Image) -> SlotSpec:
        """What the backend needs to make a slot."""
        return SlotSpec(
            id=slot_id,
            flavor=flavor,
            image=image,
            key=slot_key(self.master_key, slot_id),
            examples=tuple(e.path.split("/")[0] for e in self.catalog.examples if e.image == image.id),
        )

    async def intend_end(self, instance_id: str, reason: EndReason, detail: str | None = None) -> None:
        """Write the intent to end an instance; if it is ending already, nothing."""
        with contextlib.suppress(LostRace):  # it is ending already, and the first reason is the one to tell
            await self.ledger.awrite(instances.mark_stopping, instance_id, reason=reason, now=self.now(), detail=detail)

    async def end(self, instance_id: str, reason: EndReason, *, detail: str | None = None) -> bool:
        """End an instance: intent, destroy its slots, ENDED. Idempotent; the first reason stays.

        Returns False where the pool could not be reached: the intent is written, and the steward finishes.
        """
        await self.intend_end(instance_id, reason, detail)
        for slot in await self.ledger.aread(slots.of_instance, instance_id):
            if not await self.destroy_slot(slot.id, reason):
                return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(instances.mark_ended, instance_id, now=self.now())
        return True

    async def destroy_slot(self, slot_id: str, reason: EndReason, *, detail: str | None = None) -> bool:
        """Destroy a slot and note it. Idempotent. False where the backend could not make sure."""
        with contextlib.suppress(LostRace):  # already being destroyed; destroying again does no harm
            await self.ledger.awrite(slots.mark_destroying, slot_id, reason=reason, detail=detail)
        try:
            await self.backend.destroy(slot_id)
        except BackendUnavailable as error:
            log.warning("slot %s is not gone yet: %s", slot_id, error)
            return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(slots.mark_gone, slot_id, now=self.now())
        return True

    async def is_running(self, server: Server) -> bool | None:
        """Whether a server's instance runs: True, False, or None where nobody can tell just now.

        A STARTING row of an earlier run of the hub is adopted when its server answers, else it is over: the start
        that would have gone on with it died with that hub.
        """
        instance = await self.ledger.aread(instances.latest, server.user_name, server.server_name)
        if instance is None or instance.state is InstanceState.ENDED:
            return False
        slot_id = instance.slot_id or ""
        try:
            found = await self.view.now()
            if slot_id not in found:
                found = await self.view.refresh()  # absent is a strong word: only the newest answer may say it
        except BackendUnavailable:
            return None
        status = found.get(slot_id)
        if instance.state is InstanceState.STARTING:
            if instance.hub_epoch == self.hub_epoch:
                return True
            return await self._adopt(instance, status.url if status and status.phase is Phase.READY else None)
        return status is not None and status.phase is not Phase.DEAD

    async def _adopt(self, instance: Instance, url: str | None) -> bool:
        answers = False
        if url is not None:
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, OSError):
                async with self.session.get(url + HEALTH_PATH, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                    answers = (await answer.text()) == "claimed"
        if url is None or not answers:
            await self.intend_end(instance.id, EndReason.LOST)
            return False
        flavor = self.catalog.flavor(instance.flavor)
        now = self.now()
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(
                instances.mark_running,
                instance.id,
                url=url,
                now=now,
                ends_at=now + timedelta(minutes=flavor.session_minutes),
            )
        return True
