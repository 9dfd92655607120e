"""Pages of one paid instance: state and cost, stop, deletion, receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from tornado.web import HTTPError

from spawner.desk.paid.forms import SeenForm
from spawner.desk.paid.http import PaidPage
from spawner.desk.paid.state import PaidViewBuilder, read_builder
from spawner.desk.paid.texts import WHY, cloud_state
from spawner.desk.requests import form_fields
from spawner.instance.arguments import ARCHIVE
from spawner.ledger import InstanceState
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import ConsentState, Order, OrderEvent, StopReason
from spawner.ledger.pool import instances
from spawner.paid.orders import service as order_service

RUN_ENDS = ("stopped", "not_started")


@dataclass(frozen=True)
class RunView:
    """A run that has ended. Amounts are exact text in `currency`; None where they are not known."""

    ended_at: datetime
    seconds: int
    spent: str | None
    cap: str | None
    currency: str
    reason: str


class InstanceHandler(PaidPage):
    """GET /paid/instances/ID"""

    serves_banned = True
    is_live = True

    async def get(self, order_id: str) -> None:
        """The page. An instance that is not started yet has a consent and no order."""
        builder = await read_builder(self.desk, self.paid, self.person_id, self.language_texts)
        snapshot = builder.snapshot
        order = next((order for order in snapshot.orders if order.id == order_id), None)
        shown = self._consent_page(builder, order_id) if order is None else await self._order_page(builder, order)
        self.show(
            "paid/instance.html",
            order=order,
            archive=await self._archive(),
            notices=[notice for notice in builder.view().notices if notice.instance == order_id],
            live=shown["instance"].state not in ("gone", "not_made"),
            cloud_state=partial(cloud_state, texts=self.language_texts),
            **shown,
        )

    def _consent_page(self, builder: PaidViewBuilder, consent_id: str) -> dict[str, Any]:
        consent = builder.snapshot.consents.get(consent_id)
        if consent is None or consent.state not in (ConsentState.ACCEPTED, ConsentState.SPENT):
            raise HTTPError(404)
        return {
            "instance": builder.consent_instance(consent),
            "consent": consent,
            "unspent": consent,
            "runs": [],
            "binding_id": consent.binding_id,
            "console": "",
            "bill": "",
        }

    async def _order_page(self, builder: PaidViewBuilder, order: Order) -> dict[str, Any]:
        view = builder.order_instance(order)
        consent = builder.snapshot.consents.get(order.consent_id or "")
        events = await self.read(audit.record_of, order.id)
        return {
            "instance": view,
            "consent": consent,
            "unspent": builder.unused_consent(order) or consent,
            "runs": [self._run(event) for event in reversed(events) if event.what in RUN_ENDS],
            "binding_id": order.binding_id,
            "console": self.console(order.provider, view.account, view.region),
            "bill": self.bill(order.provider, view.account),
        }

    async def _archive(self) -> str:
        """URL from which the files of the user's free instance can be downloaded; empty where none runs."""
        free = await self.read(instances.latest, self.person_id, "")
        if free is None or free.state is not InstanceState.RUNNING:
            return ""
        return f"/user/{quote(self.user_name, safe='@~')}/{ARCHIVE}"

    def _run(self, event: OrderEvent) -> RunView:
        params = event.params
        reason = params.get("reason")
        return RunView(
            ended_at=event.at,
            seconds=int(float(params.get("seconds", 0))),
            spent=f"{Decimal(params['spent']):.2f}" if "spent" in params else None,
            cap=f"{Decimal(params['cap']):.2f}" if "cap" in params else None,
            currency=str(params.get("currency", "")),
            reason=self.say(WHY[StopReason(reason)]) if reason in set(StopReason) else "",
        )


class EndHandler(PaidPage):
    """GET and POST /paid/instances/ID/stop and …/delete"""

    serves_banned = True

    async def get(self, order_id: str, act: str) -> None:
        """Ask the user to confirm."""
        order = await self.own_order(order_id)
        builder = await read_builder(self.desk, self.paid, self.person_id, self.language_texts)
        self.show("paid/end.html", instance=builder.order_instance(order), act=act)

    async def post(self, order_id: str, act: str) -> None:
        """Record the request in the ledger. The steward calls the cloud."""
        order = await self.own_order(order_id)
        name, now = self.user_name, self.paid.now()

        def write(connection: Connection) -> None:
            if act == "delete":
                order_service.want_delete(connection, order.id, person_id=self.person_id, by=name, now=now)
            else:
                order_service.want_stop(connection, order.id, by=name, now=now)

        await self.desk.ledger.awrite(write)
        self.go(f"paid/instances/{order.id}")


class SeenHandler(PaidPage):
    """POST /paid/notices/N/seen"""

    serves_banned = True

    async def post(self, seq: str) -> None:
        """Dismiss a notice, and redirect to the page that showed it."""
        await self.desk.ledger.awrite(audit.see, self.person_id, int(seq), now=self.paid.now())
        form = SeenForm.model_validate(form_fields(self))
        self.go(f"paid/instances/{(await self.own_order(form.instance)).id}" if form.instance else "paid")
