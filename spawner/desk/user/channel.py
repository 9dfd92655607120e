"""The page on which users say how they are reached when they have no page open. It works without a script."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from tornado.web import HTTPError

from spawner.channels import requests, targets
from spawner.channels.keys import SECRET, ChannelKeys
from spawner.channels.undelivered import PLATFORM_FAILURES, WORDS, details_of, failure_of
from spawner.client_address import network_of
from spawner.desk.requests import form_fields
from spawner.desk.user.http import UserHandler
from spawner.errors import BadOption, Conflict, FreepoolError, RateLimited
from spawner.ledger.channels import channels
from spawner.ledger.channels.rows import CHOOSABLE, Channel, ChannelKind, MessageEvent
from spawner.pool.build import new_id, utc_now
from spawner.rate_limits.buckets import Buckets
from spawner.rate_settings import Rate

FROM_ONE_NETWORK = Rate(burst=60, per_minute=0.5)
"""Addresses that are entered from one client address: of all its users together."""
EVENTS: dict[MessageEvent, str] = {
    MessageEvent.YOUR_TURN: "It is my turn in the queue",
    MessageEvent.DEADLINE: "My notebook is about to reach its time limit",
    MessageEvent.IDLE: "My notebook is idle and will be stopped",
    MessageEvent.ENDED: "My notebook has ended, and I did not stop it",
    MessageEvent.BANNED: "My account is banned",
    MessageEvent.PAID: "News about my paid notebooks",
}
TITLES: dict[ChannelKind, str] = {ChannelKind.EMAIL: "E-mail", ChannelKind.WEBHOOK: "Webhook"}


@dataclass(frozen=True)
class ChannelForm:
    """One kind of channel on the page. `problem` and `address` are of a form that was refused."""

    kind: ChannelKind
    title: str
    channel: Channel | None
    address: str
    chosen: frozenset[str]
    secret: str = ""
    failing: str = ""
    details: str = ""
    problem: str = ""


class ChannelHandler(UserHandler):
    """Base of the page and of its forms. 404 where the platform sends no messages."""

    async def prepare(self) -> None:
        """Nothing is offered where nothing is set."""
        await super().prepare()
        if not self._finished and not self.desk.settings.channels.is_on:
            raise HTTPError(404)

    @property
    def keys(self) -> ChannelKeys:
        """What derives from the secret of channels."""
        return ChannelKeys(self.desk.settings.secret(SECRET))

    @property
    def kinds(self) -> list[ChannelKind]:
        """What the platform offers."""
        given = self.desk.settings.channels
        return [ChannelKind.EMAIL] * (given.mail is not None) + [ChannelKind.WEBHOOK] * given.webhooks

    @property
    def events(self) -> list[MessageEvent]:
        """What users choose from here."""
        has_paid = self.desk.settings.paid is not None and self.desk.settings.guards_pages
        return [event for event in CHOOSABLE if has_paid or event is not MessageEvent.PAID]

    async def own_channel(self) -> Channel:
        """The user's channel that the form names; 404 where it is gone, or another user's."""
        found = await self.desk.ledger.aread(channels.find, form_fields(self).get("channel", "")[:32])
        if found is None or found.person_id != self.person_id:
            raise HTTPError(404)
        return found

    async def show(self, *, problem: FreepoolError | None = None, refused: Mapping[str, str] | None = None) -> None:
        """Send the page. `refused`: the fields of a form that was not accepted because of `problem`."""
        found = {one.kind: one for one in await self.desk.ledger.aread(channels.of_person, self.person_id)}
        refused = refused or {}
        text = self.text_of(problem) if problem is not None else ""
        if problem is not None:
            self.set_status(getattr(problem, "status", 400))
        forms = [
            self._form(kind, found.get(kind), refused if refused.get("kind") == kind.value else {}, text)
            for kind in self.kinds
        ]
        self.finish(
            self.render_page(
                "user/channel.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                forms=forms,
                events={event.value: EVENTS[event] for event in self.events},
                when=self.time_text,
                here_problem=text if not any(form.problem for form in forms) else "",
                done=self.get_query_argument("done", "") if self.request.method == "GET" else "",
            )
        )

    def _form(self, kind: ChannelKind, channel: Channel | None, refused: Mapping[str, str], text: str) -> ChannelForm:
        chosen = {event.value for event in self.events} if channel is None else set(channel.events)
        if refused:
            chosen = {event.value for event in self.events if f"event_{event.value}" in refused}
        failure = failure_of(channel.detail or "") if channel is not None else None
        has_details = failure is not None and failure not in PLATFORM_FAILURES
        is_signed = channel is not None and kind is ChannelKind.WEBHOOK
        return ChannelForm(
            kind=kind,
            title=self.say(TITLES[kind]),
            channel=channel,
            address=refused.get("address", channel.address if channel else ""),
            chosen=frozenset(chosen),
            secret=self.keys.webhook_secret(channel.id) if channel is not None and is_signed else "",
            failing=self.say(WORDS[failure]) if failure is not None else "",
            details=details_of(channel.detail or "") if channel is not None and has_details else "",
            problem=text if refused else "",
        )

    def back(self, done: str) -> None:
        """Redirect to the page, which says what was done."""
        self.redirect(f"{self.desk.base}channel?done={done}", status=303)

    @property
    def here(self) -> str:
        """The page, also after a form that was refused."""
        return f"{self.desk.base}channel"

    def count_network(self) -> None:
        """Count an address that is entered. Raises `RateLimited`."""
        buckets: Buckets = self.settings.setdefault("channel_buckets", Buckets(FROM_ONE_NETWORK))
        wait = buckets.take(network_of(str(self.request.remote_ip)), time.monotonic())
        if wait and self.desk.settings.rate_limits.enabled:
            raise RateLimited(
                "Too many addresses were entered from your network.",
                next_step="Try again later.",
                seconds=int(wait) + 1,
            )


class ChannelPage(ChannelHandler):
    """GET /channel"""

    async def get(self) -> None:
        """The page."""
        await self.show()


class EnterHandler(ChannelHandler):
    """POST /channel/enter"""

    async def post(self) -> None:
        """Set the address and the events of one kind of channel."""
        fields = form_fields(self)
        try:
            wanted = self._wanted(fields)
            self.count_network()
            made = await self.desk.ledger.awrite(requests.enter, wanted, self.keys, now=utc_now(), new_id=new_id)
        except (BadOption, RateLimited) as error:
            await self.show(problem=error, refused=fields)
            return
        self.back("saved" if made.is_confirmed else "asked")

    def _wanted(self, fields: Mapping[str, str]) -> requests.Wanted:
        kind = fields.get("kind")
        if kind not in {one.value for one in self.kinds}:
            raise BadOption("The request is not valid.", next_step="Reload the page, then try again.")
        return requests.Wanted(
            person_id=self.person_id,
            kind=ChannelKind(kind),
            address=targets.checked(ChannelKind(kind), fields.get("address", ""), self.desk.settings.channels),
            language=self.language_texts.language,
            events=[event for event in CHOOSABLE if f"event_{event.value}" in fields],
        )


class AgainHandler(ChannelHandler):
    """POST /channel/again"""

    async def post(self) -> None:
        """Send another code."""
        await self._try(requests.ask_again, "asked", keys=self.keys)

    async def _try(self, write: Any, done: str, **more: Any) -> None:
        channel = await self.own_channel()

        def act(connection: Connection, now: datetime) -> None:
            write(connection, channel, **more, now=now, new_id=new_id)

        try:
            if more:
                self.count_network()
            await self.desk.ledger.awrite(act, utc_now())
        except (BadOption, Conflict, RateLimited) as error:
            await self.show(problem=error)
            return
        self.back(done)


class TestHandler(AgainHandler):
    """POST /channel/test"""

    async def post(self) -> None:
        """Send a test message."""
        await self._try(requests.test, "tested")


class RemoveHandler(ChannelHandler):
    """POST /channel/remove"""

    async def post(self) -> None:
        """Delete the address."""
        channel = await self.own_channel()
        await self.desk.ledger.awrite(channels.remove, channel.id)
        self.back("removed")
