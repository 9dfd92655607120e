"""The way of a start: intent (a row) > slot (claimed, or created) > claim (pushed) > answer > RUNNING (a row).

Each step is committed before the next one touches the world, so that whoever comes after a crash knows what may exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from spawner.errors import (
    BackendUnavailable,
    ClaimFailed,
    ImageUnavailable,
    LostRace,
    NoRoom,
    PoolFull,
    Refusal,
    SlotFailed,
    StartFailed,
)
from spawner.instance.sealing import slot_key
from spawner.ledger import EndReason, Instance, Slot, SlotState, StartStep, TicketState
from spawner.ledger.pool import instances, slots, tickets
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.claim import push_claim, wait_for_answer, wait_until_warm
from spawner.pool.noted_ends import reason_of_running
from spawner.pool.options import Choice
from spawner.pool.pool import Pool, Server
from spawner.pool.queue.admission import QueuePosition, SpawnRequest
from spawner.pool.queue.responses import NO_MACHINE, not_offered, queued
from spawner.pool.reservation import Reservation, reserve_slot

log = logging.getLogger("freepool.pool")
MAX_SLOTS = 3
"""Slots that one start goes through before it gives up: a bad one is the pool's trouble, not the person's."""
RETRY_SECONDS = 1.0
"""Between tries to reach a pool that is away."""
END_CAUSE_SECONDS = 5.0
"""How long a start waits for the cause of the earlier instance's end. A node writes it within two."""
SERVER_ADDRESS = "http://0.0.0.0:8888"
"""Where an image without the agent listens, in its own pod."""


