"""The question, the yes, and what is kept of both. A yes is its person's POST, in the session that was asked."""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal

from spawner.desk.paid.http import PaidPage
from spawner.desk.paid.offers import OffersHandler
from spawner.desk.paid.record import of_person, plain
from spawner.errors import FreepoolError, LostRace, NoConsent, OfferChanged
from spawner.hub_client import HubRefused
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import OVER, Consent, ConsentKind, ConsentState
from spawner.paid.consent import service as consent_service
from spawner.paid.consent.rules import Chosen
from spawner.paid.money import Money
from spawner.paid.names import order_id_of
from spawner.paid.orders.service import START_TOKEN, start_token

log = logging.getLogger("freepool.desk")
SPENT_SECONDS = 12
"""How long the answer to a yes waits for the hub to have spent it. What it starts takes minutes."""
LOOK_SECONDS = 0.15
BUSY_PAUSE = 1.0
"""Between attempts while JupyterHub has not noticed yet that the last run of a server is over: it looks every ten
seconds, and has no event for it."""
ONE_MORE = "Another instance was started meanwhile. This would be one more."


class AnswerHandler(OffersHandler):
    """What both pages and API do with an answer."""

    async def agree(self, consent_id: str, word: str) -> Consent:
        """Take the yes and have it spent. Raises `OfferChanged` where it does not fit any more."""
        self.require_browser()
        async with self.parts.cloud_locks.hold(self.user_name):  # two questions for one server are one start
            asked = await self.my_consent(consent_id)
            if asked.state is ConsentState.OFFERED and asked.kind is ConsentKind.CREATE:
                there = await self.read(orders.of_server, self.user_name, asked.server_name)
                if there is not None and there.state not in OVER:
                    raise OfferChanged(ONE_MORE)
            consent = await consent_service.accept(
                self.paid,
                asked.id,
                user_name=self.user_name,
                user_since=self.user_since,
                session=self.session_mark,
                token=word,
            )
            log.info("%s has agreed to be billed: consent %s", self.user_name, consent.id)
            await self.begin(consent)
        return consent

    async def begin(self, consent: Consent) -> None:
        """Have the hub spend it, with the person's own token. Raises `HubRefused` where it refuses."""
        start = self.desk.starts.start(self._start(consent), subject=f"a paid start of {self.user_name}")
        loop = asyncio.get_running_loop()
        until = loop.time() + SPENT_SECONDS
        while loop.time() < until:
            done, _ = await asyncio.wait([start], timeout=LOOK_SECONDS)
            if (await self.read(consents.get, consent.id)).state is ConsentState.SPENT:
                return
            if done:
                start.result()
                return

    async def _start(self, consent: Consent) -> None:
        options = {START_TOKEN: start_token(self.desk.settings.secret("desk"), consent.id)}
        loop = asyncio.get_running_loop()
        until = loop.time() + SPENT_SECONDS
        while True:
            try:
                token = self.hub_auth.get_token(self)
                await self.desk.hub.start(self.user_name, token, options, server_name=consent.server_name)
            except HubRefused as said:
                if said.code != "busy" or loop.time() > until:
                    raise
            # Where the hub has not seen yet that the start before this one has failed, it takes the two for one.
            is_spent = (await self.read(consents.get, consent.id)).state is not ConsentState.ACCEPTED
            if is_spent or loop.time() > until:
                return
            await asyncio.sleep(BUSY_PAUSE)

    async def ask_anew(self, old: Consent) -> Consent:
        """The same question, at today's price: the old one is withdrawn."""
        order = await self.my_order(old.order_id) if old.order_id else None
        chosen = Chosen(
            server_name=old.server_name if order is not None else await self._new_name(),
            cap=Money(Decimal(old.cap), old.currency),
            max_seconds=old.max_seconds,
            idle_seconds=old.idle_seconds,
            disk=old.disk,
            image=old.image,
        )
        fresh = await self.ask(await self.my_binding(old.binding_id), old.region, old.instance_type, chosen, order)
        await self.withdraw(old)
        return fresh

    async def withdraw(self, consent: Consent) -> None:
        """Nobody wants it any more; what is spent, or over, stays as it is."""
        try:
            await self.desk.ledger.awrite(consents.withdraw, consent.id, now=self.paid.now())
        except LostRace:
            return


