"""Pages that ask for consent to being billed, take the answer, and show past consents.

An answer counts only as a POST from the browser session that was asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal

from spawner.desk.paid.forms import AnswerForm
from spawner.desk.paid.http import PaidPage
from spawner.desk.paid.offers import OffersHandler
from spawner.desk.paid.record import json_default, rows_of_person
from spawner.desk.requests import form_fields
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
"""How long a request that gives consent waits for the hub to use it. The start itself takes minutes."""
POLL_SECONDS = 0.15
BUSY_PAUSE = 1.0
"""Between attempts while JupyterHub has not noticed yet that the server's last run has ended: it polls every ten
seconds, and sends no event."""
ONE_MORE = "Another notebook was started in the meantime. This would be an additional one."


class AnswerHandler(OffersHandler):
    """Base of the pages and the API that take an answer."""

    async def agree(self, consent_id: str, token: str) -> Consent:
        """Accept the consent and have the hub start the server.

        Raises `NoConsent`, `OfferChanged` where price or terms have changed, and `HubRefused`.
        """
        self.require_browser()
        async with self.parts.cloud_locks.hold(
            self.user_name
        ):  # of two open consents for one server only one is accepted
            asked = await self.own_consent(consent_id)
            if asked.state is ConsentState.OFFERED and asked.kind is ConsentKind.CREATE:
                order = await self.read(orders.of_server, self.person_id, asked.server_name)
                if order is not None and order.state not in OVER:
                    raise OfferChanged(ONE_MORE)
            consent = await consent_service.accept(
                self.paid,
                asked.id,
                person_id=self.person_id,
                session=self.session_mark,
                token=token,
            )
            log.info("user %s has consented to being billed: consent %s", self.user_name, consent.id)
            await self.begin(consent)
        return consent

    async def begin(self, consent: Consent) -> None:
        """Have the hub start the server, which uses the consent. The request carries the user's own token.

        Returns as soon as the consent is used, or after `SPENT_SECONDS`. Raises `HubRefused`.
        """
        start = self.desk.starts.start(self._start(consent), subject=f"paid start of user {self.user_name}")
        loop = asyncio.get_running_loop()
        until = loop.time() + SPENT_SECONDS
        while loop.time() < until:
            done, _ = await asyncio.wait([start], timeout=POLL_SECONDS)
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
            except HubRefused as error:
                if error.code != "busy" or loop.time() > until:
                    raise
            # Until the hub has noticed that the start before has failed, it answers 201 without a new start.
            is_spent = (await self.read(consents.get, consent.id)).state is not ConsentState.ACCEPTED
            if is_spent or loop.time() > until:
                return
            await asyncio.sleep(BUSY_PAUSE)

    async def ask_anew(self, old: Consent) -> Consent:
        """Ask for the same at the price of now, and withdraw the old consent."""
        order = await self.own_order(old.order_id) if old.order_id else None
        chosen = Chosen(
            server_name=old.server_name if order is not None else await self._new_name(),
            cap=Money(Decimal(old.cap), old.currency),
            max_seconds=old.max_seconds,
            idle_seconds=old.idle_seconds,
            disk=old.disk,
            image=old.image,
        )
        fresh = await self.ask(await self.own_binding(old.binding_id), old.region, old.instance_type, chosen, order)
        await self.withdraw(old)
        return fresh

    async def withdraw(self, consent: Consent) -> None:
        """Withdraw an open or accepted consent. Others stay as they are."""
        try:
            await self.desk.ledger.awrite(consents.withdraw, consent.id, now=self.paid.now())
        except LostRace:
            return


class ConsentPage(AnswerHandler, PaidPage):
    """Base of the pages of one consent."""

    async def show_consent(self, consent: Consent, *, changed: str = "", status: int = 200) -> None:
        """The text of the consent, with its form or its outcome."""
        now = self.paid.now()
        linked = {binding.id for binding in await self.read(bindings.of_person, self.person_id)}
        is_open = consent.state is ConsentState.OFFERED and now < consent.expires_at and self.ban is None
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
            together=self.language_texts.together,
            word=self.answer_token(consent.id) if is_open else "",
        )


class ConsentHandler(ConsentPage):
    """GET /paid/consents/ID"""

    serves_banned = True

    async def get(self, consent_id: str) -> None:
        """The page."""
        await self.show_consent(await self.own_consent(consent_id))


class AcceptHandler(ConsentPage):
    """POST /paid/consents/ID/accept: the button "Start and be billed\""""

    async def post(self, consent_id: str) -> None:
        """Accept the consent. Where the offer has changed, ask again and show the change."""
        asked = await self.own_consent(consent_id)
        try:
            await self.agree(consent_id, AnswerForm.model_validate(form_fields(self)).word)
        except NoConsent:
            raise
        except OfferChanged as error:
            await self._ask_again(await self.own_consent(consent_id), error)
            return
        except FreepoolError as error:
            self.tell(
                self.say("Not started yet"),
                self.text_of(error),
                url=f"{self.desk.base}paid/consents/{asked.id}",
                label=self.say("Reload"),
                status=503,
            )
            return
        self.go(f"paid/instances/{order_id_of(asked)}")

    async def _ask_again(self, asked: Consent, error: OfferChanged) -> None:
        if asked.state in (ConsentState.ACCEPTED, ConsentState.SPENT):  # by a second click, or in another tab
            self.go(f"paid/instances/{order_id_of(asked)}")
            return
        changed = self.text_of(error)
        try:
            fresh = await self.ask_anew(asked)
        except FreepoolError as failure:
            self.tell(
                self.say("Not started"),
                self.language_texts.together(changed, self.say(failure.template, **failure.params)),
                url=f"{self.desk.base}paid/new/{asked.binding_id}",
                label=self.say("Other machine types"),
                status=409,
            )
            return
        await self.show_consent(fresh, changed=changed, status=409)


