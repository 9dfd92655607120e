"""The user's API: start, stop, restart, and the ticket in the queue. JupyterHub checks the XSRF token of each POST."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from sqlalchemy import Connection

from spawner.desk.http import JsonHandler
from spawner.desk.requests import EmptyRequest, parse
from spawner.desk.user.http import UserHandler
from spawner.desk.user.requests import StartRequest
from spawner.desk.user.snapshot import UserSnapshot
from spawner.errors import AlreadyRunning, FreepoolError, LostRace, NotAllowed, NotCalled, NotRunning, Queued
from spawner.hub_client import HubRefused
from spawner.ledger import EndReason, Instance, InstanceState, Ticket, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.ledger.pool.rows import LIVE
from spawner.pool.options import choose, ticket_options
from spawner.pool.queue.admission import SpawnRequest
from spawner.pool.queue.responses import not_offered

START_WAIT_SECONDS = 0.8
"""How long a POST waits for a start before it answers 202. A warm start is faster; of a cold one the page shows the
progress."""
STOP_SECONDS = 20
RIGHTS = ("servers", "start:servers", "delete:servers")
"""Scopes of JupyterHub's, any of which a token needs. For an instance the hub then checks which."""
MAX_SNAPSHOT_AGE = timedelta(seconds=0.5)
"""Maximum age of the shared part of the state in the answer to a request that is queued. When many users queue at the
same time, each changes it."""


class SpawnRequestHandler(UserHandler, JsonHandler):
    """Base of handlers that start an instance."""

    async def prepare(self) -> None:
        """Raises `NotAllowed` for a token without a right over the user's servers: tickets are the desk's own."""
        await super().prepare()
        if self.request.method == "POST" and self.current_user is not None and not self._finished:
            name = self.current_user["name"]
            if not self.hub_auth.check_scopes({f"{scope}!user={name}" for scope in RIGHTS}, self.current_user):
                raise NotAllowed(
                    "This token may not start or stop notebooks.", next_step="Use a token with the scope servers."
                )

    def spawn_request(self) -> SpawnRequest:
        """The options of the request. Raises `BadOption`, and `NotOffered` where the pool cannot serve them."""
        body = parse(StartRequest, self.request.body)
        choice = choose(self.desk.catalog, body.model_dump())
        why_not = self.desk.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise not_offered(why_not)
        return SpawnRequest(self.person_id, self.user_name, "", choice)

    async def begin(self, ticket: Ticket) -> None:
        """Have the hub start the instance of a ticket. Answers 201 if it runs after `START_WAIT_SECONDS`, else 202."""
        start = self.desk.starts.start(
            self.desk.hub.start(self.user_name, self.hub_auth.get_token(self), ticket_options(ticket)),
            subject=f"start of user {self.user_name}",
        )
        done, _ = await asyncio.wait([start], timeout=START_WAIT_SECONDS)
        if done and not await self.has_begun(ticket):
            self.raise_refusal(start)
        state = await self.state()
        is_running = state.instance is not None and state.instance.state == "running"
        self.answer(state, 201 if is_running else 202)

    async def has_begun(self, ticket: Ticket) -> bool:
        """Whether the ticket's start is on its way or over: by this request, or by one of another tab."""
        now = await self.desk.ledger.aread(tickets.get, ticket.id)
        return now.instance_id is not None and now.state in (TicketState.CALLED, TicketState.SERVED)

    @staticmethod
    def raise_refusal(start: asyncio.Task[None]) -> None:
        """Raise the hub's refusal, unless it only says that the ticket is queued: the state shows that."""
        try:
            start.result()
        except HubRefused as error:
            if error.code != Queued.code:
                raise


class StartHandler(SpawnRequestHandler):
    """POST /api/instance"""

    async def post(self) -> None:
        """Start. Answers 201 if it runs, 202 while it is starting or queued."""
        admitted = await self.desk.ledger.awrite(self.admit, self.spawn_request())
        if isinstance(admitted, Ticket):
            await self.begin(admitted)
        else:
            self.answer(await self.describe(admitted), 202)

    def admit(self, connection: Connection, request: SpawnRequest) -> Ticket | UserSnapshot:
        """A called ticket, or the user's snapshot if the ticket is queued. Raises `AlreadyRunning`.

        One transaction for both: many users may start at the same time.
        """
        if any(
            instance.server_name == "" and instance.state in LIVE
            for instance in instances.unended(connection, self.person_id)
        ):
            raise AlreadyRunning(
                "Your notebook is already starting, running, or stopping.",
                next_step="Wait a moment, then reload the page.",
            )
        ticket = self.parts.admission.ask(connection, request, by_user=True)
        if ticket.state is TicketState.WAITING:
            return self.parts.snapshots.read(connection, self.person_id, max_age=MAX_SNAPSHOT_AGE)
        return ticket


class TicketHandler(SpawnRequestHandler):
    """GET and POST /api/ticket"""

    async def get(self) -> None:
        """The user's ticket, or null."""
        self.set_header("Content-Type", "application/json")
        self.finish((await self.state()).model_dump_json(include={"ticket"}))

    async def post(self) -> None:
        """Queue for another flavor while an instance runs. When the ticket is called, its slot is held for the user."""
        await self.desk.ledger.awrite(self.parts.admission.ask, self.spawn_request(), by_user=True)
        self.answer(await self.state(), 202)


