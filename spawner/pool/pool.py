"""The pool: its shared parts, how an instance ends, and whether one runs. `start.py` has how one starts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from spawner.aio import TaskSet
from spawner.catalog import Catalog, Flavor, Image
from spawner.errors import BackendUnavailable, LostRace
from spawner.instance.sealing import HEALTH_PATH, slot_key
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, Slot
from spawner.ledger.bundles import bundles
from spawner.ledger.people import people, trust
from spawner.ledger.pool import instances, slots, tickets, user_namespaces
from spawner.people_settings import ClassLimits, PeopleSettings
from spawner.pool.backends.base import Backend, Phase, Slots, SlotSpec
from spawner.pool.keeping import intend_bundle, new_key
from spawner.pool.noted_ends import is_noted_only
from spawner.pool.queue.admission import Admission
from spawner.pool.slot_view import SlotView
from spawner.pool.templates import examples_of
from spawner.pool.time import holds
from spawner.pool.time.settle import mark_ended, settle
from spawner.pool.user_namespaces import Silences, decide, new_observations, silent_since

log = logging.getLogger("freepool.pool")
ASSIGN_SECONDS = 3.0
"""Shorter than the backend's own timeout: a start does not wait for an unreachable backend."""
DEADLINE_SLACK = timedelta(minutes=10)
"""How long after the latest deadline that it may get the backend ends an instance that no steward has ended. More than
`LEAST_NOTICE`, by which a steward that was away moves a deadline."""


@dataclass(frozen=True)
class Server:
    """One server of a person; the default server has the empty name. `user_name` is the present one in JupyterHub."""

    person_id: str
    user_name: str
    server_name: str


