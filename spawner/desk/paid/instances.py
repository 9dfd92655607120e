"""One instance in a person's cloud: what it does and costs, its two ends, and its receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from tornado.web import HTTPError

from spawner.desk.paid.http import PaidPage
from spawner.desk.paid.texts import WHY
from spawner.desk.paid.views import PaidSnapshot, PaidViewBuilder, read_paid
from spawner.instance.arguments import ARCHIVE
from spawner.ledger import InstanceState
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import Consent, ConsentState, OrderEvent, StopReason
from spawner.ledger.pool import instances
from spawner.paid.orders import service as order_service

RUN_ENDS = ("stopped", "not_started")
ENDS = {"stop": order_service.want_stop, "delete": order_service.want_delete}


@dataclass(frozen=True)
class RunView:
    """What is kept of one run that is over. Amounts are in `currency`, where they are known."""

    ended_at: datetime
    seconds: int
    spent: str | None
    cap: str | None
    currency: str
    reason: str


class InstanceHandler(PaidPage):
    """GET /paid/instances/ID"""

    is_live = True

    async def get(self, order_id: str) -> None:
        """As it is now. Of what is agreed to and not started yet, there is an order in a moment."""
        now = self.paid.now()
        snapshot = await self.read(read_paid, self.user_name, self.user_since, now=now)
        desk = PaidViewBuilder(
            snapshot, self.paid, self.language_texts, self.desk.base, self.desk.settings.is_demo, now
        )
        order = next((one for one in snapshot.orders if one.id == order_id), None)
        view = desk.instance(order) if order is not None else desk.asked(self._asked(snapshot, order_id))
        mine = await self.read(instances.latest, self.user_name, "")
        runs_free = mine is not None and mine.state is InstanceState.RUNNING
        consent = snapshot.consents.get(order.consent_id or "" if order is not None else order_id)
        again = desk.again(order) if order is not None else None
        record = await self.read(audit.record_of, order_id) if order is not None else []
        self.show(
            "paid/instance.html",
            instance=view,
            consent=consent,
            unspent=again or consent,
            runs=[self._run(one) for one in reversed(record) if one.what in RUN_ENDS],
            order=order,
            binding_id=order.binding_id if order is not None else consent.binding_id if consent else "",
            archive=f"/user/{quote(self.user_name, safe='@~')}/{ARCHIVE}" if runs_free else "",
            console=self.console(order.provider, view.account, view.region) if order is not None else "",
            bill=self.bill(order.provider, view.account) if order is not None else "",
            notices=[one for one in desk.view().notices if one.instance == order_id],
            live=view.state not in ("gone", "not_made"),
        )

    def _run(self, event: OrderEvent) -> RunView:
        told = event.params
        reason = told.get("reason")
        return RunView(
            ended_at=event.at,
            seconds=int(float(told.get("seconds", 0))),
            spent=f"{Decimal(told['spent']):.2f}" if "spent" in told else None,
            cap=f"{Decimal(told['cap']):.2f}" if "cap" in told else None,
            currency=str(told.get("currency", "")),
            reason=self.say(WHY[StopReason(reason)]) if reason in set(StopReason) else "",
        )

    def _asked(self, snapshot: PaidSnapshot, consent_id: str) -> Consent:
        consent = snapshot.consents.get(consent_id)
        if consent is None or consent.state not in (ConsentState.ACCEPTED, ConsentState.SPENT):
            raise HTTPError(404)
        return consent


class EndHandler(PaidPage):
    """GET and POST /paid/instances/ID/stop and …/delete: two clearly different acts, each asked about in words."""

    async def get(self, order_id: str, act: str) -> None:
        """Ask."""
        now = self.paid.now()
        order = await self.my_order(order_id)
        snapshot = await self.read(read_paid, self.user_name, self.user_since, now=now)
        desk = PaidViewBuilder(
            snapshot, self.paid, self.language_texts, self.desk.base, self.desk.settings.is_demo, now
        )
        self.show("paid/end.html", instance=desk.instance(order), act=act)

    async def post(self, order_id: str, act: str) -> None:
        """SpawnRequest it; the steward has it done, whatever becomes of this process."""
        order = await self.my_order(order_id)
        await self.desk.ledger.awrite(ENDS[act], order.id, by=self.user_name, now=self.paid.now())
        self.go(f"paid/instances/{order.id}")


class SeenHandler(PaidPage):
    """POST /paid/notices/N/seen"""

    async def post(self, seq: str) -> None:
        """The person has read it; where it was on another page, back to that one."""
        await self.desk.ledger.awrite(audit.see, self.user_name, int(seq), now=self.paid.now())
        instance = self.get_body_argument("instance", "")
        self.go(f"paid/instances/{(await self.my_order(instance)).id}" if instance else "paid")
