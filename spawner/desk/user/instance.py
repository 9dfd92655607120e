"""What people do: start, stop, restart, stand in line. Every change is a POST that JupyterHub's own XSRF check has let
through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

from sqlalchemy import Connection

from spawner.desk.http import JsonHandler
from spawner.desk.openapi import EmptyRequest, StartRequest, parse
from spawner.desk.user.snapshot import UserSnapshot
from spawner.errors import FreepoolError, LostRace, NotOffered, Queued
from spawner.hub_client import HubRefused
from spawner.ledger import Instance, InstanceState, Ticket, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.ledger.pool.rows import LIVE
from spawner.pool.options import TICKET, choose
from spawner.pool.queue.admission import SpawnRequest

log = logging.getLogger("freepool.desk")
START_WAIT_SECONDS = 0.8
"""Seconds that a POST waits for a start before it answers 202: a warm start is over by then, and the page shows the
progress of any other."""
STOP_SECONDS = 20
MAX_SNAPSHOT_AGE = timedelta(seconds=0.5)
"""How old the rest of the pool may be in the answer to somebody who joins the line: each of a crowd changes it."""


class SpawnRequestHandler(JsonHandler):
    """Base of what may lead to an instance."""

    def wish(self) -> SpawnRequest:
        """What the request asks for."""
        body = parse(StartRequest, self.request.body)
        choice = choose(self.desk.catalog, body.model_dump())
        why_not = self.desk.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:  # the hub would refuse it too, but knows the reader's language not
            why = why_not[self.language_texts.language.startswith("zh")]
            raise NotOffered("{why}", next_step="Choose another shape or image.", why=why)
        return SpawnRequest(self.user_name, "", choice, groups=tuple((self.current_user or {}).get("groups", ())))

    async def begin(self, ticket: Ticket) -> None:
        """Ask the hub for what a ticket is for; what takes longer than `PATIENCE` is seen in the live state."""
        # Only for that ticket: a stop may overtake the start, and then nobody wants it any more.
        options = {"flavor": ticket.flavor, "image": ticket.image, TICKET: ticket.id}
        if ticket.example:
            options["example"] = ticket.example
        start = asyncio.create_task(self.desk.hub.start(self.user_name, self.hub_auth.get_token(self), options))
        self.desk.starts.add(start)
        start.add_done_callback(self._started)
        done, _ = await asyncio.wait([start], timeout=START_WAIT_SECONDS)
        if done:
            self.accept(start)
        state = await self.state()
        is_running = state.instance is not None and state.instance.state == "running"
        self.answer(state, 201 if is_running else 202)

    @staticmethod
    def accept(start: asyncio.Task[None]) -> None:
        """Raise what the hub refused, except that somebody now stands in line: the state says so."""
        try:
            start.result()
        except HubRefused as said:
            if said.code != Queued.code:
                raise

    def _started(self, start: asyncio.Task[None]) -> None:
        self.desk.starts.discard(start)
        if not start.cancelled() and start.exception() is not None:
            log.info("a start of %s ended: %s", self.user_name, start.exception())


class StartHandler(SpawnRequestHandler):
    """POST /api/instance"""

    async def post(self) -> None:
        """Start, and answer 201 when it runs, or 202 while it is on its way or stands in line."""
        asked = await self.desk.ledger.awrite(self.ask, self.wish())
        if isinstance(asked, Ticket):
            await self.begin(asked)
        else:
            self.answer(await self.describe(asked), 202)

    def ask(self, connection: Connection, wish: SpawnRequest) -> Ticket | UserSnapshot:
        """A ticket whose turn it is, or how things stand in line: in one transaction, because a crowd asks this."""
        if any(loan.server_name == "" and loan.state in LIVE for loan in instances.unended(connection, self.user_name)):
            raise HubRefused(
                409,
                "Your instance is already starting, running or stopping.",
                code="busy",
                next_step="Wait a moment, and look again.",
            )
        ticket = self.desk.admission.ask(connection, wish, by_user=True)
        if ticket.state is TicketState.WAITING:
            return self.desk.snapshots.read(connection, self.user_name, patience=MAX_SNAPSHOT_AGE)
        return ticket


class TicketHandler(SpawnRequestHandler):
    """GET and POST /api/ticket"""

    async def get(self) -> None:
        """Where the user stands in line."""
        self.set_header("Content-Type", "application/json")
        self.finish((await self.state()).model_dump_json(include={"ticket"}))

    async def post(self) -> None:
        """Stand in line for another shape while an instance runs: it is held when it is the user's turn."""
        wish = self.wish()
        await self.desk.ledger.awrite(self.desk.admission.ask, wish, by_user=True)
        self.answer(await self.state(), 202)


