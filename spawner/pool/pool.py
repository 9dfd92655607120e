"""The pool: what all its users share, how a loan ends, and whether one runs. `start.py` is how one begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
from sqlalchemy import Connection

from spawner.aio import TaskSet
from spawner.catalog import Catalog, Flavor, Image
from spawner.compat import timeout
from spawner.errors import BackendUnavailable, LostRace
from spawner.instance.sealing import HEALTH_PATH, slot_key
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, Slot, SlotState
from spawner.ledger.pool import instances, slots, tickets, user_namespaces
from spawner.pool.backends.base import Backend, Phase, Slots, SlotSpec
from spawner.pool.noted_ends import is_noted_only
from spawner.pool.queue.admission import Admission
from spawner.pool.slot_view import SlotView
from spawner.pool.user_namespaces import decide, new_observations

log = logging.getLogger("freepool.pool")
ASSIGN_SECONDS = 3.0
"""A pool that is away tells so only after its own timeout; whoever starts meanwhile does not wait for that."""
DEADLINE_SLACK = timedelta(minutes=10)
"""How long after its deadline the backend itself ends an instance that no steward has ended."""


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
    coming_up: asyncio.Semaphore
    """Held by each start whose slot is being made: more at once, on too few processors, and all of them are late."""
    admission: Admission = field(init=False)
    _endings: TaskSet = field(default_factory=lambda: TaskSet(_log_failed_ending))

    def __post_init__(self) -> None:
        self.admission = Admission(self.catalog, self.backend, self.now, self.new_id)

    def spec(
        self,
        slot_id: str,
        flavor: Flavor,
        image: Image,
        *,
        awaited: bool = False,
        environment: Mapping[str, str] | None = None,
        user_namespace: bool = False,
    ) -> SlotSpec:
        """What the backend needs to make a slot."""
        return SlotSpec(
            id=slot_id,
            flavor=flavor,
            image=image,
            key=slot_key(self.master_key, slot_id),
            examples=tuple(e.path.split("/")[0] for e in self.catalog.examples if e.image == image.id),
            awaited=awaited,
            environment=environment or {},
            user_namespace=user_namespace,
        )

    async def wants_user_namespace(self, flavor: Flavor) -> bool:
        """Whether a new slot of this flavor is to have users of its own."""
        if not self.backend.supports_user_namespaces:
            return False
        tried = await self.ledger.aread(user_namespaces.all_of)
        return decide(self.catalog, flavor, tried, self.now()).own

    async def record_user_namespaces(
        self, found: Slots, of: Iterable[Slot], tried: Iterable[user_namespaces.NodeSupport]
    ) -> None:
        """Write down what these slots show of their nodes: whether those can give a pod users of its own."""
        for seen in new_observations(found, of, tried, self.now()):
            if not seen.works:
                log.warning("flavor %s does without user namespaces: %s", seen.flavor, seen.detail)
            await self.ledger.awrite(user_namespaces.note, seen)

    async def intend_end(self, instance_id: str, reason: EndReason, detail: str | None = None) -> None:
        """Write the intent to end an instance and its slots; if it is ending already, nothing."""

        def write(connection: Connection) -> None:
            instances.mark_stopping(connection, instance_id, reason=reason, now=self.now(), detail=detail)
            self.admission.settle(connection, instance_id)
            for slot in slots.of_instance(connection, instance_id):
                if slot.state is not SlotState.DESTROYING:
                    slots.mark_destroying(connection, slot.id, reason=reason)

        with contextlib.suppress(LostRace):  # it is ending already, and the first reason is the one to tell
            await self.ledger.awrite(write)

    async def note_end(self, instance_id: str, reason: EndReason, detail: str | None = None) -> None:
        """Write that an instance is over. Its slot is left as it is until the cause is known: `correct_reason`."""

        def write(connection: Connection) -> None:
            instances.mark_stopping(connection, instance_id, reason=reason, now=self.now(), detail=detail)
            self.admission.settle(connection, instance_id)

        with contextlib.suppress(LostRace):
            await self.ledger.awrite(write)

    async def correct_reason(self, instance_id: str, reason: EndReason, detail: str | None = None) -> None:
        """Write the cause of an end that was noted before; of any other end the first reason stays."""

        def write(connection: Connection) -> None:
            noted = instances.get(connection, instance_id)
            if is_noted_only(noted, slots.of_instance(connection, instance_id)):
                instances.correct_reason(connection, instance_id, reason=reason, detail=detail)

        with contextlib.suppress(LostRace):
            await self.ledger.awrite(write)

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

    async def end_soon(self, instance_id: str, reason: EndReason, *, detail: str | None = None) -> None:
        """Write the intent, and let the rest go on by itself: nobody needs to wait until the last byte is wiped.

        Nothing can be had of the slot from now on: it is never lent again, and JupyterHub takes its route and its
        token away. If this process ends before the slot has, the steward finishes.
        """
        await self.intend_end(instance_id, reason, detail)
        self._endings.start(self.end(instance_id, reason, detail=detail))

    async def destroy_slot(self, slot_id: str, reason: EndReason, *, detail: str | None = None) -> bool:
        """Destroy a slot and note it. Idempotent. False where the backend could not make sure."""
        await self._intend_destroy(slot_id, reason, detail)
        try:
            await self.backend.destroy(slot_id)
        except BackendUnavailable as error:
            log.warning("slot %s is not gone yet: %s", slot_id, error)
            return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(slots.mark_gone, slot_id, now=self.now())
        return True

    async def destroy_slot_soon(self, slot_id: str, reason: EndReason, *, detail: str | None = None) -> None:
        """Write the intent to destroy a slot, and let the rest go on by itself."""
        await self._intend_destroy(slot_id, reason, detail)
        self._endings.start(self.destroy_slot(slot_id, reason))

    async def _intend_destroy(self, slot_id: str, reason: EndReason, detail: str | None) -> None:
        with contextlib.suppress(LostRace):  # already being destroyed; destroying again does no harm
            await self.ledger.awrite(slots.mark_destroying, slot_id, reason=reason, detail=detail)

    async def assign(self, slot: Slot, ends_at: datetime) -> bool:
        """Tell the backend that a slot is somebody's until then. False where it cannot be told just now."""
        seconds = (ends_at - slot.created_at + DEADLINE_SLACK).total_seconds()
        try:
            async with timeout(ASSIGN_SECONDS):
                await self.backend.assign(slot.id, seconds=seconds)
        except (BackendUnavailable, asyncio.TimeoutError) as error:
            log.warning("slot %s is lent, and the pool does not know yet: %s", slot.id, error or "no answer")
            return False
        return True

    async def close(self) -> None:
        """Let what is ending end, and close the connections."""
        await self._endings.join()
        await self.backend.close()
        self.ledger.close()

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
            status = (await self.view.now()).get(slot_id)
            if status is None and slot_id:
                status = await self.backend.find(slot_id)  # absent is a strong word: only the truth itself may say it
        except BackendUnavailable:
            return None
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
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(self.mark_running, instance, url)
        return True

    def mark_running(self, connection: Connection, instance: Instance, url: str) -> Instance:
        """It can be used, and its time runs from here; after a restart while others wait, no more than it had."""
        now = self.now()
        ends_at = now + timedelta(minutes=self.catalog.flavor(instance.flavor).session_minutes)
        ticket = tickets.of_instance(connection, instance.id)
        if ticket is not None and ticket.ends_by is not None:
            ends_at = min(ends_at, ticket.ends_by)
        return instances.mark_running(connection, instance.id, url=url, now=now, ends_at=ends_at)


def _log_failed_ending(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.error("an instance or slot has not ended; the steward retries", exc_info=error)