class ConsentPage(AnswerHandler, PaidPage):
    """Base of the pages about one question."""

    async def show_consent(self, consent: Consent, *, changed: str = "", status: int = 200) -> None:
        """The question in its own words; or what came of it."""
        now = self.paid.now()
        linked = {one.id for one in await self.read(bindings.of_user, self.user_name)}
        is_open = consent.state is ConsentState.OFFERED and now < consent.expires_at
        self.show(
            "paid/consent.html",
            status=status,
            consent=self.consent_view(consent),
            lines=consent.text.split("\n"),
            is_open=is_open,
            is_waiting=consent.state is ConsentState.ACCEPTED and now < consent.expires_at,
            expired=consent.state is ConsentState.OFFERED and not is_open,
            instance=order_id_of(consent),
            shop=f"paid/new/{consent.binding_id}" if consent.binding_id in linked else "paid",
            changed=changed,
            word=self.answer_word(consent.id) if is_open else "",
        )


class ConsentHandler(ConsentPage):
    """GET /paid/consents/ID"""

    async def get(self, consent_id: str) -> None:
        """Looking at it answers nothing."""
        await self.show_consent(await self.my_consent(consent_id))


class AcceptHandler(ConsentPage):
    """POST /paid/consents/ID/accept: "Start and be billed"."""

    async def post(self, consent_id: str) -> None:
        """The one way. Where something has changed, the next question, with what has."""
        asked = await self.my_consent(consent_id)
        try:
            await self.agree(consent_id, self.get_body_argument("word", ""))
        except NoConsent:
            raise
        except OfferChanged as again:
            await self._again(await self.my_consent(consent_id), again)
            return
        except FreepoolError as error:
            self.tell(
                self.say("It is not started yet"),
                self.words_of(error),
                url=f"{self.desk.base}paid/consents/{asked.id}",
                label=self.say("Look at it again"),
                status=503,
            )
            return
        self.go(f"paid/instances/{order_id_of(asked)}")

    async def _again(self, asked: Consent, again: OfferChanged) -> None:
        if asked.state in (ConsentState.ACCEPTED, ConsentState.SPENT):  # a second click, or another tab
            self.go(f"paid/instances/{order_id_of(asked)}")
            return
        changed = self.words_of(again)
        try:
            fresh = await self.ask_anew(asked)
        except FreepoolError as error:
            self.tell(
                self.say("It is not started"),
                self.language_texts.together(changed, self.say(error.template, **error.params)),
                url=f"{self.desk.base}paid/new/{asked.binding_id}",
                label=self.say("Other machines"),
                status=409,
            )
            return
        await self.show_consent(fresh, changed=changed, status=409)


class BeginHandler(ConsentPage):
    """POST /paid/consents/ID/start: what was agreed to a moment ago, where the hub did not answer."""

    async def post(self, consent_id: str) -> None:
        """Nothing is agreed to here: an unspent yes is needed."""
        consent = await self.my_consent(consent_id)
        if consent.state is ConsentState.ACCEPTED:
            await self.begin(consent)
        self.go(f"paid/instances/{order_id_of(consent)}")


class WithdrawHandler(ConsentPage):
    """POST /paid/consents/ID/withdraw"""

    async def post(self, consent_id: str) -> None:
        """No, thanks."""
        await self.withdraw(await self.my_consent(consent_id))
        self.go("paid")


class ConsentsHandler(PaidPage):
    """GET /paid/consents: all that the person was ever asked."""

    async def get(self) -> None:
        """Newest first."""
        mine = [one for one in await self.read(consents.of_user, self.user_name) if one.user_since == self.user_since]
        self.show(
            "paid/consents.html",
            consents=[self.consent_view(one) for one in mine],
        )


class DownloadHandler(PaidPage):
    """GET /paid/consents/ID.json"""

    is_file = True

    async def get(self, consent_id: str) -> None:
        """For the person's own records."""
        consent = await self.my_consent(consent_id)
        view = self.consent_view(consent)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="freepool-consent-{consent.id[:12]}.json"')
        self.finish(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))


class RecordHandler(PaidPage):
    """GET /paid/record.json"""

    is_file = True

    async def get(self) -> None:
        """All that was asked, answered and done for this person, for their own records."""
        mine = await self.read(of_person, self.user_name, self.user_since)
        told = {"demo": self.desk.settings.is_demo, "person": self.user_name, **mine}
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-record.json"')
        self.finish(json.dumps(told, indent=2, ensure_ascii=False, default=plain))