@dataclass
class Pool:
    """Assigns instances of one catalog from one backend.

    Slot keys are derived from `master_key`. `hub_epoch` identifies this run of the hub. Tests pass their own `now` and
    `new_id`.
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
    """Held by each start whose slot is being created: too many at once, and all of them are late."""
    people: PeopleSettings = field(default_factory=PeopleSettings)
    hub: str | None = None
    """Name of this process's hub, where there are several."""
    before_destroy: Callable[[str], Awaitable[None]] | None = None
    """Called with a slot's id before it is destroyed. Keeps what is to be kept, in bounded time; raises nothing."""
    desk_key_of: Callable[[str], str] | None = None
    """Of an instance's id: the key by which the instance knows the desk. The hub knows it, which makes the claims."""
    admission: Admission = field(init=False)
    _endings: TaskSet = field(default_factory=lambda: TaskSet(_log_failed_ending))
    _silences: Silences = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.admission = Admission(self.catalog, self.backend, self.now, self.new_id, self.hub)

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
        """The specification of a slot, with its key and the examples of its image."""
        return SlotSpec(
            id=slot_id,
            flavor=flavor,
            image=image,
            key=slot_key(self.master_key, slot_id),
            examples=examples_of(self.catalog, image),
            awaited=awaited,
            environment=environment or {},
            user_namespace=user_namespace,
        )

    async def wants_user_namespace(self, flavor: Flavor) -> bool:
        """Whether a new slot of this flavor gets a user namespace."""
        if not self.backend.supports_user_namespaces:
            return False
        tried = await self.ledger.aread(user_namespaces.all_of)
        return decide(self.catalog, flavor, tried, self.now()).own

    async def record_user_namespaces(
        self, found: Slots, of: Iterable[Slot], tried: Iterable[user_namespaces.NodeSupport]
    ) -> None:
        """Record whether the nodes of these slots support user namespaces."""
        of, now = list(of), self.now()
        self._silences = silent_since(found, of, self._silences, now)
        for seen in new_observations(found, of, tried, now, catalog=self.catalog, silences=self._silences):
            if not seen.works:
                log.warning("flavor %s is used without user namespaces: %s", seen.flavor, seen.detail)
            await self.ledger.awrite(user_namespaces.note, seen)

    async def intend_end(
        self, instance_id: str, reason: EndReason, detail: str | None = None, *, died_at: datetime | None = None
    ) -> None:
        """Write the intent to end an instance and its slots. Does nothing where it is ending already."""

        def write(connection: Connection, detail: str | None) -> None:
            self.intend_end_in(connection, instance_id, reason, detail, died_at=died_at)

        with contextlib.suppress(LostRace):  # it is ending already: the first reason stays
            await self._write_end(write, detail)

    def intend_end_in(
        self,
        connection: Connection,
        instance_id: str,
        reason: EndReason,
        detail: str | None = None,
        *,
        died_at: datetime | None = None,
    ) -> None:
        """Write the intent, and that of a bundle, in the caller's transaction. Raises `LostRace` where the instance is
        ending already."""
        bundle = intend_bundle(
            connection, self.catalog, instance_id, reason, now=self.now(), new_id=self.new_id, new_key=new_key
        )
        self.admission.intend_end(connection, instance_id, reason, detail=detail, died_at=died_at)
        if bundle is not None:
            bundles.intend(connection, bundle)

    async def note_end(
        self, instance_id: str, reason: EndReason, detail: str | None = None, *, died_at: datetime | None = None
    ) -> None:
        """Write that an instance has ended. Its slot stays until the cause is known: see `correct_reason`.

        `died_at`: the end as the backend recorded it.
        """

        def write(connection: Connection, detail: str | None) -> None:
            now = self.now()
            instances.mark_stopping(connection, instance_id, reason=reason, now=now, detail=detail, died_at=died_at)
            settle(connection, instance_id, now=now)
            self.admission.settle(connection, instance_id)

        with contextlib.suppress(LostRace):
            await self._write_end(write, detail)

    async def correct_reason(
        self, instance_id: str, reason: EndReason, detail: str | None = None, *, died_at: datetime | None = None
    ) -> None:
        """Write the cause of an end that `note_end` wrote. Does nothing for any other end: its first reason stays."""

        def write(connection: Connection, detail: str | None) -> None:
            noted = instances.get(connection, instance_id)
            if is_noted_only(noted, slots.of_holder(connection, instance_id)):
                instances.correct_reason(connection, instance_id, reason=reason, detail=detail, died_at=died_at)

        with contextlib.suppress(LostRace):
            await self._write_end(write, detail)

    async def end(
        self, instance_id: str, reason: EndReason, *, detail: str | None = None, died_at: datetime | None = None
    ) -> bool:
        """End an instance: intent, destroy its slots, ENDED. Idempotent; the first reason stays.

        `died_at`: the end as the backend recorded it, where nobody asked for it. Returns False where the backend is
        unreachable: the intent is written, and the steward finishes.
        """
        await self.intend_end(instance_id, reason, detail, died_at=died_at)
        for slot in await self.ledger.aread(slots.of_holder, instance_id):
            if not await self.destroy_slot(slot.id, reason):
                return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(mark_ended, instance_id, now=self.now())
        return True

    async def end_soon(
        self, instance_id: str, reason: EndReason, *, detail: str | None = None, died_at: datetime | None = None
    ) -> None:
        """Write the intent, and destroy the slots in the background.

        The slot is never assigned again, and JupyterHub removes its route and token. If this process ends first, the
        steward finishes.
        """
        await self.intend_end(instance_id, reason, detail, died_at=died_at)
        self._endings.start(self.end(instance_id, reason, detail=detail))

    async def destroy_slot(self, slot_id: str, reason: EndReason, *, detail: str | None = None) -> bool:
        """Destroy a slot and write that it is gone. Idempotent. False where the backend is unreachable."""
        await self._intend_destroy(slot_id, reason, detail)
        if self.before_destroy is not None:
            await self.before_destroy(slot_id)
        try:
            await self.backend.destroy(slot_id)
        except BackendUnavailable as error:
            log.warning("slot %s is not gone yet: %s", slot_id, error)
            return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(slots.mark_gone, slot_id, now=self.now())
        return True

    async def destroy_slot_soon(self, slot_id: str, reason: EndReason, *, detail: str | None = None) -> None:
        """Write the intent to destroy a slot, and destroy it in the background."""
        await self._intend_destroy(slot_id, reason, detail)
        self._endings.start(self.destroy_slot(slot_id, reason))

    async def _intend_destroy(self, slot_id: str, reason: EndReason, detail: str | None) -> None:
        def write(connection: Connection, detail: str | None) -> None:
            slots.mark_destroying(connection, slot_id, reason=reason, detail=detail)

        with contextlib.suppress(LostRace):  # it is being destroyed already; `destroy` is idempotent
            await self._write_end(write, detail)

    async def _write_end(self, write: Callable[[Connection, str | None], None], detail: str | None) -> None:
        """Write an end, without its detail where the database cannot store that: its encoding may lack a character."""
        try:
            await self.ledger.awrite(write, detail)
        except (DataError, UnicodeError):
            if detail is None:
                raise
            log.exception("the detail of an end is left out")
            await self.ledger.awrite(write, None)

    async def assign(self, slot: Slot, ends_at: datetime) -> bool:
        """Mark a slot as assigned in the backend. False where the backend is unreachable.

        Kubernetes can only lower the deadline of a pod. So it is set once, to `ends_at` with all extensions and grace;
        the steward ends the instance at the time that holds.
        """
        sessions = self.catalog.sessions
        moved = timedelta(minutes=sessions.extensions * sessions.extension_minutes + sessions.grace_minutes)
        seconds = (ends_at - slot.created_at + moved + DEADLINE_SLACK).total_seconds()
        try:
            async with asyncio.timeout(ASSIGN_SECONDS):
                await self.backend.assign(slot.id, seconds=seconds)
        except (TimeoutError, BackendUnavailable) as error:
            log.warning("slot %s is assigned, but not yet marked so in the backend: %s", slot.id, error or "no answer")
            return False
        return True

    async def close(self) -> None:
        """Wait for background endings, and close the connections."""
        await self._endings.join()
        await self.backend.close()
        self.ledger.close()

    async def is_running(self, server: Server) -> bool | None:
        """Whether a server's instance runs: True, False, or None where the backend is unreachable.

        A STARTING row of an earlier run of the hub is adopted where its server answers. Else it is ended: its start
        died with that hub.
        """
        instance = await self.ledger.aread(instances.latest, server.person_id, server.server_name)
        if instance is None or instance.state is InstanceState.ENDED:
            return False
        slot_id = instance.slot_id or ""
        try:
            status = (await self.view.now()).get(slot_id)
            if status is None and slot_id:
                status = await self.backend.find(slot_id)  # Confirm absence with an uncached read.
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
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.session.get(url + HEALTH_PATH, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                    answers = (await answer.text()) == "claimed"
        if url is None or not answers:
            await self.intend_end(instance.id, EndReason.LOST)
            return False
        with contextlib.suppress(LostRace):
            await self.ledger.awrite(self.mark_running, instance, url)
        return True

    def limits_of_class(self, connection: Connection, person_id: str) -> ClassLimits:
        """What the person's class may have now."""
        return trust.limits_of(people.find(connection, person_id), self.now(), self.people)

    def longest_session(self, connection: Connection, instance: Instance) -> timedelta:
        """The longest that an instance may run: the shorter of what the policies and the class of its person allow."""
        rights = self.admission.rights(connection, instance.person_id)
        minutes = rights.session_minutes(self.catalog.flavor(instance.flavor))
        limits = self.limits_of_class(connection, instance.person_id)
        return timedelta(minutes=min(minutes, limits.session_minutes or minutes))

    def mark_running(self, connection: Connection, instance: Instance, url: str) -> Instance:
        """Write RUNNING and the deadline: a full session, what is left of it for a restart while others wait, or what
        was set aside of the person's hours."""
        now = self.now()
        ends_at = now + self.longest_session(connection, instance)
        ticket = tickets.of_instance(connection, instance.id)
        if ticket is not None and ticket.ends_by is not None:
            ends_at = min(ends_at, ticket.ends_by)
        ends_at = holds.fit(connection, instance.id, ends_at, now)
        return instances.mark_running(connection, instance.id, url=url, now=now, ends_at=ends_at)


def _log_failed_ending(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.error("an instance or slot has not ended; the steward retries", exc_info=error)
