"""The paid path as one person sees it now: the shapes of the API, and what the pages are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from pydantic import BaseModel, computed_field
from sqlalchemy import Connection

from spawner.desk.context import Desk
from spawner.desk.i18n import Translations
from spawner.desk.paid.texts import ANSWERS, BLOCKS, GOOD_NEWS, LINKS, OUT_OF_REACH, STATES, WHY, stand_of, told
from spawner.desk.views import DEPRECATED
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import (
    OVER,
    Binding,
    BindingState,
    Consent,
    ConsentState,
    Notice,
    Order,
    OrderEvent,
    OrderState,
)
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.money import Money, read
from spawner.paid.names import order_id_of
from spawner.paid.orders import service as order_service
from spawner.paid.orders.policy import seconds_run, spent_by
from spawner.paid.orders.progress import lines
from spawner.paid.paid import Paid

MAY_END = ("asked", "starting", "checking", "running", "found", "failed")
MAY_BILL = (*MAY_END, "stopping")


class AccountView(BaseModel):
    """A linked cloud account, or one that is being linked. `ending`: the last digits of its number."""

    id: str
    provider: str
    account_id: str
    ending: str
    state: str
    state_text: str
    problem: str | None
    url: str


class StageView(BaseModel):
    """One line of a start."""

    percent: int
    text: str


class InstanceTypeView(BaseModel):
    """Base of what names a cloud's instance type."""

    instance_type: str

    @computed_field(json_schema_extra=DEPRECATED)
    def shape(self) -> str:
        """The name of `instance_type` in version 0.1."""
        return self.instance_type


class PaidInstanceView(InstanceTypeView):
    """An instance in the person's cloud. `id` is its order's, or, until there is one, its consent's.

    Amounts are exact text in `currency`; `spent` is an estimate of this run, `cap` its limit, `share` what part of it
    is spent (0 to 1). `seconds`: how long this run has been charged, by the cloud's count or ours, whichever is more.
    `cloud_seconds`: by the cloud's alone. `stops_at`: when a timer ends it at the latest.
    """

    id: str
    server: str
    provider: str
    account: str
    region: str
    state: str
    state_text: str
    reason: str | None
    raw_state: str | None
    seen_at: datetime | None
    problem: str | None
    currency: str | None
    price: str | None
    spent: str | None
    cap: str | None
    share: float | None
    seconds: int
    cloud_seconds: int | None
    created_at: datetime
    stops_at: datetime | None
    timer: bool
    stopped_at: datetime | None
    ended_at: datetime | None
    may_bill: bool
    can_stop: bool
    can_start: bool
    can_ask_again: bool
    can_delete: bool
    open_url: str | None
    url: str
    stages: list[StageView]


class NoticeView(BaseModel):
    """What the person has not put away yet."""

    seq: int
    at: datetime
    text: str
    good: bool
    instance: str | None


class ConsentView(InstanceTypeView):
    """What the person was asked, word for word, and what they said. `demo`: no money was real."""

    id: str
    kind: str
    state: str
    state_text: str
    provider: str
    account_id: str
    region: str
    price: str
    currency: str
    unit: str
    cap: str
    run_seconds: int
    idle_seconds: int | None
    read_at: datetime
    offered_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    spent_at: datetime | None
    text: str
    text_version: int
    text_hash: str
    language: str
    demo: bool


class PaidView(BaseModel):
    """All of it. `offered`: whether anything new may be asked for."""

    demo: bool
    offered: bool
    accounts_url: str
    accounts: list[AccountView]
    instances: list[PaidInstanceView]
    history: list[PaidInstanceView]
    notices: list[NoticeView]


@dataclass(frozen=True)
class PaidSnapshot:
    """What is read of one person, in one transaction."""

    paused: bool
    bindings: list[Binding]
    orders: list[Order]
    consents: Mapping[str, Consent]
    accepted: list[Consent]
    notices: list[Notice]
    records: Mapping[str, list[OrderEvent]]


