"""Runs the steward's rounds. Only the holder of the lease acts, so two stewards may run.

Of several hubs on one ledger each has a steward. One of them acts on the pool for all; each serves its own hub's people
by a lease of the hub's.

A round starts when the pool changes, and at least every second: deadlines pass without an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from datetime import datetime, timedelta
from functools import partial

import aiohttp

from spawner import logs
from spawner.aio import KeyedTaskSet
from spawner.bundles.store import Store, StoreRefused, bundles_folder, open_store
from spawner.errors import BackendUnavailable, FreepoolError, LostRace, NoRoom, SlotFailed
from spawner.guard_settings import GuardSettings
from spawner.hub_client import HubClient, open_hub_client
from spawner.hub_settings import HubSettings
from spawner.ledger import EndReason, leases
from spawner.ledger.people import forgetting, newcomers
from spawner.ledger.pool import guard_notes, instances, slots, tickets, user_namespaces
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.ledger.time import charges, grants
from spawner.ledger.transitions import PRUNED_AT_ONCE
from spawner.pool.build import make_pool, new_id
from spawner.pool.pool import Pool
from spawner.pool.slot_view import SlotView
from spawner.pool.templates import version_of
from spawner.pool.user_namespaces import RETENTION
from spawner.pool.warm import actions
from spawner.settings import Settings
from spawner.steward import bans, reconcile
from spawner.steward.activity_reports import ActivityReports
from spawner.steward.allowances import AllowanceKeeper
from spawner.steward.bundles import Bundles
from spawner.steward.channels import keeping_channels
from spawner.steward.deadlines import DeadlineKeeper
from spawner.steward.dispatch import Dispatcher
from spawner.steward.drain import Drain
from spawner.steward.guard import Guard, prune_traffic
from spawner.steward.heartbeat import Heartbeat
from spawner.steward.idle import IdleWatch
from spawner.steward.paid import keeping_paid
from spawner.steward.readings import Readings
from spawner.steward.snapshots import read_demand, read_reconcile
from spawner.steward.webhooks import Webhook

log = logging.getLogger("freepool.steward")
LEASE_DURATION = timedelta(seconds=5)
RENEW_SECONDS = 2.0
LONGEST_ROUND = 30.0
"""Seconds for which a round that goes on keeps the lease."""
ROUND_SECONDS = 1.0
PATIENCE = 1.0
"""Seconds that a round waits for the actions that it has begun. A pod on an unreachable node takes minutes to end;
meanwhile the lease must be renewed and other actions carried out."""
PRUNE_EVERY = timedelta(hours=1)
LONGEST_COUNTING = timedelta(days=30)
"""Charges are kept for at least so long: hours of this week and the last are counted from them."""


def role_of(held: frozenset[str], hub: str) -> str:
    """What a steward does that holds these leases, as the log says it."""
    if leases.STEWARD in held:
        return "the steward works"
    if held:
        return f"the steward serves hub {hub}; another one acts on the pool"
    return "the steward is on standby: another one works"


class Steward:
    """The steward of one pool."""

    def __init__(
        self,
        pool: Pool,
        *,
        holder: str,
        hub: HubClient,
        hub_token: str,
        webhook: Webhook | None = None,
        settings: Settings | None = None,
        kept: Bundles | None = None,
    ) -> None:
        self.pool = pool
        self.holder = holder
        self._tasks = KeyedTaskSet(_log_failure)
        self._rows = OpenRowsReader()
        rules = GuardSettings(note=False) if settings is None else settings.guard
        self._hub = HubSettings() if settings is None else settings.hubs
        readings, reports = Readings(pool), ActivityReports(pool.session, pool.master_key)
        self._dispatcher = Dispatcher(
            pool,
            self._tasks,
            self._rows,
            hub=hub,
            hub_token=hub_token,
            webhook=webhook,
            asks=reports,
            hub_name=self._hub.name,
        )
        self._deadlines = DeadlineKeeper(pool, self._tasks, ask=reports.is_busy)
        self._guard = Guard(pool, rules, hub=hub, hub_token=hub_token, readings=readings, hub_name=self._hub.name)
        self._idle = IdleWatch(pool, readings, reports)
        self._allowances = AllowanceKeeper(pool)
        self._held: frozenset[str] = frozenset()
        self._drain = Drain(pool, self._hub)
        self._settings = settings
        self._kept = kept
        if kept is not None:
            pool.before_destroy = kept.before_destroy
        self._pruned_at: datetime | None = None
        self._cause_pending: dict[str, datetime] = {}

    async def round(self) -> bool:
        """One round. False where another steward holds the pool's lease: then only this hub's people are served."""
        self._held = await self._hold_leases()
        if not self._held:
            return False
        renewing = asyncio.create_task(self._renew_lease())
        try:
            await self._act()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        return self._acts_on_pool

    @property
    def lease_names(self) -> tuple[str, str]:
        """The leases that this steward takes if it can: the pool's, which is one for all hubs, and its hub's."""
        return leases.STEWARD, leases.hub_lease(self._hub.name)

    @property
    def role(self) -> str:
        """What this steward did in its last round, for the log."""
        return role_of(self._held, self._hub.name)

    @property
    def _acts_on_pool(self) -> bool:
        return leases.STEWARD in self._held

    @property
    def _serves_hub(self) -> bool:
        return leases.hub_lease(self._hub.name) in self._held

    async def _hold_leases(self) -> frozenset[str]:
        now, duration = self.pool.now(), LEASE_DURATION
        return await self.pool.ledger.awrite(
            leases.hold_all, self.lease_names, holder=self.holder, now=now, duration=duration
        )

    async def _renew_lease(self) -> None:
        """Keep the lease through a slow round. One that hangs loses it, after `LONGEST_ROUND` at the latest."""
        until = asyncio.get_running_loop().time() + LONGEST_ROUND
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._hold_leases()
            except FreepoolError as error:
                log.warning("the lease could not be renewed: %s", error)

    async def _act(self) -> None:
        if self._acts_on_pool:
            await bans.enforce(self.pool)
            await self._reconcile()
            await self._allowances.round()
        await self._dispatcher.round(serve_pool=self._acts_on_pool, serve_hub=self._serves_hub)
        if self._serves_hub:
            if self._guard.is_due:
                self._tasks.begin("guard", self._guard.look)
            if self._drain.is_due:
                self._tasks.begin("drain", self._drain.move)
        if self._acts_on_pool:
            await self._keep_pool()

    async def _keep_pool(self) -> None:
        await self._keep_warm()
        if self._kept is not None and self._kept.is_due:
            self._tasks.begin("kept files", self._kept.clean_up)
        if self._idle.is_due:
            self._tasks.begin("idle", self._idle.look)
        await self._prune()

    async def _reconcile(self) -> None:
        pool = self.pool
        found = await pool.view.refresh()  # first the backend, then the ledger: see `reconcile.decide`
        snapshot = await pool.ledger.aread(read_reconcile, self._rows)
        drain = snapshot.controls.drain
        closes_at = drain.at if drain else None
        may_end = await self._deadlines.round(snapshot.instances, snapshot.tickets, closes_at)
        now = pool.now()
        await pool.record_user_namespaces(found, snapshot.slots, snapshot.tried)
        self._cause_pending = reconcile.cause_pending_since(found, self._cause_pending, now)
        actions = reconcile.decide(
            slots=snapshot.slots,
            instances=snapshot.instances,
            tickets=snapshot.tickets,
            found=found,
            now=now,
            limits=pool.catalog.limits,
            closes_at=closes_at,
            may_end=may_end,
            cause_pending=self._cause_pending,
            requires_user_namespaces={one.id for one in pool.catalog.flavors if one.pod.host_users is False},
        )
        begun = [self._tasks.begin(_subject(action), partial(self._carry_out, action)) for action in actions]
        tasks = [task for task in begun if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    async def rest(self) -> None:
        """Cancel running actions: their intents are in the ledger, and the next holder of the lease continues them."""
        await self._tasks.cancel()
        if self._kept is not None:
            await self._kept.rest()

    async def _carry_out(self, action: reconcile.Action) -> None:
        pool = self.pool
        subject = _subject(action)
        of_instance = isinstance(action, reconcile.NoteEnd | reconcile.EndInstance)
        with contextlib.suppress(LostRace), logs.about(instance=subject if of_instance else ""):
            match action:
                case reconcile.MarkWarm(slot_id):
                    log.info("slot %s is warm", slot_id)
                    await pool.ledger.awrite(slots.mark_warm, slot_id, now=pool.now())
                case reconcile.DestroySlot(slot_id, reason, detail):
                    log.info("slot %s ends: %s %s", slot_id, reason, detail or "")
                    await pool.destroy_slot(slot_id, reason, detail=detail)
                case reconcile.AssignSlot(slot, ends_at):
                    log.info("slot %s is marked as assigned until %s", slot.id, ends_at)
                    await pool.assign(slot, ends_at)
                case reconcile.NoteEnd(instance_id, reason, detail, died_at):
                    log.info("instance %s has ended, so far as known: %s %s", instance_id, reason, detail or "")
                    await pool.note_end(instance_id, reason, detail, died_at=died_at)
                case reconcile.EndInstance(instance_id, reason, detail, slot_id, corrects, died_at):
                    if slot_id is not None and await pool.backend.find(slot_id) is not None:
                        return  # the snapshot was older than the slot
                    if corrects:
                        await pool.correct_reason(instance_id, reason, detail, died_at=died_at)
                    log.info("instance %s ends: %s %s", instance_id, reason, detail or "")
                    await pool.end(instance_id, reason, detail=detail, died_at=died_at)

    async def _keep_warm(self) -> None:
        pool = self.pool
        now = pool.now()
        snapshot = await pool.ledger.aread(read_demand, self._rows, now=now)
        decisions = actions.decide(
            catalog=pool.catalog,
            backend=pool.backend,
            slots=snapshot.slots,
            failures=snapshot.failures,
            now=now,
            demand=snapshot.demand,
            controls=snapshot.controls,
            tickets=snapshot.tickets,
        )
        for decision in decisions:
            match decision:
                case actions.RemoveSlot(slot_id):
                    await self._remove(slot_id)
                case actions.CreateSlot(flavor, image):
                    slot_id = pool.new_id()
                    log.info("slot %s is created, to be warm: %s with %s", slot_id, flavor.id, image.id)
                    await pool.ledger.awrite(
                        slots.intend,
                        slot_id=slot_id,
                        flavor=flavor.id,
                        image=image.id,
                        holder_id=None,
                        now=now,
                        version=version_of(pool.catalog, pool.backend, flavor, image),
                    )
                    try:
                        user_namespace = await pool.wants_user_namespace(flavor)
                        await pool.backend.create(pool.spec(slot_id, flavor, image, user_namespace=user_namespace))
                    except (SlotFailed, NoRoom) as error:
                        log.warning("a warm slot could not be created: %s", error)
                        reason = EndReason.NO_ROOM if isinstance(error, NoRoom) else EndReason.START_FAILED
                        await pool.destroy_slot_soon(slot_id, reason, detail=error.message)

    async def _remove(self, slot_id: str) -> None:
        try:
            await self.pool.ledger.awrite(slots.withdraw, slot_id)
        except LostRace:
            return  # a start has just claimed it
        log.info("slot %s is removed: more than wanted, or of an older catalog or image", slot_id)
        await self.pool.destroy_slot_soon(slot_id, EndReason.SURPLUS)

    async def _prune(self) -> None:
        now = self.pool.now()
        if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
            return
        # Who had a slot is known as long as the log of its connections is kept.
        log_days = self._settings.network.log_days if self._settings else 0
        before = now - timedelta(days=max(self.pool.catalog.limits.keep_history_days, log_days))
        counts = [
            await self.pool.ledger.awrite(part, before=before) for part in (instances.prune, slots.prune, tickets.prune)
        ]
        await self.pool.ledger.awrite(guard_notes.prune, before=before)
        counting = now - max(timedelta(days=self.pool.catalog.limits.keep_history_days), LONGEST_COUNTING)
        counts += [await self.pool.ledger.awrite(part, before=counting) for part in (charges.prune, grants.prune)]
        if self._settings is not None:
            await asyncio.to_thread(prune_traffic, self._settings)
        await self.pool.ledger.awrite(user_namespaces.prune, before=now - RETENTION)
        await self.pool.ledger.awrite(forgetting.prune, now=now)
        await self.pool.ledger.awrite(newcomers.prune, now=now)
        if max(counts) < PRUNED_AT_ONCE:  # else the next round goes on
            self._pruned_at = now


def _log_failure(subject: str, error: BaseException) -> None:
    if isinstance(error, BackendUnavailable):
        log.warning("work on %s is retried in a later round: %s", subject, error)
    else:
        log.error("work on %s failed and is retried in a later round", subject, exc_info=error)


def _subject(action: reconcile.Action) -> str:
    """The id of the slot or instance that an action is about."""
    match action:
        case reconcile.AssignSlot(slot, _):
            return slot.id
        case reconcile.EndInstance(instance_id) | reconcile.NoteEnd(instance_id):
            return instance_id
        case _:
            return action.slot_id


async def run(settings: Settings) -> None:
    """Run until told to stop (SIGTERM)."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    holder = f"{os.uname().nodename}:{os.getpid()}:{new_id()}"
    async with (
        aiohttp.ClientSession() as session,
        open_hub_client(settings, "steward") as hub,
        keeping_paid(settings, holder),
        keeping_channels(settings, holder),
    ):
        pool = make_pool(settings, session=session, epoch=holder)
        async with pool.view.following():
            notify_url = settings.webhook()
            webhook = Webhook(session, notify_url, settings.public_url) if notify_url else None
            steward = Steward(
                pool,
                holder=holder,
                hub=hub,
                hub_token=settings.secret("steward"),
                webhook=webhook,
                settings=settings,
                kept=Bundles(pool, _store(settings), bundles_folder(settings)),
            )
            await _run_rounds(steward, stopping, Heartbeat(settings.state))
            await steward.rest()
        with contextlib.suppress(FreepoolError):
            for lease in steward.lease_names:
                await pool.ledger.awrite(leases.release, lease, holder=holder)
        await pool.close()


def _store(settings: Settings) -> Store | None:
    try:
        return open_store(settings)
    except (FreepoolError, StoreRefused) as error:
        log.error("no files can be kept: %s", error)
        return None


async def _run_rounds(steward: Steward, stopping: asyncio.Event, heartbeat: Heartbeat) -> None:
    while not stopping.is_set():
        try:
            await steward.round()
            if not heartbeat.is_ready:
                await steward.pool.view.refresh()  # one on standby has not looked at the backend yet
                heartbeat.ready()
                log.info("%s", steward.role)
        except BackendUnavailable as error:
            log.warning("the backend is unreachable, so this round was skipped: %s", error)
        except FreepoolError:
            log.exception("a round failed and is tried again")
        heartbeat.beat()
        await _until_next_round(steward.pool.view, stopping)


async def _until_next_round(view: SlotView, stopping: asyncio.Event) -> None:
    waits = [asyncio.create_task(view.changed()), asyncio.create_task(stopping.wait())]
    await asyncio.wait(waits, timeout=ROUND_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
