"""One start: commit the intent and admit it, bring a slot up, return the RUNNING instance.

    intent (row) > slot (claimed or created) > claim (pushed) > answer (HTTP) > RUNNING (row)

Each step is committed before the next one acts on the backend. So after a crash the ledger knows what may exist.
`bring_up.py` has the steps from the slot on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from spawner import logs
from spawner.errors import LostRace, NoRoom, PoolFull, Refusal, StartCancelled
from spawner.ledger import EndReason, Instance, StartStep, Ticket, TicketState
from spawner.ledger.people import bans
from spawner.ledger.pool import instances, slots, tickets
from spawner.pool.backends.base import Phase, Slots
from spawner.pool.bring_up import BringUp
from spawner.pool.noted_ends import reason_of_running
from spawner.pool.options import CalledTicket, Choice
from spawner.pool.policies import refuse_denied, rights_in
from spawner.pool.pool import Pool, Server
from spawner.pool.queue.admission import QueuePosition, SpawnRequest
from spawner.pool.queue.responses import NO_MACHINE, not_offered, queued
from spawner.pool.start_times import StartTimes
from spawner.pool.time import holds

END_CAUSE_SECONDS = 5.0
"""How long a start waits for the cause of the earlier instance's end. A node writes it within two seconds."""


@dataclass(frozen=True)
class Start:
    """One start of one server.

    `request` is a choice that is still to be admitted, or a ticket that was admitted and called before. `environment`
    is the server's, as JupyterHub made it. `prefix` is the server's base path, such as `/user/ann/`. `on_step` is
    called after each committed step. `is_hub_ending` is called where the start is cancelled: it tells a hub shutdown
    from a stop by the user. `times` is where the parts' times are noted.
    """

    pool: Pool
    server: Server
    request: Choice | CalledTicket
    environment: Mapping[str, str]
    prefix: str
    on_step: Callable[[], None]
    is_hub_ending: Callable[[], bool] = lambda: False
    times: StartTimes = field(default_factory=StartTimes)

    async def run(self) -> Instance:
        """Assign an instance and return it RUNNING.

        Raises `Refusal` with a message for the user. However this ends, the ledger lists what must be cleaned up.
        """
        instance, choice = await self._admit()
        self.times.end("admission")
        logs.note(person=instance.person_id, instance=instance.id)
        self.on_step()
        try:
            bring_up = BringUp(self.pool, instance, choice, self.environment, self.prefix, self.on_step, self.times)
            return await bring_up.run()
        except asyncio.CancelledError:
            # JupyterHub cancels a start that is stopped or late, and then calls stop(). So write only the intent.
            await asyncio.sleep(0)  # Yield once so that hub shutdown is visible.
            reason = EndReason.SHUTDOWN if self.is_hub_ending() else EndReason.CANCELLED
            await self.pool.intend_end(instance.id, reason)
            raise
        except LostRace as error:
            await self.pool.end_soon(instance.id, EndReason.CANCELLED)
            raise _cancelled() from error
        except NoRoom as error:
            await self.pool.end_soon(instance.id, EndReason.NO_ROOM, detail=error.details)
            raise await self._no_room_response(instance, error) from error
        except Exception as error:
            detail = (error.details or error.message) if isinstance(error, Refusal) else str(error)
            await self.pool.end_soon(instance.id, EndReason.START_FAILED, detail=detail)
            raise

    async def _admit(self) -> tuple[Instance, Choice]:
        """Commit the intent. Raises `Queued` where the request has to wait, `NotOffered`, `StartCancelled`."""
        if isinstance(self.request, Choice):
            self._check_offered(self.request)
        await self._supersede()
        instance_id = self.pool.new_id()

        def write(connection: Connection) -> tuple[Instance, Choice] | QueuePosition:
            ticket = self._ticket(connection)
            if ticket.state is TicketState.WAITING:
                return self.pool.admission.position_of(connection, ticket)
            choice = self.request if isinstance(self.request, Choice) else self._choice_of(ticket)
            return self._write_intent(connection, ticket, choice, instance_id), choice

        admitted = await self.pool.ledger.awrite(write)
        if isinstance(admitted, QueuePosition):
            raise queued(admitted)
        return admitted

    def _ticket(self, connection: Connection) -> Ticket:
        """The ticket to start: the called one, or the one that admission gives to a new choice."""
        if isinstance(self.request, Choice):
            request = SpawnRequest(self.server.person_id, self.server.user_name, self.server.server_name, self.request)
            return self.pool.admission.ask(connection, request)
        bans.refuse_banned(connection, self.server.person_id, now=self.pool.now())
        if tickets.is_called(connection, self.request.ticket_id):
            ticket = tickets.get(connection, self.request.ticket_id)
            if (ticket.person_id, ticket.server_name) == (self.server.person_id, self.server.server_name):
                # A policy or a group may have changed since the call. The steward then ends the ticket.
                rights = rights_in(connection, self.pool.catalog, ticket.person_id)
                refuse_denied(rights.denial(ticket.flavor, ticket.image))
                return ticket
        raise _cancelled()  # The user has given it up, or it expired; or it is the ticket of another server.

    def _choice_of(self, ticket: Ticket) -> Choice:
        choice = Choice.of_ticket(self.pool.catalog, ticket)
        self._check_offered(choice)
        return choice

    def _check_offered(self, choice: Choice) -> None:
        why_not = self.pool.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise not_offered(why_not)

    def _write_intent(self, connection: Connection, ticket: Ticket, choice: Choice, instance_id: str) -> Instance:
        pool, at_most = self.pool, self.pool.catalog.limits.instances_per_user
        limits = pool.limits_of_class(connection, self.server.person_id)
        instance = instances.request(
            connection,
            instance_id=instance_id,
            person_id=self.server.person_id,
            user_name=self.server.user_name,
            server_name=self.server.server_name,
            flavor=choice.flavor.id,
            image=choice.image.id,
            example=choice.example.id if choice.example else None,
            hub_epoch=pool.hub_epoch,
            now=pool.now(),
            at_most=min(at_most, limits.instances or at_most),
        )
        holds.take(
            connection,
            pool.catalog,
            instance_id=instance_id,
            person_id=self.server.person_id,
            flavor=choice.flavor,
            session=pool.longest_session(connection, instance),
            now=pool.now(),
            new_id=pool.new_id,
        )
        tickets.begin(connection, ticket.id, instance_id=instance_id)
        slots.transfer(connection, ticket_id=ticket.id, instance_id=instance_id)
        instances.add_event(connection, instance_id, StartStep.REQUESTED, now=pool.now())
        return instance

    async def _no_room_response(self, instance: Instance, error: NoRoom) -> Refusal:
        """The refusal where the cluster has no room although the catalog's limits allow it: the place in the queue."""

        def read_position(connection: Connection) -> QueuePosition | None:
            open_tickets = tickets.alive(connection, self.server.person_id)
            waiting = next((ticket for ticket in open_tickets if ticket.state is TicketState.WAITING), None)
            return None if waiting is None else self.pool.admission.position_of(connection, waiting)

        position = await self.pool.ledger.aread(read_position)
        if position is not None:
            return queued(position, why=NO_MACHINE, details=error.details)
        return PoolFull(
            NO_MACHINE,
            next_step="Try another machine type, or come back later.",
            flavor=instance.flavor,
            details=error.details,
        )

    async def _supersede(self) -> None:
        """End what the ledger still has of this server: JupyterHub starts it, so JupyterHub knows of no running one."""
        for leftover in await self.pool.ledger.aread(instances.unended, self.server.person_id):
            if leftover.server_name == self.server.server_name:
                reason, detail, died_at = await self._end_cause(leftover)
                if reason is not EndReason.SUPERSEDED:
                    await self.pool.correct_reason(leftover.id, reason, detail, died_at=died_at)
                await self.pool.end_soon(leftover.id, reason, detail=detail, died_at=died_at)

    async def _end_cause(self, leftover: Instance) -> tuple[EndReason, str | None, datetime | None]:
        """Why an earlier instance of this server is over, and since when, where the backend recorded it.

        Where its slot has died it is the slot's reason, so a user who starts again at once still reads it. The final
        reason may follow the end by seconds.
        """
        slot_id = leftover.slot_id or ""

        def is_final(current: Slots) -> bool:
            status = current.get(slot_id)
            return status is None or status.phase is not Phase.DEAD or status.is_final

        with contextlib.suppress(TimeoutError):
            await self.pool.view.wait_until(is_final, seconds=END_CAUSE_SECONDS)
        status = self.pool.view.last_seen.get(slot_id)
        if status is None or status.phase is not Phase.DEAD:
            return EndReason.SUPERSEDED, None, None
        has_run = leftover.usable_at is not None
        reason = reason_of_running(status) if has_run else status.reason or EndReason.CRASHED
        return reason, status.detail or None, status.died_at


def _cancelled() -> StartCancelled:
    return StartCancelled("Start cancelled.", next_step="Start a notebook.")
