"""A user's accounts and paid instances, read from the ledger in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.desk.context import Desk
from spawner.desk.i18n import Translations
from spawner.desk.paid.instance_view import OrderInstance, ViewContext, consent_instance
from spawner.desk.paid.texts import BINDING_STATES, BLOCKS, GOOD_NEWS, display_state, notice_text
from spawner.desk.paid.views import AccountView, NoticeView, PaidInstanceView, PaidView
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import (
    OVER,
    Binding,
    Consent,
    ConsentState,
    Notice,
    NoticeKind,
    Order,
    OrderEvent,
    OrderState,
)
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.names import order_id_of
from spawner.paid.orders import service as order_service
from spawner.paid.paid import Paid


@dataclass(frozen=True)
class PaidSnapshot:
    """The rows of one user. `consents` are by id; `accepted` are those that no start has used yet.

    `records` are the events of the orders that are starting, by id.
    """

    paused: bool
    bindings: list[Binding]
    orders: list[Order]
    consents: Mapping[str, Consent]
    accepted: list[Consent]
    notices: list[Notice]
    records: Mapping[str, list[OrderEvent]]


def read_paid(connection: Connection, person_id: str, *, now: datetime) -> PaidSnapshot:
    """The rows of this person."""
    own_orders = orders.of_person(connection, person_id)
    own_consents = consents.of_person(connection, person_id)
    starting = [order for order in own_orders if order_service.is_wanted(order) and not order_service.is_open(order)]
    return PaidSnapshot(
        paused=NO_NEW in admin_settings.all_of(connection),
        bindings=bindings.of_person(connection, person_id),
        orders=own_orders,
        consents={consent.id: consent for consent in own_consents},
        accepted=[
            consent for consent in own_consents if consent.state is ConsentState.ACCEPTED and consent.expires_at > now
        ],
        notices=audit.notices_of(connection, person_id, unseen_only=True),
        records={order.id: order_service.read_progress(connection, order.id).record for order in starting},
    )


async def read_paid_view(desk: Desk, paid: Paid, person_id: str, texts: Translations) -> PaidView:
    """A user's accounts and instances, read now."""
    builder = await read_builder(desk, paid, person_id, texts)
    return builder.view()


async def read_builder(desk: Desk, paid: Paid, person_id: str, texts: Translations) -> PaidViewBuilder:
    """The same, for pages that show a part of it."""
    now = paid.now()
    snapshot = await desk.ledger.aread(read_paid, person_id, now=now)
    return PaidViewBuilder(snapshot, paid, texts, desk.base, desk.settings.is_demo, now)


@dataclass(frozen=True)
class PaidViewBuilder:
    """Builds the views of one snapshot. `base` is the desk's URL prefix."""

    snapshot: PaidSnapshot
    paid: Paid
    texts: Translations
    base: str
    demo: bool
    now: datetime

    def view(self) -> PaidView:
        """All of it."""
        ordered = {order.id for order in self.snapshot.orders}
        waiting = [consent for consent in self.snapshot.accepted if order_id_of(consent) not in ordered]
        current = [order for order in self.snapshot.orders if order.state not in OVER]
        return PaidView(
            demo=self.demo,
            offered=not self.snapshot.paused,
            accounts_url=f"{self.base}paid",
            accounts=[self._account(binding) for binding in self.snapshot.bindings],
            instances=[*map(self.consent_instance, waiting), *map(self.order_instance, current)],
            history=[self.order_instance(order) for order in self.snapshot.orders if order.state in OVER],
            notices=[
                NoticeView(
                    seq=notice.seq,
                    at=notice.at,
                    text=notice_text(notice, self.texts),
                    good=notice.kind in GOOD_NEWS,
                    instance=notice.order_id,
                )
                for notice in newest(self.snapshot.notices)
                if self._is_current(notice)
            ],
        )

    def consent_instance(self, consent: Consent) -> PaidInstanceView:
        """An instance that has no order yet."""
        return consent_instance(consent, self._context)

    def order_instance(self, order: Order) -> PaidInstanceView:
        """An instance that has an order."""
        return OrderInstance(
            order=order,
            consent=self.snapshot.consents.get(order.consent_id or ""),
            binding=next((link for link in self.snapshot.bindings if link.id == order.binding_id), None),
            is_asked=self.unused_consent(order) is not None,
            record=self.snapshot.records.get(order.id),
            context=self._context,
        ).view()

    def unused_consent(self, order: Order) -> Consent | None:
        """The consent to start a stopped instance again, where the hub has not started it yet."""
        if order.state is not OrderState.STOPPED:
            return None
        return next((consent for consent in self.snapshot.accepted if consent.order_id == order.id), None)

    def _is_current(self, notice: Notice) -> bool:
        """False for "is running" when the instance does not run any more, or is being stopped."""
        if notice.kind is not NoticeKind.RUNNING:
            return True
        return any(order.id == notice.order_id and display_state(order) == "running" for order in self.snapshot.orders)

    @property
    def _context(self) -> ViewContext:
        return ViewContext(self.paid, self.texts, self.base, self.now, self.snapshot.paused)

    def _account(self, binding: Binding) -> AccountView:
        return AccountView(
            id=binding.id,
            provider=self._context.title(binding.provider),
            account_id=binding.account_id,
            ending=binding.account_id[-4:],
            state=binding.state.value,
            state_text=self.texts.say(BINDING_STATES[binding.state]),
            problem=self.texts.say(BLOCKS[binding.blocked]) if binding.blocked else None,
            url=f"{self.base}paid/accounts/{binding.id}",
        )


def newest(notices: Sequence[Notice]) -> list[Notice]:
    """The newest notice of each instance and account. `notices` are newest first."""
    last: dict[tuple[str | None, str | None], Notice] = {}
    for notice in notices:
        last.setdefault((notice.order_id, None if notice.order_id else notice.binding_id), notice)
    return list(last.values())
