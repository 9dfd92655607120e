"""The way of a start: intent (a row) > slot (claimed, or created) > claim (pushed) > answer > RUNNING (a row).

Each step is committed before the next one touches the world, so that whoever comes after a crash knows what may exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from spawner.errors import ClaimFailed, LostRace, NotOffered, PoolFull, Refusal, SlotFailed, StartFailed
from spawner.instance.sealing import slot_key
from spawner.ledger import EndReason, Instance, Slot, SlotState, Step, instances, slots
from spawner.pool.backends.base import Phase, Slots
from spawner.pool.claim import push_claim, wait_for_answer
from spawner.pool.options import Choice
from spawner.pool.pool import Pool, Server
from spawner.pool.stock import room_for, yields_room

log = logging.getLogger("freepool.pool")
TRIES = 3
"""Slots that one start goes through before it gives up: a bad one is the pool's trouble, not the person's."""


@dataclass(frozen=True)
class Start:
    """One start. `prefix` is the server's base path, such as `/user/ann/`; `on_step` is called after each step."""

    pool: Pool
    server: Server
    choice: Choice
    environment: Mapping[str, str]
    prefix: str
    on_step: Callable[[], None]

    async def run(self) -> Instance:
        """Lend an instance and return it RUNNING.

        Raises `Refusal` in words for the user. Whatever way this ends, the ledger tells what there is to clean up.
        """
        instance = await self._request()
        self.on_step()
        try:
            return await self._bring_up(instance)
        except asyncio.CancelledError:
            # JupyterHub cancels a start that is stopped or takes too long, and then calls stop(): here only the intent.
            await self.pool.intend_end(instance.id, EndReason.CANCELLED)
            raise
        except LostRace as error:
            await self.pool.end(instance.id, EndReason.CANCELLED)
            raise StartFailed("The start was cancelled.") from error
        except Exception as error:
            detail = error.message if isinstance(error, Refusal) else str(error)
            await self.pool.end(instance.id, EndReason.START_FAILED, detail=detail)
            raise

    async def _request(self) -> Instance:
        """Commit the intent."""
        pool, choice = self.pool, self.choice
        why_not = pool.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise NotOffered("{why}", next_step="Choose another shape or image.", why=why_not[0])
        await self._supersede()
        instance_id = pool.new_id()

        def write(connection: Connection) -> Instance:
            instance = instances.request(
                connection,
                instance_id=instance_id,
                user_name=self.server.user_name,
                server_name=self.server.server_name,
                flavor=choice.flavor.id,
                image=choice.image.id,
                example=choice.example.id if choice.example else None,
                hub_epoch=pool.hub_epoch,
                now=pool.now(),
                at_most=pool.catalog.limits.instances_per_user,
            )
            instances.add_event(connection, instance_id, Step.REQUESTED, now=pool.now())
            return instance

        return await pool.ledger.awrite(write)

    async def _supersede(self) -> None:
        """JupyterHub starts this server, so it believes that none runs: what the ledger still has is a leftover."""
        for leftover in await self.pool.ledger.aread(instances.unended, self.server.user_name):
            if leftover.server_name == self.server.server_name:
                await self.pool.end(leftover.id, EndReason.SUPERSEDED)

    async def _bring_up(self, instance: Instance) -> Instance:
        for _ in range(TRIES - 1):
            try:
                return await self._try(instance)
            except (SlotFailed, ClaimFailed) as error:
                log.warning("start of %s goes on with another slot: %s", instance.id, error)
                await self._step(instance, Step.RETRYING)
        try:
            return await self._try(instance)
        except (SlotFailed, ClaimFailed) as error:
            raise StartFailed(
                "The instance did not come up: {why}",
                next_step="Try once more; if it fails again, tell the operator.",
                why=error.message,
            ) from error

    async def _step(self, instance: Instance, step: Step) -> None:
        await self.pool.ledger.awrite(instances.add_event, instance.id, step, now=self.pool.now())
        self.on_step()

    async def _try(self, instance: Instance) -> Instance:
        """One slot, from claim to answer. A slot that fails is destroyed."""
        pool = self.pool
        slot, was_warm = await self._take_slot(instance)
        try:
            await self._step(instance, Step.SLOT_WARM if was_warm else Step.SLOT_CREATING)
            url = await self._wait_ready(slot)
            await self._attach(instance, slot)
            await push_claim(
                pool.session,
                url,
                claim_id=instance.id,
                environment={**self.environment, "JUPYTERHUB_SERVICE_URL": url + self.prefix},
                key=slot_key(pool.master_key, slot.id),
                slot_id=slot.id,
                now=pool.now().timestamp(),
            )
            await self._wait_answer(slot, f"{url}{self.prefix}api")
        except (SlotFailed, ClaimFailed) as error:
            await pool.destroy_slot(slot.id, EndReason.START_FAILED, detail=str(error))
            raise
        return await self._mark_running(instance, url)

    async def _take_slot(self, instance: Instance) -> tuple[Slot, bool]:
        """A waiting slot, atomically, or a new one if the pool has room. Returns it and whether it was warm."""
        pool, flavor, image = self.pool, self.choice.flavor, self.choice.image
        slot_id = pool.new_id()

        def take(connection: Connection) -> Slot | None:
            now = pool.now()
            waiting = slots.claim_waiting(
                connection, flavor=flavor.id, image=image.id, instance_id=instance.id, now=now
            )
            if waiting is not None:
                return waiting
            if room_for(pool.catalog, flavor, slots.occupying(connection), pool.backend.memory()) < 1:
                return None
            return slots.intend(
                connection, slot_id=slot_id, flavor=flavor.id, image=image.id, instance_id=instance.id, now=now
            )

        while (slot := await pool.ledger.awrite(take)) is None:
            await self._make_room()
        if slot.id == slot_id:
            try:
                await pool.backend.create(pool.spec(slot_id, flavor, image))
            except SlotFailed as error:
                await pool.destroy_slot(slot_id, EndReason.START_FAILED, detail=str(error))
                raise
        return slot, slot.state is SlotState.CLAIMED

    async def _make_room(self) -> None:
        """A slot of another kind that waits for nobody gives way to somebody who is here. Raises `PoolFull`."""
        pool, choice = self.pool, self.choice
        occupying = await pool.ledger.aread(slots.occupying)
        gives_way = yields_room(pool.catalog, choice.flavor, choice.image, occupying, pool.backend.memory())
        if gives_way is None:
            raise PoolFull(
                "Everything of the shape {flavor} is lent out just now.",
                next_step="Try another shape, or come back when somebody has stopped.",
                flavor=choice.flavor.id,
            )
        with contextlib.suppress(LostRace):  # somebody took it in the meantime: the caller looks again
            await pool.ledger.awrite(slots.withdraw, gives_way.id)
            await pool.destroy_slot(gives_way.id, EndReason.SURPLUS)

    async def _wait_ready(self, slot: Slot) -> str:
        """Wait until the slot is ready, and return its URL."""

        def decided(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is not None and status.phase is not Phase.CREATING

        seconds = self.pool.catalog.limits.start_seconds
        try:
            found = await self.pool.view.wait_until(decided, seconds=seconds)
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

    async def _attach(self, instance: Instance, slot: Slot) -> None:
        """Commit that this slot is about to become this instance."""
        now = self.pool.now()

        def write(connection: Connection) -> None:
            if slot.state is SlotState.CREATING:
                slots.mark_claimed(connection, slot.id, now=now)
            instances.attach_slot(connection, instance.id, slot.id)
            instances.add_event(connection, instance.id, Step.CLAIMED, now=now)

        await self.pool.ledger.awrite(write)
        self.on_step()

    async def _wait_answer(self, slot: Slot, url: str) -> None:
        """Wait for the server's first answer, but not for one that has died in the meantime."""

        def is_dead(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is None or status.phase is Phase.DEAD

        seconds = self.pool.catalog.limits.start_seconds
        answer = asyncio.create_task(wait_for_answer(self.pool.session, url, seconds=seconds))
        death = asyncio.create_task(self.pool.view.wait_until(is_dead, seconds=seconds))
        try:
            done, _ = await asyncio.wait([answer, death], return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            raise ClaimFailed("The slot {slot} died after its claim.", slot=slot.id)
        finally:
            for task in (answer, death):
                task.cancel()
            await asyncio.gather(answer, death, return_exceptions=True)

    async def _mark_running(self, instance: Instance, url: str) -> Instance:
        """Commit that it can be used; its time runs from here."""
        now = self.pool.now()
        ends_at = now + timedelta(minutes=self.choice.flavor.session_minutes)

        def write(connection: Connection) -> Instance:
            running = instances.mark_running(connection, instance.id, url=url, now=now, ends_at=ends_at)
            instances.add_event(connection, instance.id, Step.RUNNING, now=now)
            return running

        running = await self.pool.ledger.awrite(write)
        self.on_step()
        return running