def read_paid(connection: Connection, user_name: str, user_since: str, *, now: datetime) -> PaidSnapshot:
    """All that is this person's, and not of somebody who had the name before."""
    mine = [one for one in orders.of_user(connection, user_name) if one.user_since == user_since]
    asked = [one for one in consents.of_user(connection, user_name) if one.user_since == user_since]
    linked = [one for one in bindings.of_user(connection, user_name) if one.user_since == user_since]
    known = {one.id for one in mine} | {one.id for one in linked}
    news = audit.notices_of(connection, user_name, unseen_only=True)
    on_their_way = [one for one in mine if order_service.is_wanted(one) and not order_service.is_open(one)]
    return PaidSnapshot(
        paused=NO_NEW in admin_settings.all_of(connection),
        bindings=linked,
        orders=mine,
        consents={one.id: one for one in asked},
        accepted=[one for one in asked if one.state is ConsentState.ACCEPTED and one.expires_at > now],
        notices=[one for one in news if one.order_id in known or one.binding_id in known],
        records={one.id: order_service.read_progress(connection, one.id).record for one in on_their_way},
    )


async def read_paid_view(desk: Desk, paid: Paid, user_name: str, user_since: str, texts: Translations) -> PaidView:
    """A user's accounts and instances, read now."""
    now = paid.now()
    snapshot = await desk.ledger.aread(read_paid, user_name, user_since, now=now)
    return PaidViewBuilder(snapshot, paid, texts, desk.base, desk.settings.is_demo, now).view()