class StopHandler(SpawnRequestHandler):
    """POST /api/instance/stop"""

    async def post(self) -> None:
        """Stop the instance, or cancel the tickets of a user without one. Without either, it changes nothing."""
        parse(EmptyRequest, self.request.body)
        unended = await self.desk.ledger.aread(instances.unended, self.person_id)
        if not any(instance.server_name == "" for instance in unended):
            await self.desk.ledger.awrite(self.cancel_tickets, has_waited=False)
        await self.stop_instance()
        self.answer(await self.state())

    def cancel_tickets(self, connection: Connection, *, has_waited: bool) -> bool:
        """Cancel the user's tickets and release their slots; with `has_waited`, only tickets that were queued.

        True if one of them has an instance: the caller has to stop it.
        """
        has_instance = False
        for ticket in tickets.alive(connection, self.person_id):
            if ticket.server_name or (has_waited and not ticket.has_waited):
                continue
            if ticket.instance_id is None:
                self.parts.admission.release(connection, ticket.id, TicketState.CANCELLED)
            else:
                has_instance = True
        return has_instance

    async def stop_instance(self) -> None:
        """Ask the hub, and wait up to `STOP_SECONDS` until the ledger has the instance as ended."""
        before = await self.desk.ledger.aread(instances.latest, self.person_id, "")
        has_no_server = await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        if has_no_server and before is not None:
            await self.desk.ledger.awrite(self.end_forgotten, before.id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        while (left := deadline - loop.time()) > 0:
            current = await self.desk.ledger.aread(instances.latest, self.person_id, "")
            if current is None or current.state is InstanceState.ENDED:
                return
            await self.desk.changes.next(seconds=min(left, 1))

    def end_forgotten(self, connection: Connection, instance_id: str) -> None:
        """End an instance that is live in the ledger while JupyterHub has no server of it.

        JupyterHub forgets one where it was killed, or the ledger was away, during a start or a stop. The steward
        destroys the slot.
        """
        with contextlib.suppress(LostRace):  # the hub has just ended it
            self.parts.admission.intend_end(connection, instance_id, EndReason.STOPPED)


class CancelTicketHandler(StopHandler):
    """POST /api/ticket/cancel"""

    async def post(self) -> None:
        """Cancel the queued or called ticket. If it has an instance already, stop that."""
        parse(EmptyRequest, self.request.body)
        if await self.desk.ledger.awrite(self.cancel_tickets, has_waited=True):
            await self.stop_instance()
        self.answer(await self.state())


class ClaimTicketHandler(StopHandler):
    """POST /api/ticket/take"""

    async def post(self) -> None:
        """Stop the running instance, and start the one whose slot is held for the user."""
        parse(EmptyRequest, self.request.body)
        before = await self.called_ticket()
        async with self.parts.restart_locks.hold(self.person_id):
            ticket = await self.called_ticket()
            if ticket is None and before is None:
                raise NotCalled("No notebook is reserved for you.", next_step="Wait until it is your turn.")
            if ticket is not None and ticket.instance_id is None:
                if await self.desk.ledger.awrite(self.parts.admission.leave_for, ticket.id):
                    await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
                await self.begin(ticket)  # refused where the ticket is over
            else:
                self.answer(await self.state(), 202)  # a request of another tab has claimed it already

    async def called_ticket(self) -> Ticket | None:
        """The user's ticket for the default server that was called."""
        own = await self.desk.ledger.aread(tickets.alive, self.person_id)
        called = (ticket for ticket in own if ticket.state is TicketState.CALLED and ticket.server_name == "")
        return next(called, None)


class RestartHandler(StopHandler):
    """POST /api/instance/restart"""

    async def post(self) -> None:
        """Stop the instance, and start one with the same options in another slot. All files are lost."""
        parse(EmptyRequest, self.request.body)
        before = await self.running()
        if before is None and not self.parts.restart_locks.is_held(self.person_id):
            raise NotRunning("There is no running notebook to restart.", next_step="Start a notebook.")
        async with self.parts.restart_locks.hold(self.person_id):
            current = await self.running()
            if current is not None and before is not None and current.id == before.id:
                await self.restart(current)
            else:
                self.answer(await self.state(), 202)  # a request of another tab has restarted it already

    async def running(self) -> Instance | None:
        """The instance to restart."""
        latest = await self.desk.ledger.aread(instances.latest, self.person_id, "")
        return latest if latest is not None and latest.state in LIVE else None

    async def restart(self, before: Instance) -> None:
        """Reserve a slot before the stop, so that a restart never finds the pool full."""
        try:
            ticket = await self.desk.ledger.awrite(self.parts.admission.reserve_replacement, before)
        except LostRace:  # a stop now would end what another request has started since
            self.answer(await self.state(), 202)
            return
        try:
            await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        except FreepoolError:
            with contextlib.suppress(LostRace):  # it has an instance already
                await self.desk.ledger.awrite(self.parts.admission.release, ticket.id, TicketState.CANCELLED)
            raise
        await self.begin(ticket)