class BeginHandler(ConsentPage):
    """POST /paid/consents/ID/start: tries the start again, where the hub did not answer after the consent"""

    async def post(self, consent_id: str) -> None:
        """Start, if the consent is accepted and not used."""
        consent = await self.own_consent(consent_id)
        if consent.state is ConsentState.ACCEPTED:
            await self.begin(consent)
        self.go(f"paid/instances/{order_id_of(consent)}")


class WithdrawHandler(ConsentPage):
    """POST /paid/consents/ID/withdraw"""

    serves_banned = True

    async def post(self, consent_id: str) -> None:
        """Withdraw the consent."""
        await self.withdraw(await self.own_consent(consent_id))
        self.go("paid")


class ConsentsHandler(PaidPage):
    """GET /paid/consents: all consents of the user"""

    serves_banned = True

    async def get(self) -> None:
        """Newest first."""
        rows = await self.read(consents.of_person, self.person_id)
        views = [self.consent_view(consent) for consent in rows]
        self.show("paid/consents.html", consents=views)


class DownloadHandler(PaidPage):
    """GET /paid/consents/ID.json: a download for the user's own records"""

    serves_banned = True
    is_file = True

    async def get(self, consent_id: str) -> None:
        """The consent as JSON."""
        consent = await self.own_consent(consent_id)
        view = self.consent_view(consent)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="freepool-consent-{consent.id[:12]}.json"')
        self.finish(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))


class RecordHandler(PaidPage):
    """GET /paid/record.json: a download for the user's own records"""

    serves_banned = True
    is_file = True

    async def get(self) -> None:
        """All rows of the user."""
        rows = await self.read(rows_of_person, self.person_id)
        record = {"demo": self.desk.settings.is_demo, "person": self.user_name, **rows}
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-record.json"')
        self.finish(json.dumps(record, indent=2, ensure_ascii=False, default=json_default))
