"""The pool: lends instances. Everything that the hub's spawner does is decided here, without JupyterHub.

The way of a start: intent (a row) > slot (claimed, or created) > claim (pushed) > answer > RUNNING (a row). Each step
is committed before the next one touches the world, so that whoever comes after a crash knows what may exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp
from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Image
from spawner.errors import (
    BackendUnavailable,
    ClaimFailed,
    LostRace,
    NotOffered,
    PoolFull,
    Refusal,
    SlotFailed,
    StartFailed,
)
from spawner.instance.sealing import HEALTH_PATH, slot_key
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, Slot, SlotState, Step, instances, slots
from spawner.pool.backends.base import Backend, Phase, Slots, SlotSpec
from spawner.pool.claim import push_claim, wait_for_answer
from spawner.pool.options import Choice
from spawner.pool.stock import room_for, yields_room
from spawner.pool.view import SlotView

log = logging.getLogger("freepool.pool")
TRIES = 3
"""Slots that one start goes through before it gives up: a bad one is the pool's trouble, not the person's."""


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

    async def lend(
        self,
        server: Server,
        choice: Choice,
        environment: Mapping[str, str],
        *,
        prefix: str,
        on_step: Callable[[], None],
    ) -> Instance:
        """Start an instance and return it RUNNING. `prefix` is the server's base path, such as `/user/ann/`.

        Raises `Refusal` in words for the user. Whatever way this ends, the ledger tells what there is to clean up.
        """
        instance = await self._request(server, choice)
        on_step()
        try:
            return await self._bring_up(instance, choice, environment, prefix=prefix, on_step=on_step)
        except asyncio.CancelledError:
            # JupyterHub cancels a start that is stopped or takes too long, and then calls stop(): here only the intent.
            await self._intend_end(instance.id, EndReason.CANCELLED)
            raise
        except Refusal as refusal:
            await self.end(instance.id, EndReason.START_FAILED, detail=refusal.message)
            raise
        except Exception as error:
            await self.end(instance.id, EndReason.START_FAILED, detail=str(error))
            raise

    async def _request(self, server: Server, choice: Choice) -> Instance:
        why_not = self.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise NotOffered("{why}", next_step="Choose another shape or image.", why=why_not[0])
        await self._supersede(server)
        instance_id = self.new_id()

        def write(connection: Connection) -> Instance:
            instance = instances.request(
                connection,
                instance_id=instance_id,
                user_name=server.user_name,
                server_name=server.server_name,
                flavor=choice.flavor.id,
                image=choice.image.id,
                example=choice.example.id if choice.example else None,
                hub_epoch=self.hub_epoch,
                now=self.now(),
                at_most=self.catalog.limits.instances_per_user,
            )
            instances.add_event(connection, instance_id, Step.REQUESTED, now=self.now())
            return instance

        return await self.ledger.awrite(write)

    async def _supersede(self, server: Server) -> None:
        """JupyterHub starts this server, so it believes that none runs: what the ledger still has is a leftover."""
        for leftover in await self.ledger.aread(instances.unended, server.user_name):
            if leftover.server_name == server.server_name:
                await self.end(leftover.id, EndReason.SUPERSEDED)

    async def _bring_up(
        self,
        instance: Instance,
        choice: Choice,
        environment: Mapping[str, str],
        *,
        prefix: str,
        on_step: Callable[[], None],
    ) -> Instance:
        async def step(name: Step, **params: str) -> None:
            await self.ledger.awrite(instances.add_event, instance.id, name, now=self.now(), params=params)
            on_step()

        for attempt in range(1, TRIES + 1):
            slot, url = None, ""
            try:
                slot, was_warm = await self._take_slot(instance, choice)
                await step(Step.SLOT_WARM if was_warm else Step.SLOT_CREATING)
                url = await self._wait_ready(slot)
                await self._attach(instance, slot)
                await step(Step.CLAIMED)
                await push_claim(
                    self.session,
                    url,
                    claim_id=instance.id,
                    environment={**environment, "JUPYTERHUB_SERVICE_URL": url + prefix},
                    key=slot_key(self.master_key, slot.id),
                    slot_id=slot.id,
                    now=self.now().timestamp(),
                )
                await self._wait_answer(slot, url + prefix + "api")
            except (SlotFailed, ClaimFailed) as error:
                log.warning("start of %s, try %d of %d: %s", instance.id, attempt, TRIES, error)
                if slot is not None:
                    await self.destroy_slot(slot.id, EndReason.START_FAILED, detail=str(error))
                if attempt == TRIES:
                    raise StartFailed(
                        "The instance did not come up: {why}",
                        next_step="Try once more; if it fails again, tell the operator.",
                        why=error.message,
                    ) from error
                await step(Step.RETRYING)
                continue
            now = self.now()

            def write(connection: Connection, url: str = url, now: datetime = now) -> Instance:
                running = instances.mark_running(
                    connection,
                    instance.id,
                    url=url,
                    now=now,
                    ends_at=now + timedelta(minutes=choice.flavor.session_minutes),
                )
                instances.add_event(connection, instance.id, Step.RUNNING, now=now)
                return running

            running = await self.ledger.awrite(write)
            on_step()
            return running
        raise AssertionError("unreachable: the last try raises")

    async def _take_slot(self, instance: Instance, choice: Choice) -> tuple[Slot, bool]:
        """A waiting slot, atomically, or a new one if the pool has room. Returns it and whether it was warm."""
        flavor, image = choice.flavor, choice.image
        slot_id = self.new_id()

        def take(connection: Connection) -> tuple[Slot | None, Slot | None]:
            waiting = slots.claim_waiting(
                connection, flavor=flavor.id, image=image.id, instance_id=instance.id, now=self.now()
            )
            if waiting is not None:
                return waiting, None
            occupying = slots.occupying(connection)
            if room_for(self.catalog, flavor, occupying, self.backend.memory()) > 0:
                return (
                    slots.intend(
                        connection,
                        slot_id=slot_id,
                        flavor=flavor.id,
                        image=image.id,
                        instance_id=instance.id,
                        now=self.now(),
                    ),
                    None,
                )
            return None, yields_room(occupying, flavor, image)

        while True:
            slot, gives_way = await self.ledger.awrite(take)
            if slot is not None:
                break
            if gives_way is None:
                raise PoolFull(
                    "Everything of the shape {flavor} is lent out just now.",
                    next_step="Try another shape, or come back when somebody has stopped.",
                    flavor=flavor.id,
                )
            with contextlib.suppress(LostRace):  # somebody took it in the meantime: look again
                await self.ledger.awrite(slots.withdraw, gives_way.id)
                await self.destroy_slot(gives_way.id, EndReason.SURPLUS)
        if slot.state is SlotState.CREATING and slot.id == slot_id:
            await self.backend.create(self.spec(slot_id, flavor, image))
        return slot, slot.state is SlotState.CLAIMED

    def spec(self, slot_id: str, flavor: Flavor, image: Image) -> SlotSpec:
        """What the backend needs to make a slot."""
        return SlotSpec(
            id=slot_id,
            flavor=flavor,
            image=image,
            key=slot_key(self.master_key, slot_id),
            examples=tuple(e.path.split("/")[0] for e in self.catalog.examples if e.image == image.id),
        )

    async def _wait_ready(self, slot: Slot) -> str:
        """Wait until the slot is ready, and return its URL."""

        def decided(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is not None and status.phase is not Phase.CREATING

        seconds = self.catalog.limits.start_seconds
        try:
            found = await self.view.wait_until(decided, seconds=seconds)
        except asyncio.TimeoutError:
            raise SlotFailed(
                "The slot {slot} was not ready after {seconds} s.", slot=slot.id, seconds=seconds
            ) from None
        status = found[slot.id]
        if status.phase is Phase.DEAD or status.url is None:
            raise SlotFailed(
                "The slot {slot} died before it was of use: {why}.",
                slot=slot.id,
                why=status.detail or status.reason,
            )
        return status.url

    async def _wait_answer(self, slot: Slot, url: str) -> None:
        """Wait for the server's first answer, but not for one that has died in the meantime."""

        def is_dead(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is None or status.phase is Phase.DEAD

        seconds = self.catalog.limits.start_seconds
        answer = asyncio.create_task(wait_for_answer(self.session, url, seconds=seconds))
        death = asyncio.create_task(self.view.wait_until(is_dead, seconds=seconds))
        try:
            done, _ = await asyncio.wait([answer, death], return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            raise ClaimFailed("The slot {slot} died after its claim.", slot=slot.id)
        finally:
            for task in (answer, death):
                task.cancel()
            await asyncio.gather(answer, death, return_exceptions=True)

    async def _attach(self, instance: Instance, slot: Slot) -> None:
        """Commit that this slot is about to become this instance."""

        def write(connection: Connection) -> None:
            if slot.state is SlotState.CREATING:
                slots.mark_claimed(connection, slot.id, now=self.now())
            instances.attach_slot(connection, instance.id, slot.id)

        await self.ledger.awrite(write)

    async def _intend_end(self, instance_id: str, reason: EndReason, detail: str | None = None) -> None:
        with contextlib.suppress(LostRace):  # it is ending already, and the first reason is the one to tell
            await self.ledger.awrite(instances.mark_stopping, instance_id, reason=reason, now=self.now(), detail=detail)

    async def end(self, instance_id: str, reason: EndReason, *, detail: str | None = None) -> bool:
        """End an instance: intent, destroy its slots, ENDED. Idempotent; the first reason stays.

        Returns False where the pool could not be reached: the intent is written, and the steward finishes.
        """
        await self._intend_end(instance_id, reason, detail)
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
            await self._intend_end(instance.id, EndReason.LOST)
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