@dataclass(frozen=True)
class PaidViewBuilder:
    """Says one moment in the reader's language. `base` is the desk's URL prefix."""

    snapshot: PaidSnapshot
    paid: Paid
    texts: Translations
    base: str
    demo: bool
    now: datetime

    def view(self) -> PaidView:
        """All of it."""
        started = {order.id for order in self.snapshot.orders}
        asked = [one for one in self.snapshot.accepted if order_id_of(one) not in started]
        views = [(order, self.instance(order)) for order in self.snapshot.orders]
        return PaidView(
            demo=self.demo,
            offered=not self.snapshot.paused,
            accounts_url=f"{self.base}paid",
            accounts=[self._account(one) for one in self.snapshot.bindings],
            instances=[
                *map(self.asked, asked),
                *(view for order, view in views if order.state not in OVER),
            ],
            history=[view for order, view in views if order.state in OVER],
            notices=[
                NoticeView(
                    seq=one.seq,
                    at=one.at,
                    text=told(one, self.texts),
                    good=one.kind in GOOD_NEWS,
                    instance=one.order_id,
                )
                for one in newest(self.snapshot.notices)
            ],
        )

    def _title(self, provider: str) -> str:
        known = self.paid.providers.get(provider)
        return self.texts.say(known.title) if known is not None else provider

    def _account(self, binding: Binding) -> AccountView:
        return AccountView(
            id=binding.id,
            provider=self._title(binding.provider),
            account_id=binding.account_id,
            ending=binding.account_id[-4:],
            state=binding.state.value,
            state_text=self.texts.say(LINKS[binding.state]),
            problem=self.texts.say(BLOCKS[binding.blocked]) if binding.blocked else None,
            url=f"{self.base}paid/accounts/{binding.id}",
        )

    def asked(self, consent: Consent) -> PaidInstanceView:
        """What has been agreed to and is not started yet."""
        return self._instance(order_id_of(consent), consent, "asked")

    def again(self, order: Order) -> Consent | None:
        """The yes to starting it again that the hub has not spent yet."""
        if order.state is not OrderState.STOPPED:
            return None
        return next((one for one in self.snapshot.accepted if one.order_id == order.id), None)

    def instance(self, order: Order) -> PaidInstanceView:
        """One order."""
        consent = self.snapshot.consents.get(order.consent_id or "")
        state, now = "asked" if self.again(order) is not None else stand_of(order), self.now
        runs = state in MAY_BILL and order.run_began_at is not None and order.state is not OrderState.STOPPED
        currency = consent.currency if consent is not None else ""
        spent = read(spent_by(order, consent, now) if runs else order.spent, currency)
        cap = read(consent.cap, currency) if consent is not None else None
        binding = next((one for one in self.snapshot.bindings if one.id == order.binding_id), None)
        is_reached = self.paid.reaches(order.provider, order.region)
        can_act = binding is not None and is_reached
        can_ask = can_act and not self.snapshot.paused and _is_usable(binding)
        cloud = None if order.running is None else max(0, int(order.running - order.ran_before))
        view = self._instance(order.id, consent, state)
        watched = order_service.OrderProgress(order, self.snapshot.records.get(order.id, []))
        return view.model_copy(
            update={
                "server": order.server_name,
                "provider": self._title(order.provider),
                "account": binding.account_id if binding is not None else view.account,
                "region": order.region,
                "instance_type": order.instance_type,
                "reason": self.texts.say(WHY[order.reason]) if order.reason and state not in MAY_END else None,
                "raw_state": order.raw_state,
                "seen_at": order.seen_at,
                "problem": self._problem(order, is_reached=is_reached),
                "spent": _told(spent),
                "share": _share(spent, cap),
                "seconds": int(seconds_run(order, now)) if runs else (cloud or 0),
                "cloud_seconds": cloud,
                "created_at": order.created_at,
                "stops_at": order.stops_at if runs or state in MAY_BILL[1:] else None,
                "timer": order.auto_stop_set_at is not None,
                "stopped_at": order.stopped_at,
                "ended_at": order.ended_at,
                "may_bill": state in MAY_BILL and order.state not in (OrderState.INTENDED, OrderState.STOPPED),
                "can_stop": can_act and state in MAY_END and order.state is not OrderState.STOPPED,
                "can_start": can_ask and state == "stopped",
                "can_ask_again": can_ask and state == "not_made",
                "can_delete": can_act
                and order.delete_wanted_at is None
                and state not in ("gone", "not_made", "deleting"),
                "open_url": f"{self.base}paid/open/{quote(order.server_name)}"
                if order_service.is_open(order) and is_reached
                else None,
                "stages": [StageView(percent=p, text=self.texts.say(t, **w)) for p, t, w in lines(watched)]
                if order.id in self.snapshot.records
                else [],
            }
        )

    def _problem(self, order: Order, *, is_reached: bool) -> str | None:
        if not is_reached and order.state not in OVER:
            return self.texts.say(OUT_OF_REACH)
        return self.texts.say(BLOCKS[order.blocked]) if order.blocked else None

    def _instance(self, order_id: str, consent: Consent | None, state: str) -> PaidInstanceView:
        price, cap = (
            read(getattr(consent, name, None), consent.currency if consent else "") for name in ("price", "cap")
        )
        return PaidInstanceView(
            id=order_id,
            server=consent.server_name if consent else "",
            provider=self._title(consent.provider) if consent else "",
            account=consent.account_id if consent else "",
            region=consent.region if consent else "",
            instance_type=consent.instance_type if consent else "",
            state=state,
            state_text=self.texts.say(STATES[state]),
            reason=None,
            raw_state=None,
            seen_at=None,
            problem=None,
            currency=consent.currency if consent else None,
            price=_exact(price),
            spent=None,
            cap=_exact(cap),
            share=None,
            seconds=0,
            cloud_seconds=None,
            created_at=consent.offered_at if consent else self.now,
            stops_at=None,
            timer=False,
            stopped_at=None,
            ended_at=None,
            may_bill=False,
            can_stop=False,
            can_start=False,
            can_ask_again=False,
            can_delete=False,
            open_url=None,
            url=f"{self.base}paid/instances/{order_id}",
            stages=[],
        )


def newest(notices: Sequence[Notice]) -> list[Notice]:
    """Of each instance and account the last: it says what has become of those before. They come newest first."""
    last: dict[tuple[str | None, str | None], Notice] = {}
    for one in notices:
        last.setdefault((one.order_id, None if one.order_id else one.binding_id), one)
    return list(last.values())


def _is_usable(binding: Binding | None) -> bool:
    return binding is not None and binding.state is BindingState.ACTIVE


def _exact(amount: Money | None) -> str | None:
    return None if amount is None else amount.exact.split(" ")[1]


def _told(amount: Money | None) -> str | None:
    return None if amount is None else f"{amount.rounded():f}"


def _share(spent: Money | None, cap: Money | None) -> float | None:
    if spent is None or cap is None or not cap.amount:
        return None
    return float(min(Decimal(1), spent.amount / cap.amount))


def consent_view(consent: Consent, texts: Translations, title: str, *, demo: bool) -> ConsentView:
    """A consent, as its person sees and downloads it."""
    values = {name: getattr(consent, name) for name in ConsentView.model_fields if hasattr(consent, name)}
    return ConsentView(
        **values | {"provider": title, "demo": demo, "state_text": texts.say(ANSWERS[consent.state])},
    )
