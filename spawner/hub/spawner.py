"""InstanceSpawner: passes JupyterHub's verbs on to the pool, or to the ledger for paid instances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import Spawner
from jupyterhub.utils import url_escape_path, url_path_join, utcnow
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError
from traitlets import Bool, default

from spawner import logs
from spawner.aio import Signal
from spawner.errors import FreepoolError, LedgerError, NotAllowed, PoolError, Refusal, SetupError, StartFailed
from spawner.hub.apps import LEADS_TO_APPS, rules_of
from spawner.hub.context import HubPool, hub_pool
from spawner.hub.paid_server import RETRY_SECONDS, HubServices, PaidServer, PaidServerKey
from spawner.hub.people import hub_people
from spawner.hub.refusal import SpawnRefused
from spawner.hub.terms import require_accepted
from spawner.instance.apps.rules import VARIABLE as RULES_VARIABLE
from spawner.ledger import EndReason, Instance
from spawner.ledger.people.rows import Person
from spawner.ledger.pool import instances
from spawner.paid.names import is_paid
from spawner.paid.orders.service import pop_start_token
from spawner.pool.build import utc_now
from spawner.pool.options import read_options
from spawner.pool.pool import Pool, Server
from spawner.pool.progress import LAST_STEPS, STEP_TEXTS
from spawner.pool.start import Start
from spawner.settings import Settings

SHARED_VARIABLES = "JUPYTERHUB_"
"""Prefix of the variables that identify an instance. The hub's own PATH, virtual environment and others stay there."""

UNKNOWN = (LedgerError, PoolError, SQLAlchemyError, OSError, TimeoutError)
"""What keeps a hub from seeing whether a server runs, where nothing is wrong with hub or settings."""