class StopHandler(SpawnRequestHandler):
    """POST /api/instance/stop"""

    async def post(self) -> None:
        """Stop what runs or starts, or else leave the line; stopping what is stopped is fine."""
        parse(EmptyRequest, self.request.body)
        unended = await self.desk.ledger.aread(instances.unended, self.user_name)
        if not any(loan.server_name == "" for loan in unended):
            await self.desk.ledger.awrite(self.leave_line, has_waited=False)
        await self.stop_instance()
        self.answer(await self.state())

    def leave_line(self, connection: Connection, *, has_waited: bool) -> bool:
        """Give up places in line, and what was held for them; all, or only those that `has_waited`.

        True where a start has begun for one of them: the caller stops it.
        """
        has_begun = False
        for ticket in tickets.alive(connection, self.user_name):
            if ticket.server_name or (has_waited and not ticket.has_waited):
                continue
            if ticket.instance_id is None:
                self.desk.admission.release(connection, ticket.id, TicketState.CANCELLED)
            else:
                has_begun = True
        return has_begun

    async def stop_instance(self) -> None:
        """Ask the hub, then wait a while for the ledger to say that it is over."""
        await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        while (left := deadline - loop.time()) > 0:
            current = await self.desk.ledger.aread(instances.latest, self.user_name, "")
            if current is None or current.state is InstanceState.ENDED:
                return
            await self.desk.changes.next(seconds=min(left, 1))


class CancelTicketHandler(StopHandler):
    """POST /api/ticket/cancel"""

    async def post(self) -> None:
        """Leave the line, whatever its state; an instance that its ticket has begun is stopped."""
        parse(EmptyRequest, self.request.body)
        if await self.desk.ledger.awrite(self.leave_line, has_waited=True):
            await self.stop_instance()
        self.answer(await self.state())


class ClaimTicketHandler(StopHandler):
    """POST /api/ticket/take"""

    async def post(self) -> None:
        """End what runs, which wipes it, and start what is held for the user."""
        parse(EmptyRequest, self.request.body)
        before = await self.held()
        async with self.desk.restart_locks.take(self.user_name):
            ticket = await self.held()
            if ticket is None and before is None:
                raise HubRefused(
                    409, "Nothing is held for you.", code="not_called", next_step="Wait until it is your turn."
                )
            if ticket is not None and ticket.instance_id is None:
                await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
                await self.begin(ticket)
            else:
                self.answer(await self.state(), 202)  # another tab was first, and its start may be over by now

    async def held(self) -> Ticket | None:
        """The place in line whose turn has come."""
        mine = await self.desk.ledger.aread(tickets.alive, self.user_name)
        return next((one for one in mine if one.state is TicketState.CALLED and one.server_name == ""), None)


class RestartHandler(StopHandler):
    """POST /api/instance/restart"""

    async def post(self) -> None:
        """A restart is a stop, which wipes, and a start of the same kind: never the same slot again."""
        parse(EmptyRequest, self.request.body)
        meant = await self.running()
        if meant is None and not self.desk.restart_locks.is_taken(self.user_name):
            raise HubRefused(
                409,
                "Nothing runs that could be restarted.",
                code="not_running",
                next_step="Start an instance.",
            )
        async with self.desk.restart_locks.take(self.user_name):
            found = await self.running()
            if found is not None and meant is not None and found.id == meant.id:
                await self.restart(found)
            else:
                self.answer(await self.state(), 202)  # another tab was first

    async def running(self) -> Instance | None:
        """What could be restarted."""
        found = await self.desk.ledger.aread(instances.latest, self.user_name, "")
        return found if found is not None and found.state in LIVE else None

    async def restart(self, before: Instance) -> None:
        """Its place is taken before it is given up: to restart must not mean to find the pool full."""
        ticket = await self.desk.ledger.awrite(self.desk.admission.reserve_replacement, before)
        try:
            await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        except FreepoolError:
            with contextlib.suppress(LostRace):  # a start has begun for it all the same
                await self.desk.ledger.awrite(self.desk.admission.release, ticket.id, TicketState.CANCELLED)
            raise
        await self.begin(ticket)
