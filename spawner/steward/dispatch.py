"""Dispatches the queue: calls tickets, has the hub start their instances, notifies the webhook, and ends instances that
their user did not come for.

Of several hubs, one steward calls the tickets of all. The start of an instance, the question whether its user has come,
and the webhook are for the steward of the user's own hub.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from spawner.aio import KeyedTaskSet
from spawner.errors import LostRace, NoHours
from spawner.hub_client import HubClient, HubRefused
from spawner.hub_settings import MAIN_HUB
from spawner.ledger import EndReason, Instance, Ticket, TicketState
from spawner.ledger.people import people
from spawner.ledger.pool import instances, tickets
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.pool.keeping import has_agent
from spawner.pool.options import ticket_options
from spawner.pool.policies import refusal_of
from spawner.pool.pool import Pool
from spawner.pool.time.idle.report import Report
from spawner.pool.time.refusals import TICKET_ENDED
from spawner.steward import queue_actions
from spawner.steward.snapshots import QueueSnapshot, read_queue
from spawner.steward.webhooks import MAX_AGE, Webhook

log = logging.getLogger("freepool.steward")
RETRY_AFTER = timedelta(seconds=5)
"""Between attempts at the same action for the same ticket."""
START_ACTIVITY = timedelta(seconds=10)
"""JupyterHub counts a start as activity for so long. Whether somebody came meanwhile, only the instance can say."""
ACTIVITY_DELAY = timedelta(seconds=10)
"""The hub learns of activity from the proxy every 5 s, so it may be known only after this."""


class Asks(Protocol):
    """Asks an instance how it is used."""

    async def of(self, instance: Instance) -> Report | None:
        """What it says; None where it does not answer."""
        ...


class Dispatcher:
    """Carries out the actions of `queue_actions`."""

    def __init__(
        self,
        pool: Pool,
        tasks: KeyedTaskSet,
        rows: OpenRowsReader,
        *,
        hub: HubClient,
        hub_token: str,
        webhook: Webhook | None,
        asks: Asks,
        hub_name: str = MAIN_HUB,
    ) -> None:
        self._hub_name = hub_name
        self._pool = pool
        self._rows = rows
        self._tasks = tasks
        self._hub = hub
        self._hub_token = hub_token
        self._webhook = webhook
        self._asks = asks
        self._tried: dict[str, datetime] = {}

    async def round(self, *, serve_pool: bool = True, serve_hub: bool = True) -> None:
        """Call the tickets that are due, and carry out what open tickets need.

        `serve_pool`: do what one steward does for all hubs. `serve_hub`: do what each steward does for its own hub.
        """
        for _ in range(2):  # the second pass starts the tickets that the first has called
            if not await self._pass(serve_pool=serve_pool, serve_hub=serve_hub):
                return

    async def _pass(self, *, serve_pool: bool, serve_hub: bool) -> bool:
        """One pass. True where a ticket was called."""
        pool = self._pool
        now = pool.now()
        snapshot = await pool.ledger.aread(read_queue, self._rows, told_since=now - MAX_AGE, hub=self._hub_name)
        for action in queue_actions.decide(
            snapshot.tickets,
            slots=snapshot.slots,
            instances=snapshot.instances,
            catalog=pool.catalog,
            now=now,
            groups=snapshot.groups,
        ):
            if isinstance(action, queue_actions.StartTicket):
                is_ours = serve_hub and action.ticket.person_id not in snapshot.people_of_other_hubs
            else:
                is_ours = serve_pool
            if is_ours:
                with contextlib.suppress(LostRace):  # the user was faster
                    await self._carry_out(action)
        if serve_hub:
            self._serve_hub(snapshot, now)
        if not serve_pool or not any(ticket.state is TicketState.WAITING for ticket in snapshot.tickets):
            return False
        is_due = await pool.ledger.aread(pool.admission.has_due_ticket)
        return is_due and bool(await pool.ledger.awrite(pool.admission.call_due))

    def _serve_hub(self, snapshot: QueueSnapshot, now: datetime) -> None:
        """What the hub's own people need besides: it alone knows whether they have come."""
        pool = self._pool
        hold = timedelta(seconds=pool.catalog.queue.hold_seconds) + START_ACTIVITY + ACTIVITY_DELAY
        for ticket in queue_actions.unclaimed(snapshot.uncollected, snapshot.tickets, now=now, hold=hold):
            if ticket.person_id not in snapshot.people_of_other_hubs:
                self._tasks.begin(ticket.id, partial(self._check_collected, ticket))
        if self._webhook:
            for ticket in queue_actions.to_notify(snapshot.untold, snapshot.instances):
                if ticket.person_id not in snapshot.people_of_other_hubs:
                    self._try(f"notification of {ticket.id}", partial(self._notify, ticket))

    async def _carry_out(self, action: queue_actions.Action) -> None:
        pool, ticket = self._pool, action.ticket
        match action:
            case queue_actions.SettleTicket(_, instance_id):
                await pool.ledger.awrite(pool.admission.settle, instance_id)
            case queue_actions.RequeueTicket():
                log.info("ticket %s is queued again: its slot is lost", ticket.id)
                await pool.ledger.awrite(pool.admission.put_back, ticket)
            case queue_actions.ExpireTicket():
                log.info("ticket %s expires: its user did not come", ticket.id)
                await pool.ledger.awrite(pool.admission.release, ticket.id, TicketState.EXPIRED)
            case queue_actions.FailTicket():
                log.info(
                    "ticket %s fails: %s with %s is not in the catalog any more", ticket.id, ticket.flavor, ticket.image
                )
                await pool.ledger.awrite(pool.admission.release, ticket.id, TicketState.FAILED)
            case queue_actions.RefuseTicket(_, denial):
                refusal = refusal_of(denial)
                log.info("ticket %s fails: %s", ticket.id, refusal.message)
                await pool.ledger.awrite(pool.admission.release, ticket.id, TicketState.FAILED, detail=refusal.message)
            case queue_actions.StartTicket():
                self._try(ticket.id, partial(self._ask_hub, ticket))

    def _try(self, subject: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin `work`, unless it began less than `RETRY_AFTER` ago for this subject."""
        now = self._pool.now()
        self._tried = {known: at for known, at in self._tried.items() if now - at < RETRY_AFTER}
        if subject not in self._tried:
            self._tried[subject] = now
            self._tasks.begin(subject, work)

    async def _ask_hub(self, ticket: Ticket) -> None:
        """Have the hub start the ticket's instance, with the steward's own token."""
        options = ticket_options(ticket)
        try:
            await self._hub.start(await self._name(ticket), self._hub_token, options, server_name=ticket.server_name)
        except HubRefused as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                await self._pool.ledger.awrite(
                    self._pool.admission.release,
                    ticket.id,
                    TicketState.FAILED,
                    detail="the user is not there any more",
                )
            elif refusal.code == NoHours.code:  # used up since the call
                log.info("ticket %s ends: %s", ticket.id, refusal.message)
                await self._pool.ledger.awrite(
                    self._pool.admission.release, ticket.id, TicketState.FAILED, detail=TICKET_ENDED
                )
            elif refusal.code != "busy":
                log.warning("the start of %s for %s: %s", ticket.id, ticket.user_name, refusal)
                if ticket.hold_until and ticket.hold_until <= self._pool.now():  # refused until the hold time was over
                    await self._pool.ledger.awrite(
                        self._pool.admission.release, ticket.id, TicketState.EXPIRED, detail=refusal.message
                    )

    async def _name(self, ticket: Ticket) -> str:
        """The name that JupyterHub has now for the person of a ticket."""
        return (await self._pool.ledger.aread(people.get, ticket.person_id)).hub_name

    async def _check_collected(self, ticket: Ticket) -> None:
        """End a running instance that its user never opened; else note that they came.

        Does nothing where that is not known: the next round asks again.
        """
        assert ticket.instance_id is not None
        has_come = await self._has_come(ticket, ticket.instance_id)
        if has_come is None:
            return
        if not has_come:
            log.info("instance %s ends: its user did not come", ticket.instance_id)
            await self._pool.end(ticket.instance_id, EndReason.NOT_COLLECTED)
        with contextlib.suppress(LostRace):
            await self._pool.ledger.awrite(tickets.collect, ticket.id, now=self._pool.now())

    async def _has_come(self, ticket: Ticket, instance_id: str) -> bool | None:
        """Whether the user of a served ticket has opened it; None where neither hub nor instance can say now."""
        assert ticket.served_at is not None
        seen = await self._hub.last_activity(await self._name(ticket), self._hub_token, server_name=ticket.server_name)
        if seen is None or seen >= ticket.served_at + START_ACTIVITY:
            return True
        instance = await self._pool.ledger.aread(instances.get, instance_id)
        if not has_agent(self._pool.catalog, instance.image):
            return False
        report = await self._asks.of(instance)
        if report is None:
            return None
        return bool(report.opened)

    async def _notify(self, ticket: Ticket) -> None:
        assert self._webhook is not None
        if await self._webhook.tell(replace(ticket, user_name=await self._name(ticket))):
            await self._pool.ledger.awrite(tickets.note_told, ticket.id, now=self._pool.now())