@dataclass(frozen=True)
class Start:
    """One start. `prefix` is the server's base path, such as `/user/ann/`; `on_step` is called after each step.

    `groups` are those of the user, as JupyterHub knows them. `ticket_id`: only if that ticket is still called. So
    whoever gave it up meanwhile gets nothing, and does not stand in line again. `is_hub_ending` is asked where the
    start is cancelled.
    """

    pool: Pool
    server: Server
    choice: Choice
    environment: Mapping[str, str]
    prefix: str
    on_step: Callable[[], None]
    groups: tuple[str, ...] = ()
    ticket_id: str | None = None
    is_hub_ending: Callable[[], bool] = lambda: False

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
            await asyncio.sleep(0)  # where the hub ends everything is cancelled at once: that shows one turn later
            reason = EndReason.SHUTDOWN if self.is_hub_ending() else EndReason.CANCELLED
            await self.pool.intend_end(instance.id, reason)
            raise
        except LostRace as error:
            await self.pool.end_soon(instance.id, EndReason.CANCELLED)
            raise StartFailed("The start was cancelled.") from error
        except NoRoom as error:
            await self.pool.end_soon(instance.id, EndReason.NO_ROOM, detail=error.details)
            raise await self._queued_after_all(instance, error) from error
        except Exception as error:
            detail = (error.details or error.message) if isinstance(error, Refusal) else str(error)
            await self.pool.end_soon(instance.id, EndReason.START_FAILED, detail=detail)
            raise

    async def _queued_after_all(self, instance: Instance, error: NoRoom) -> Refusal:
        """What to say where the cluster has no machine, whatever the catalog promises: a place in line."""

        def look(connection: Connection) -> QueuePosition | None:
            mine = tickets.alive(connection, self.server.user_name)
            waiting = next((one for one in mine if one.state is TicketState.WAITING), None)
            return None if waiting is None else self.pool.admission.position_of(connection, waiting)

        line = await self.pool.ledger.aread(look)
        if line is not None:
            return queued(line, why=NO_MACHINE, details=error.details)
        return PoolFull(
            NO_MACHINE,
            next_step="Try another shape, or come back when somebody has stopped.",
            flavor=instance.flavor,
            details=error.details,
        )

    async def _request(self) -> Instance:
        """Commit the intent. Raises `Queued` where others come first."""
        pool, choice = self.pool, self.choice
        why_not = pool.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise not_offered(why_not)
        await self._supersede()
        instance_id = pool.new_id()
        wish = SpawnRequest(self.server.user_name, self.server.server_name, choice, self.groups)

        def write(connection: Connection) -> Instance | QueuePosition:
            if self.ticket_id is not None and not tickets.is_called(connection, self.ticket_id):
                raise StartFailed("The start was cancelled.")
            ticket = pool.admission.ask(connection, wish)
            if ticket.state is TicketState.WAITING:
                return pool.admission.position_of(connection, ticket)
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
            tickets.begin(connection, ticket.id, instance_id=instance_id)
            slots.transfer(connection, ticket_id=ticket.id, instance_id=instance_id)
            instances.add_event(connection, instance_id, StartStep.REQUESTED, now=pool.now())
            return instance

        requested = await pool.ledger.awrite(write)
        if isinstance(requested, QueuePosition):
            raise queued(requested)
        return requested

    async def _supersede(self) -> None:
        """JupyterHub starts this server, so it believes that none runs: what the ledger still has is a leftover."""
        for leftover in await self.pool.ledger.aread(instances.unended, self.server.user_name):
            if leftover.server_name == self.server.server_name:
                reason, detail = await self._why_over(leftover)
                if reason is not EndReason.SUPERSEDED:
                    await self.pool.correct_reason(leftover.id, reason, detail)
                await self.pool.end_soon(leftover.id, reason, detail=detail)

    async def _why_over(self, leftover: Instance) -> tuple[EndReason, str | None]:
        """Why an earlier instance of this server is over. If its slot has died, the slot's own reason, so a person who
        starts again at once still reads what happened; the cause may come a moment after the end."""
        slot_id = leftover.slot_id or ""

        def is_final(found: Slots) -> bool:
            status = found.get(slot_id)
            return status is None or status.phase is not Phase.DEAD or status.is_final

        with contextlib.suppress(TimeoutError):
            await self.pool.view.wait_until(is_final, seconds=END_CAUSE_SECONDS)
        status = self.pool.view.last_seen.get(slot_id)
        if status is None or status.phase is not Phase.DEAD:
            return EndReason.SUPERSEDED, None
        has_run = leftover.usable_at is not None
        return reason_of_running(status) if has_run else status.reason or EndReason.CRASHED, status.detail or None

    async def _bring_up(self, instance: Instance) -> Instance:
        for left in reversed(range(MAX_SLOTS)):
            try:
                return await self._try(instance)
            except ImageUnavailable as error:
                raise StartFailed(
                    "The image {image} cannot be had just now.",
                    next_step="Choose another image, or tell the operator.",
                    image=self.choice.image.id,
                    details=error.details,
                ) from error
            except (SlotFailed, ClaimFailed) as error:
                log.warning("start of %s: %s %s", instance.id, error, error.details)
                if not left:
                    raise StartFailed(
                        "The instance did not come up.",
                        next_step="Try once more; if it fails again, tell the operator.",
                        details=error.details or error.message,
                    ) from error
            await self._step(instance, StartStep.RETRYING)
        raise AssertionError("the last try returns or raises")

    async def _step(self, instance: Instance, step: StartStep) -> None:
        await self.pool.ledger.awrite(instances.add_event, instance.id, step, now=self.pool.now())
        self.on_step()

    async def _try(self, instance: Instance) -> Instance:
        """One slot, from claim to answer. A slot that fails is destroyed."""
        pool = self.pool
        taken = await reserve_slot(pool, self.choice, instance.id)
        slot = taken.slot
        try:
            if taken.is_new and pool.coming_up.locked():
                await self._step(instance, StartStep.OTHERS_FIRST)
            async with pool.coming_up if taken.is_new else contextlib.nullcontext():
                await self._step(instance, StartStep.SLOT_CREATING if taken.is_new else StartStep.SLOT_WARM)
                url = await self._come_up(instance, taken)
            if self.choice.image.agent:
                await self._hand_over(instance, slot, url)
            else:
                await self._attach(instance, slot)
            answer = self._unless_dead(
                slot, wait_for_answer(pool.session, f"{url}{self.prefix}api", seconds=self._seconds)
            )
            await asyncio.gather(answer, pool.assign(slot, pool.now() + self._session))
        except NoRoom as error:
            await pool.destroy_slot_soon(slot.id, EndReason.NO_ROOM, detail=error.details)
            raise
        except (SlotFailed, ClaimFailed) as error:
            status = pool.view.last_seen.get(slot.id)
            if status is not None and status.lacks_user_namespace:
                await pool.record_user_namespaces({slot.id: status}, [slot], ())  # the next try goes by it
            await pool.destroy_slot_soon(slot.id, EndReason.START_FAILED, detail=error.details or error.message)
            raise
        return await self._mark_running(instance, url)

    @property
    def _seconds(self) -> int:
        return self.pool.catalog.limits.start_seconds

    @property
    def _session(self) -> timedelta:
        return timedelta(minutes=self.choice.flavor.session_minutes)

    async def _come_up(self, instance: Instance, taken: Reservation) -> str:
        """Have the slot made where it is not there yet, and wait until it can take its claim. Returns its URL."""
        slot = taken.slot
        if taken.is_new:
            await self._create(instance, slot)
        url = await self._wait_for_url(slot)
        if self.choice.image.agent and slot.state is not SlotState.CLAIMED:
            # Asked directly: its maker's own word that it is ready comes up to a second later.
            try:
                await self._unless_dead(slot, wait_until_warm(self.pool.session, url, seconds=self._seconds))
            except TimeoutError:
                raise self._too_late(slot) from None
        return url

    async def _create(self, instance: Instance, slot: Slot) -> None:
        """Have the slot made. A pool that is away is asked again for a while: creating twice is creating once."""
        pool, choice = self.pool, self.choice
        environment = {**self.environment, "JUPYTERHUB_SERVICE_URL": SERVER_ADDRESS + self.prefix}
        spec = pool.spec(
            slot.id,
            choice.flavor,
            choice.image,
            awaited=True,
            environment={} if choice.image.agent else environment,
            user_namespace=await pool.wants_user_namespace(choice.flavor),
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        told = False
        while True:
            try:
                return await pool.backend.create(spec)
            except BackendUnavailable:
                if loop.time() > deadline:
                    raise
            if not told:
                await self._step(instance, StartStep.POOL_AWAY)
                told = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _wait_for_url(self, slot: Slot) -> str:
        """Wait until it is known where the slot answers; it need not answer yet.

        Raises `NoRoom` for one that finds no place for too long, `SlotFailed` for one that is dead or too late.
        """

        def decided(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is not None and (status.phase is not Phase.CREATING or status.url is not None)

        def stuck(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is not None and bool(status.no_room)

        view = self.pool.view
        if slot.state is SlotState.CLAIMED:
            await self._make_sure_of(slot)
        try:
            found = await view.wait_until(lambda found: decided(found) or stuck(found), seconds=self._seconds)
        except TimeoutError:
            raise self._too_late(slot) from None
        if not decided(found):
            try:
                found = await view.wait_until(decided, seconds=self.pool.catalog.limits.schedule_seconds)
            except TimeoutError:
                raise NoRoom("The slot {slot} finds no place.", slot=slot.id, details=found[slot.id].no_room) from None
        return self._url_of(slot, found[slot.id])

    async def _make_sure_of(self, slot: Slot) -> None:
        """A slot that was waiting is there, or it was lost on the way, and nobody waits for it to come back."""
        if slot.id in self.pool.view.last_seen:
            return
        with contextlib.suppress(BackendUnavailable):
            if await self.pool.backend.find(slot.id) is None:
                raise SlotFailed("The slot {slot} was lost while it waited.", slot=slot.id)

    def _url_of(self, slot: Slot, status: SlotStatus) -> str:
        if status.phase is Phase.DEAD or status.url is None:
            kind = ImageUnavailable if status.reason is EndReason.NO_IMAGE else SlotFailed
            raise kind(
                "The slot {slot} died before it was of use ({reason}).",
                slot=slot.id,
                reason=status.reason,
                details=status.detail,
            )
        return status.url

    def _too_late(self, slot: Slot) -> SlotFailed:
        return SlotFailed("The slot {slot} was not ready after {seconds} s.", slot=slot.id, seconds=self._seconds)

    async def _hand_over(self, instance: Instance, slot: Slot, url: str) -> None:
        """Push the identity into the slot, which waits for one."""
        pool = self.pool
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

    async def _attach(self, instance: Instance, slot: Slot) -> None:
        """Commit that this slot is about to become this instance."""
        now = self.pool.now()

        def write(connection: Connection) -> None:
            if slot.state is SlotState.CREATING:
                slots.mark_claimed(connection, slot.id, now=now)
            instances.attach_slot(connection, instance.id, slot.id)
            instances.add_event(connection, instance.id, StartStep.CLAIMED, now=now)

        await self.pool.ledger.awrite(write)
        self.on_step()

    async def _unless_dead(self, slot: Slot, waits: Coroutine[Any, Any, None]) -> None:
        """Wait for something of a slot, but not for one that has died in the meantime."""

        def is_dead(found: Slots) -> bool:
            status = found.get(slot.id)
            return status is None or status.phase is Phase.DEAD

        work = asyncio.create_task(waits)
        death = asyncio.create_task(self.pool.view.wait_until(is_dead, seconds=self._seconds))
        try:
            done, _ = await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED)
            if work in done:
                return work.result()
            status = death.result().get(slot.id)
            raise ClaimFailed(
                "The slot {slot} died ({reason}).",
                slot=slot.id,
                reason=status.reason if status else EndReason.LOST,
                details=status.detail if status else "",
            )
        finally:
            for task in (work, death):
                task.cancel()
            await asyncio.gather(work, death, return_exceptions=True)

    async def _mark_running(self, instance: Instance, url: str) -> Instance:
        """Commit that it can be used; its time runs from here."""

        def write(connection: Connection) -> Instance:
            running = self.pool.mark_running(connection, instance, url)
            instances.add_event(connection, instance.id, StartStep.RUNNING, now=self.pool.now())
            return running

        running = await self.pool.ledger.awrite(write)
        self.on_step()
        return running
