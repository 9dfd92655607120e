"""InstanceSpawner: JupyterHub's verbs, passed on to the pool, or to the ledger for what runs in people's own clouds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import Spawner
from jupyterhub.utils import isoformat, url_escape_path, url_path_join, utcnow
from sqlalchemy import inspect
from traitlets import Bool, default

from spawner.aio import Signal
from spawner.errors import FreepoolError, NotAllowed, Refusal, StartFailed
from spawner.hub.context import HubPool, hub_pool
from spawner.hub.paid_server import HubServices, PaidServer, PaidServerKey
from spawner.hub.refusal import SpawnRefused
from spawner.ledger import EndReason
from spawner.ledger.pool import instances
from spawner.paid.orders.service import START_TOKEN, is_paid
from spawner.pool.options import read_options
from spawner.pool.pool import Pool, Server
from spawner.pool.progress import LAST_STEPS, STEP_TEXTS
from spawner.pool.start import Start
from spawner.settings import PaidSettings

SHARED_VARIABLES = "JUPYTERHUB_"
"""Prefix of the variables that an instance is given: the hub's own PATH, virtual environment and the like stay here."""


class InstanceSpawner(Spawner):
    """Lends a slot of the pool to a user for one run of a notebook server.

    A server whose name begins with `paid-` is never the pool's: it is an instance in its person's own cloud.
    """

    named_servers = Bool(
        help="Whether people may start named servers of the pool. They need `c.JupyterHub.allow_named_servers`, which "
        "is on where paid instances are offered."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stepped = Signal()
        self.slot_id: str | None = None

    @property
    def _hub_pool(self) -> HubPool:
        return hub_pool(self.user.settings)

    @property
    def pool(self) -> Pool:
        """The pool of this hub."""
        return self._hub_pool.pool

    @property
    def pool_server(self) -> Server:
        """Whose, and which."""
        return Server(user_name=self.user.name, server_name=self.name)

    @property
    def paid(self) -> PaidServer | None:
        """This server's way to the ledger, where its name says that it is in a person's own cloud."""
        if not is_paid(self.name):
            return None
        context = self._hub_pool
        settings = context.settings
        services = HubServices(
            url=settings.desk_url,
            signing_key=lambda: settings.secret("desk"),
            is_offered=self._is_paid_offered(settings.paid),
            now=context.pool.now,
            is_ending=context.is_ending,
            in_background=context.background.start,
            note_activity=self._note_activity,
        )
        key = PaidServerKey(self.user.name, self.name, user_since=isoformat(self.user.created) or "")
        return PaidServer(context.pool.ledger, key, services)

    def _is_paid_offered(self, paid: PaidSettings | None) -> bool:
        """Not where a script in somebody's notebook could click for them, whatever the hub's own file says."""
        return paid is not None and bool(paid.demo or paid.trust_notebooks or self.user.settings.get("subdomain_host"))

    @default("apply_user_options")
    def _leave_options_to_start(self) -> Any:
        # They are checked in start(): from here JupyterHub would log every typing mistake with a traceback.
        return lambda spawner, options: None  # noqa: ARG005

    def _forget_options(self) -> None:
        """JupyterHub would replay them at the next start; here no options always means the default flavor."""
        self.orm_spawner.user_options = {}
        session = inspect(self.orm_spawner).session
        if session is not None:
            session.commit()

    async def start(self) -> str:
        """Lend an instance and return its URL. Raises `Refused` in words for the user."""
        self._forget_options()
        try:
            return await (self._lend() if self.paid is None else self._start_paid(self.paid))
        except Refusal as refusal:
            raise SpawnRefused(refusal) from refusal
        except FreepoolError as error:
            self.log.exception("start of %s failed", self._log_name)
            raise SpawnRefused(
                StartFailed(
                    "The instance could not be started.",
                    next_step="Try again; if it fails again, tell the operator.",
                    details=" ".join(part for part in (error.message, error.details) if part),
                )
            ) from error

    def _note_activity(self) -> None:
        self.orm_spawner.last_activity = utcnow(with_tz=False)  # as JupyterHub keeps it
        session = inspect(self.orm_spawner).session
        if session is not None:
            session.commit()

    async def _start_paid(self, paid: PaidServer) -> str:
        """Only its own person's request counts, whoever else JupyterHub lets start servers."""
        word = self.user_options.pop(START_TOKEN, None)
        self._revoke_tokens()  # it is given none
        by_owner = self.handler is not None and self.handler.current_user is self.user
        return await paid.start(by_owner=by_owner, word=word)

    async def _lend(self) -> str:
        if self.name and not self.named_servers and self._hub_pool.settings.paid is not None:
            raise NotAllowed("Named servers of the pool are not offered here.", next_step="Start your server.")
        self._revoke_tokens(but=self.api_token)
        environment = {name: value for name, value in self.get_env().items() if name.startswith(SHARED_VARIABLES)}
        start = Start(
            self.pool,
            self.pool_server,
            read_options(self.pool.catalog, self.user_options),
            environment,
            self.server.base_url,
            self._stepped.notify,
            groups=tuple(group.name for group in self.user.groups),
            is_hub_ending=self._hub_pool.is_ending,
        )
        instance = await start.run()
        assert instance.url is not None
        self.slot_id = instance.slot_id
        return instance.url

    def start_polling(self) -> None:
        """It runs: from now on its end is noticed at once."""
        super().start_polling()
        if self.paid is None:
            self._hub_pool.exit_watcher.add(self)

    def stop_polling(self) -> None:
        """JupyterHub is stopping it."""
        self._hub_pool.exit_watcher.remove(self)
        super().stop_polling()

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002  (nothing is kept, so there is nothing to wait for)
        """End the instance. Never raises: what could not be done now is written down, and the steward finishes it."""
        if self.paid is not None:
            return await self.paid.stop()
        try:
            instance = await self.pool.ledger.aread(instances.latest, *self._key)
            if instance is not None:
                await self.pool.end_soon(instance.id, EndReason.STOPPED)
        except Exception:
            self.log.exception("stop of %s is left to the steward", self._log_name)

    def run_post_stop_hook(self) -> Any:
        """It is over, whoever ended it: nothing that it was given is worth anything any more."""
        self._revoke_tokens()
        return super().run_post_stop_hook()

    def _revoke_tokens(self, *, but: str = "") -> None:
        """Take back the API tokens of this server's runs.

        JupyterHub itself does so only where it has not been restarted since: it knows a token from memory.
        """
        session = inspect(self.orm_spawner).session
        if session is None:
            return
        note = f"Server at {url_path_join(self.user.base_url, url_escape_path(self.name), '/')}"
        kept = orm.APIToken.find(session, but) if but else None
        for token in session.query(orm.APIToken).filter_by(user_id=self.user.id, note=note):
            if token is not kept:
                session.delete(token)
        session.commit()

    async def poll(self) -> int | None:
        """None while it runs, and also while nobody can tell: unknown is not stopped."""
        if self.paid is not None:
            return await self.paid.poll()
        try:
            running = await self.pool.is_running(self.pool_server)
        except FreepoolError:
            self.log.exception("poll of %s: unknown", self._log_name)
            return None
        if running and self.slot_id is None:  # this hub has been restarted since it was lent
            instance = await self.pool.ledger.aread(instances.latest, *self._key)
            self.slot_id = instance.slot_id if instance else None
        return 0 if running is False else None

    @property
    def _key(self) -> tuple[str, str]:
        return self.user.name, self.name

    async def get_url(self) -> str:
        """From the ledger, which knows more than the hub after a crash."""
        if self.paid is not None:
            return url_path_join(self.paid.url, self.server.base_url)
        instance = await self.pool.ledger.aread(instances.latest, *self._key)
        if instance is None or instance.url is None:
            return await super().get_url()
        return url_path_join(instance.url, self.server.base_url)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The lines of this start from the first one on, for every tab that asks."""
        if self.paid is not None:
            async for line in self.paid.progress():
                yield line
            return
        seen = 0
        while True:
            stepped = self._stepped.waiter()
            instance = await self.pool.ledger.aread(instances.latest, *self._key)
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