class InstanceSpawner(Spawner):
    """Assigns a slot of the pool to a user for one run of a notebook server.

    A server whose name begins with `paid-` is an instance in the user's own cloud account, and never in the pool.
    """

    oauth_client_id: str  # JupyterHub's trait
    named_servers = Bool(
        help="Whether people may start named servers of the pool. They need `c.JupyterHub.allow_named_servers`, which "
        "is on where paid instances are offered."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stepped = Signal()
        self.slot_id: str | None = None
        self._person: Person | None = None
        self._last_start_failed = False

    @property
    def is_paid(self) -> bool:
        """Whether the name is a paid server's."""
        return is_paid(self.name)

    @property
    def _hub_pool(self) -> HubPool:
        return hub_pool(self.user.settings)

    @property
    def pool(self) -> Pool:
        """The pool of this hub."""
        return self._hub_pool.pool

    async def person(self, *, again: bool = False) -> Person:
        """Whose server this is. `again`: read it now, as at each start."""
        people_of_hub = hub_people(self.user.settings)
        if self._person is None and not again:  # a hub that comes back asks this for all its servers at once
            self._person = await self._hub_pool.running.person(people_of_hub.user(self.user))
        if self._person is None or again:
            self._person = await people_of_hub.of(people_of_hub.user(self.user))
        return self._person

    @property
    def server_key(self) -> tuple[str, str]:
        """Person and server name; of a person not known yet, an empty id."""
        return (self._person.id if self._person is not None else "", self.name)

    async def pool_server(self) -> Server:
        """This server in the pool."""
        return Server((await self.person()).id, self.user.name, self.name)

    async def paid_server(self) -> PaidServer:
        """The paid server of this name."""
        context = self._hub_pool
        settings = context.settings
        services = HubServices(
            url=settings.gate_url,
            signing_key=lambda: settings.secret("desk"),
            is_offered=self._is_paid_offered(settings),
            now=context.pool.now,
            is_ending=context.is_ending,
            in_background=context.background.start,
            note_activity=self._note_activity,
        )
        key = PaidServerKey((await self.person()).id, self.name)
        return PaidServer(context.pool.ledger, key, services)

    def _is_paid_offered(self, settings: Settings) -> bool:
        """Not where a script in a user's notebook could act on the desk's pages, whatever the hub's own file says."""
        has_hosts = bool(self.user.settings.get("subdomain_host"))
        return settings.paid is not None and (has_hosts or settings.trusts_notebooks)

    @default("apply_user_options")
    def _leave_options_to_start(self) -> Any:
        # They are checked in start(): JupyterHub would log each bad option with a traceback here.
        return lambda spawner, options: None  # noqa: ARG005

    def _forget_options(self) -> None:
        """JupyterHub would use them again at the next start; here no options always mean the default flavor."""
        self.orm_spawner.user_options = {}
        session = inspect(self.orm_spawner).session
        if session is not None:
            session.commit()

    def clear_state(self) -> None:
        """JupyterHub calls this at each start, and then makes the server's OAuth client."""
        super().clear_state()
        self._avoid_client_of_another()

    def _avoid_client_of_another(self) -> None:
        """JupyterHub names OAuth clients after users. The server of a user who was renamed keeps the old name's."""
        session, client_id = inspect(self.orm_spawner).session, str(self.oauth_client_id)
        client = session and session.query(orm.OAuthClient).filter_by(identifier=client_id).one_or_none()
        if client is not None and client.spawner not in (None, self.orm_spawner):
            self.oauth_client_id = f"{client_id}!{self.user.id}"

    async def start(self) -> str:
        """Assign an instance and return its URL. Raises `SpawnRefused` with a message for the user."""
        self._last_start_failed = True
        url = await self._start()
        self._last_start_failed = False
        return url

    async def _start(self) -> str:
        self._forget_options()
        try:
            person = await self.person(again=True)
            logs.note(person=person.id)
            await hub_people(self.user.settings).record_groups(person, self.user)
            await require_accepted(self._hub_pool, person, getattr(self.handler, "current_user", None))
            return await (self._start_paid(await self.paid_server()) if self.is_paid else self._assign())
        except Refusal as refusal:
            raise SpawnRefused(refusal) from refusal
        except FreepoolError as error:
            self.log.exception("start of %s failed", self._log_name)
            # What is wrong with the installation names its files, and is for its log only.
            shown = () if isinstance(error, SetupError) else (error.message, error.details)
            raise SpawnRefused(
                StartFailed(
                    "The notebook could not be started.",
                    next_step="Try again. If it fails again, contact the administrator.",
                    details=" ".join(part for part in shown if part),
                )
            ) from error

    def _note_activity(self) -> None:
        self.orm_spawner.last_activity = utcnow(with_tz=False)  # naive UTC, as in JupyterHub's database
        session = inspect(self.orm_spawner).session
        if session is not None:
            session.commit()

    async def _start_paid(self, paid: PaidServer) -> str:
        """Start it only on the owner's own request, although JupyterHub lets administrators start servers."""
        token = pop_start_token(self.user_options)
        self._revoke_tokens()  # a paid instance gets no token
        by_owner = self.handler is not None and self.handler.current_user is self.user
        return await paid.start(by_owner=by_owner, token=token)

    async def _assign(self) -> str:
        if self.name and not self.named_servers and self._hub_pool.settings.paid is not None:
            raise NotAllowed("Free named servers are not available here.", next_step="Start your default server.")
        self._revoke_tokens(but=self.api_token)
        start = Start(
            self.pool,
            await self.pool_server(),
            read_options(self.pool.catalog, self.user_options),
            self._instance_environment(),
            self.server.base_url,
            self._stepped.notify,
            is_hub_ending=self._hub_pool.is_ending,
        )
        if self.handler is not None:
            start.times.spent_before(self.handler.request.request_time())
        instance = await start.run()
        self.log.info("%s: the notebook answers after %s", self._log_name, start.times)
        assert instance.url is not None
        self.slot_id = instance.slot_id
        return instance.url

    def _instance_environment(self) -> dict[str, str]:
        """Variables of the instance: the catalog's, the hub's own file's, and those that identify it to the hub."""
        shared = {
            name: str(value)
            for name, value in self.get_env().items()
            if name.startswith(SHARED_VARIABLES) or name in self.environment
        }
        settings = self._hub_pool.settings
        has_hosts = bool(self.user.settings.get("subdomain_host"))
        rules = rules_of(
            settings,
            user_url=self.user.host if has_hosts else "",
            path=self.server.base_url,
            leads_to_apps=bool(self.user.settings.get(LEADS_TO_APPS)) and not self.name,
        )
        own = {"FREEPOOL_DESK_URL": settings.desk_url_of_instances, RULES_VARIABLE: rules.to_json()}
        return {**self.pool.catalog.environment, **shared, **own}

    def start_polling(self) -> None:
        """The server runs: watch for its end. JupyterHub's own polls are for paid servers, which no watch shows."""
        if self.is_paid:
            super().start_polling()
        else:
            self._hub_pool.exit_watcher.add(self)

    def stop_polling(self) -> None:
        """JupyterHub is stopping the server."""
        self._hub_pool.exit_watcher.remove(self)
        super().stop_polling()

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002  (nothing is kept, so `now` makes no difference)
        """End the instance. Never raises: a failed write of the intent is retried, and the steward finishes."""
        requested_at = utc_now()
        try:
            requested_at = self.pool.now()
            await self._end(requested_at)
        except SetupError:
            self.log.exception("%s cannot be stopped: this hub has no pool", self._log_name)
        except Exception:
            self.log.exception("the stop of %s is not written yet", self._log_name)
            self._hub_pool.background.start(self._retry_end(requested_at), subject=f"stop of {self._log_name}")

    async def _end(self, requested_at: datetime) -> None:
        """End the server's instance, but none that was requested after the stop."""
        if self.is_paid:
            return await (await self.paid_server()).stop()
        instance = await self._latest()
        if instance is not None and instance.requested_at <= requested_at:
            await self.pool.end_soon(instance.id, EndReason.STOPPED)

    async def _retry_end(self, requested_at: datetime) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)  # the ledger has no event for its return
            try:
                return await self._end(requested_at)
            except LedgerError as error:
                self.log.warning("the stop of %s is still not written: %s", self._log_name, error.message)

    def run_post_stop_hook(self) -> Any:
        """Revoke the server's tokens, however it ended."""
        self._revoke_tokens()
        return super().run_post_stop_hook()

    def _revoke_tokens(self, *, but: str = "") -> None:
        """Revoke the API tokens of this server's runs, except `but`.

        JupyterHub revokes a token only if it has not been restarted since it issued it.
        """
        session = inspect(self.orm_spawner).session
        if session is None:
            return
        kept = orm.APIToken.find(session, but) if but else None
        for token in session.query(orm.APIToken).filter_by(user_id=self.user.id):
            if token is not kept and _is_of_server(token.note or "", self.name):
                session.delete(token)
        session.commit()

    async def poll(self) -> int | None:
        """None while it runs, and while its state is unknown; 0 where it has ended.

        Raises nothing: a hub that starts takes an exception for the end of the server, and stops it. A server whose
        last start failed in this hub never counts as running.
        """
        try:
            if self.is_paid:
                return await (await self.paid_server()).poll()
            if await self._is_surely_running():
                return None
            running = await self.pool.is_running(await self.pool_server())
            if running and self.slot_id is None:  # this hub has been restarted since the start
                instance = await self._latest()
                self.slot_id = instance.slot_id if instance else None
        except UNKNOWN as error:
            self.log.warning("the state of %s is unknown: %s", self._log_name, error)
            return 0 if self._last_start_failed and not self.is_paid else None
        except Exception:
            self.log.exception("a bug: %s cannot be polled; its state is unknown", self._log_name)
            return 0 if self._last_start_failed and not self.is_paid else None
        return 0 if running is False else None

    async def _is_surely_running(self) -> bool:
        """Whether the snapshot that all servers share says so."""
        found = await self._hub_pool.running.instance((await self.person()).id, self.name)
        if found is not None and self.slot_id is None:  # this hub has been restarted since the start
            self.slot_id = found.slot_id
        return found is not None and found.slot_id == self.slot_id

    async def _latest(self) -> Instance | None:
        return await self.pool.ledger.aread(instances.latest, (await self.person()).id, self.name)

    async def get_url(self) -> str:
        """The URL in the ledger: after a crash the hub's own record may be older. That record, if it cannot be read."""
        try:
            if self.is_paid:
                return url_path_join(self._hub_pool.settings.gate_url, self.server.base_url)
            served = await self._hub_pool.running.instance((await self.person()).id, self.name)
            instance = served or await self._latest()
        except Exception:
            self.log.exception("the ledger's URL of %s cannot be read", self._log_name)
            instance = None
        if instance is None or instance.url is None:
            return await super().get_url()
        return url_path_join(instance.url, self.server.base_url)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The progress events of this start, from the first, for each caller."""
        if self.is_paid:
            async for line in (await self.paid_server()).progress():
                yield line
            return
        seen = 0
        while True:
            stepped = self._stepped.waiter()
            instance = await self._latest()
            events = (
                [] if instance is None else await self.pool.ledger.aread(instances.events_of, instance.id, after=seen)
            )
            for event in events:
                seen = event.seq
                percent, sentence = STEP_TEXTS[event.step]
                yield {"progress": percent, "message": sentence}
                if event.step in LAST_STEPS:
                    return
            await asyncio.wait([stepped])


def _is_of_server(note: str, server_name: str) -> bool:
    """Whether JupyterHub made a token for a server of this name, under whatever name its user had then."""
    prefix, _, path = note.partition("/user/")
    return prefix.startswith("Server at ") and path.rstrip("/").split("/")[1:] == [
        part for part in (url_escape_path(server_name),) if part
    ]
