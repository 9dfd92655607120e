"""From an admitted instance to a RUNNING one: slot, claim, answer. A slot that fails is destroyed and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from spawner.errors import BackendUnavailable, ClaimFailed, ImageUnavailable, LostRace, NoRoom, SlotFailed, StartFailed
from spawner.instance import desk_key
from spawner.instance.sealing import slot_key
from spawner.ledger import EndReason, Instance, Slot, SlotState, StartStep
from spawner.ledger.pool import instances, slots
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.claim import push_claim, wait_for_answer, wait_until_warm
from spawner.pool.options import Choice
from spawner.pool.pool import Pool
from spawner.pool.reservation import Reservation, reserve_slot
from spawner.pool.start_times import StartTimes

log = logging.getLogger("freepool.pool")
MAX_SLOTS = 3
"""Slots that one start tries before it fails."""
RETRY_SECONDS = 1.0
"""Between attempts to create a slot while the backend is unreachable."""
SERVER_ADDRESS = "http://0.0.0.0:8888"
"""Where the server of an image without the agent listens, in its own pod."""


@dataclass(frozen=True)
class BringUp:
    """Brings one admitted instance up. The fields are those of `spawner.pool.start.Start`."""

    pool: Pool
    instance: Instance
    choice: Choice
    environment: Mapping[str, str]
    prefix: str
    on_step: Callable[[], None]
    times: StartTimes

    async def run(self) -> Instance:
        """Return the instance RUNNING. Raises `StartFailed`, `NoRoom`, `LostRace`, `BackendUnavailable`."""
        for tries_left in reversed(range(MAX_SLOTS)):
            try:
                return await self._try_slot()
            except ImageUnavailable as error:
                raise StartFailed(
                    "The image {image} cannot be downloaded right now.",
                    next_step="Choose another image, or contact the administrator.",
                    image=self.choice.image.id,
                    details=error.details,
                ) from error
            except (SlotFailed, ClaimFailed) as error:
                log.warning("start of %s: %s %s", self.instance.id, error, error.details)
                if not tries_left:
                    raise StartFailed(
                        "The notebook did not start.",
                        next_step="Try again. If it fails again, contact the administrator.",
                        details=error.details or error.message,
                    ) from error
            await self._step(StartStep.RETRYING)
        raise AssertionError("the last try returns or raises")

    async def _step(self, step: StartStep) -> None:
        await self.pool.ledger.awrite(instances.add_event, self.instance.id, step, now=self.pool.now())
        self.on_step()

    async def _try_slot(self) -> Instance:
        """One slot, from its reservation to the server's answer. A slot that fails is destroyed."""
        pool = self.pool
        reservation = await reserve_slot(pool, self.choice, self.instance.id)
        slot = reservation.slot
        self.times.end("slot")
        try:
            url = await self._ready_url(reservation)
            self.times.end("ready")
            if self.choice.image.agent:
                await self._push_identity(slot, url)
            else:
                await self._attach(slot)
            answer = self._unless_dead(
                slot, wait_for_answer(pool.session, f"{url}{self.prefix}api", seconds=self._seconds)
            )
            await asyncio.gather(answer, self._assign(slot))
            self.times.end("server")
        except NoRoom as error:
            await pool.destroy_slot_soon(slot.id, EndReason.NO_ROOM, detail=error.details)
            raise
        except (SlotFailed, ClaimFailed) as error:
            status = pool.view.last_seen.get(slot.id)
            if status is not None and status.lacks_user_namespace:
                # Recorded now, so that the next try asks for no user namespace.
                await pool.record_user_namespaces({slot.id: status}, [slot], ())
            await pool.destroy_slot_soon(slot.id, EndReason.START_FAILED, detail=error.details or error.message)
            raise
        return await self._mark_running(url)

    async def _assign(self, slot: Slot) -> None:
        session = await self.pool.ledger.aread(self.pool.longest_session, self.instance)
        await self.pool.assign(slot, self.pool.now() + session)

    @property
    def _seconds(self) -> int:
        return self.pool.catalog.limits.start_seconds

    async def _ready_url(self, reservation: Reservation) -> str:
        """Create the slot where it is new, and wait until it takes its claim. Returns its URL."""
        if not reservation.is_new:
            await self._step(StartStep.SLOT_WARM)
            return await self._wait_until_ready(reservation.slot)
        if self.pool.coming_up.locked():
            await self._step(StartStep.OTHERS_FIRST)
        async with self.pool.coming_up:
            await self._step(StartStep.SLOT_CREATING)
            await self._create(reservation.slot)
            return await self._wait_until_ready(reservation.slot)

    async def _wait_until_ready(self, slot: Slot) -> str:
        url = await self._wait_for_url(slot)
        if self.choice.image.agent and slot.state is not SlotState.CLAIMED:
            # Ask the agent itself: the backend shows readiness up to a second later.
            try:
                await self._unless_dead(slot, wait_until_warm(self.pool.session, url, seconds=self._seconds))
            except TimeoutError:
                raise self._too_late(slot) from None
        return url

    async def _create(self, slot: Slot) -> None:
        """Create the slot. Retried while the backend is unreachable, up to `limits.start_seconds`: it is idempotent."""
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
        is_first_failure = True
        while True:
            try:
                return await pool.backend.create(spec)
            except BackendUnavailable:
                if loop.time() > deadline:
                    raise
            if is_first_failure:
                await self._step(StartStep.POOL_AWAY)
                is_first_failure = False
            await asyncio.sleep(RETRY_SECONDS)

    async def _wait_for_url(self, slot: Slot) -> str:
        """Wait until the backend knows the slot's URL. Nothing need listen there yet.

        Raises `NoRoom` where the scheduler finds no node within `limits.schedule_seconds`, `SlotFailed` where the slot
        is dead or late.
        """

        def has_url(current: Slots) -> bool:
            status = current.get(slot.id)
            return status is not None and (status.phase is not Phase.CREATING or status.url is not None)

        def is_unschedulable(current: Slots) -> bool:
            status = current.get(slot.id)
            return status is not None and bool(status.no_room)

        view = self.pool.view
        if slot.state is SlotState.CLAIMED:
            await self._check_exists(slot)
        try:
            current = await view.wait_until(
                lambda current: has_url(current) or is_unschedulable(current), seconds=self._seconds
            )
        except TimeoutError:
            raise self._too_late(slot) from None
        if not has_url(current):
            try:
                current = await view.wait_until(has_url, seconds=self.pool.catalog.limits.schedule_seconds)
            except TimeoutError:
                raise NoRoom(
                    "The slot {slot} finds no place.", slot=slot.id, details=current[slot.id].no_room
                ) from None
        return self._url_of(slot, current[slot.id])

    async def _check_exists(self, slot: Slot) -> None:
        """Raise `SlotFailed` where a warm slot does not exist any more, by an uncached read."""
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

    async def _push_identity(self, slot: Slot, url: str) -> None:
        """Push the server's environment into the slot, sealed with the slot's key."""
        pool = self.pool
        await self._attach(slot)
        self.times.end("ledger")
        await push_claim(
            pool.session,
            url,
            claim_id=self.instance.id,
            environment={**self.environment, **self._desk_key(), "JUPYTERHUB_SERVICE_URL": url + self.prefix},
            key=slot_key(pool.master_key, slot.id),
            slot_id=slot.id,
            now=pool.now().timestamp(),
        )
        self.times.end("claim")

    def _desk_key(self) -> dict[str, str]:
        key_of = self.pool.desk_key_of
        return {} if key_of is None else {desk_key.VARIABLE: key_of(self.instance.id)}

    async def _attach(self, slot: Slot) -> None:
        """Commit that this slot is the instance's, before the claim is pushed. Raises `LostRace` where the start was
        cancelled, `SlotFailed` where the slot was taken away meanwhile: another slot may do.
        """
        now = self.pool.now()

        def write(connection: Connection) -> None:
            if slot.state is SlotState.CREATING:
                try:
                    slots.mark_claimed(connection, slot.id, now=now)
                except LostRace as error:
                    raise SlotFailed(
                        "The slot {slot} was lost before it was assigned.", slot=slot.id, details=error.message
                    ) from error
            instances.attach_slot(connection, self.instance.id, slot.id)
            instances.add_event(connection, self.instance.id, StartStep.CLAIMED, now=now)

        await self.pool.ledger.awrite(write)
        self.on_step()

    async def _unless_dead(self, slot: Slot, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`. Raises `ClaimFailed` as soon as the slot dies or disappears."""

        def is_dead(current: Slots) -> bool:
            status = current.get(slot.id)
            return status is None or status.phase is Phase.DEAD

        task = asyncio.create_task(work)
        death = asyncio.create_task(self.pool.view.wait_until(is_dead, seconds=self._seconds))
        try:
            done, _ = await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            status = death.result().get(slot.id)
            raise ClaimFailed(
                "The slot {slot} died ({reason}).",
                slot=slot.id,
                reason=status.reason if status else EndReason.LOST,
                details=status.detail if status else "",
            )
        finally:
            for pending in (task, death):
                pending.cancel()
            await asyncio.gather(task, death, return_exceptions=True)

    async def _mark_running(self, url: str) -> Instance:
        """Commit RUNNING. The session's time starts here."""

        def write(connection: Connection) -> Instance:
            running = self.pool.mark_running(connection, self.instance, url)
            instances.add_event(connection, self.instance.id, StartStep.RUNNING, now=self.pool.now())
            return running

        running = await self.pool.ledger.awrite(write)
        self.times.end("ledger")
        self.on_step()
        return running
