"""One paid instance as its user sees it: from its order and consent to the model of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from spawner.desk.i18n import Translations
from spawner.desk.paid.texts import BLOCKS, OUT_OF_REACH, STATES, cloud_state, display_state, reason_text
from spawner.desk.paid.views import PaidInstanceView, StageView
from spawner.ledger.paid.rows import OVER, Binding, BindingState, Consent, Order, OrderEvent, OrderState
from spawner.paid.money import Money, read
from spawner.paid.names import order_id_of
from spawner.paid.orders import service as order_service
from spawner.paid.orders.policy import seconds_run, spent_by
from spawner.paid.orders.progress import lines
from spawner.paid.paid import Paid

MAY_END = ("asked", "starting", "checking", "running", "found", "failed")
MAY_BILL = (*MAY_END, "stopping")


@dataclass(frozen=True)
class ViewContext:
    """What the views of all instances of one user have in common. `base` is the desk's URL prefix."""

    paid: Paid
    texts: Translations
    base: str
    now: datetime
    paused: bool
    """Whether an administrator has paused the creation of paid instances."""

    def title(self, provider: str) -> str:
        """The cloud's name; its id where it is not in the settings any more."""
        known = self.paid.providers.get(provider)
        return self.texts.say(known.title) if known is not None else provider


def consent_instance(consent: Consent, context: ViewContext) -> PaidInstanceView:
    """An instance that the user has consented to and that has no order yet."""
    instance_id = order_id_of(consent)
    return PaidInstanceView(
        id=instance_id,
        server=consent.server_name,
        provider=context.title(consent.provider),
        account=consent.account_id,
        region=consent.region,
        instance_type=consent.instance_type,
        state="asked",
        state_text=context.texts.say(STATES["asked"]),
        reason=None,
        raw_state=None,
        seen_at=None,
        problem=None,
        currency=consent.currency,
        price=exact(read(consent.price, consent.currency)),
        spent=None,
        cap=exact(read(consent.cap, consent.currency)),
        share=None,
        seconds=0,
        cloud_seconds=None,
        created_at=consent.offered_at,
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
        url=f"{context.base}paid/instances/{instance_id}",
        stages=[],
    )


@dataclass(frozen=True)
class OrderInstance:
    """An instance that has an order.

    `consent` is the one of its current or last run; `is_asked`: the user has consented to another run that has not
    started. `record` are the order's events, where it is starting.
    """

    order: Order
    consent: Consent | None
    binding: Binding | None
    is_asked: bool
    record: Sequence[OrderEvent] | None
    context: ViewContext

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return "asked" if self.is_asked else display_state(self.order)

    def view(self) -> PaidInstanceView:
        """All of it."""
        order, consent, context, state = self.order, self.consent, self.context, self.state
        spent, cap = self._spent(), read(consent.cap, consent.currency) if consent else None
        return PaidInstanceView(
            id=order.id,
            server=order.server_name,
            provider=context.title(order.provider),
            account=self._account(),
            region=order.region,
            instance_type=order.instance_type,
            state=state,
            state_text=context.texts.say(STATES[state]),
            reason=reason_text(order, state, context.texts) if state not in MAY_END else None,
            raw_state=order.raw_state,
            seen_at=order.seen_at,
            problem=self._problem(),
            currency=consent.currency if consent else None,
            price=exact(read(consent.price, consent.currency)) if consent else None,
            spent=None if spent is None else f"{spent.rounded():f}",
            cap=exact(cap),
            share=_share(spent, cap),
            seconds=int(seconds_run(order, context.now)) if self._is_charged else (self._cloud_seconds() or 0),
            cloud_seconds=self._cloud_seconds(),
            created_at=order.created_at,
            stops_at=order.stops_at if self._is_charged or state in MAY_BILL[1:] else None,
            timer=order.auto_stop_set_at is not None,
            stopped_at=order.stopped_at,
            ended_at=order.ended_at,
            may_bill=state in MAY_BILL and order.state not in (OrderState.INTENDED, OrderState.STOPPED),
            can_stop=self._can_stop(),
            can_start=self._can_ask and state == "stopped",
            can_ask_again=self._can_ask and state == "not_made",
            can_delete=self._can_delete(),
            open_url=self._open_url(),
            url=f"{context.base}paid/instances/{order.id}",
            stages=self._stages(),
        )

    @property
    def _is_charged(self) -> bool:
        """Whether the current run costs money now, as far as Freepool knows."""
        order = self.order
        return self.state in MAY_BILL and order.run_began_at is not None and order.state is not OrderState.STOPPED

    @property
    def _is_reached(self) -> bool:
        """Whether the cloud and the region are in the settings."""
        return self.context.paid.reaches(self.order.provider, self.order.region)

    @property
    def _can_act(self) -> bool:
        return self.binding is not None and self._is_reached

    @property
    def _can_ask(self) -> bool:
        is_linked = self.binding is not None and self.binding.state is BindingState.ACTIVE
        return is_linked and self._is_reached and not self.context.paused

    def _can_stop(self) -> bool:
        return self._can_act and self.state in MAY_END and self.order.state is not OrderState.STOPPED

    def _can_delete(self) -> bool:
        is_ended = self.state in ("gone", "not_made", "deleting")
        return self._can_act and self.order.delete_wanted_at is None and not is_ended

    def _account(self) -> str:
        if self.binding is not None:
            return self.binding.account_id
        return self.consent.account_id if self.consent is not None else ""

    def _spent(self) -> Money | None:
        currency = self.consent.currency if self.consent is not None else ""
        spent = spent_by(self.order, self.consent, self.context.now) if self._is_charged else self.order.spent
        return read(spent, currency)

    def _cloud_seconds(self) -> int | None:
        """Of this run alone; the cloud counts over all runs."""
        order = self.order
        return None if order.running is None else max(0, int(order.running - order.ran_before))

    def _problem(self) -> str | None:
        if not self._is_reached and self.order.state not in OVER:
            return self.context.texts.say(OUT_OF_REACH)
        return self.context.texts.say(BLOCKS[self.order.blocked]) if self.order.blocked else None

    def _open_url(self) -> str | None:
        if not order_service.is_open(self.order) or not self._is_reached:
            return None
        return f"{self.context.base}paid/open/{quote(self.order.server_name)}"

    def _stages(self) -> list[StageView]:
        if self.record is None:
            return []
        progress = order_service.OrderProgress(self.order, list(self.record))
        return [
            StageView(percent=percent, text=self.context.texts.say(template, **self._translated(params)))
            for percent, template, params in lines(progress)
        ]

    def _translated(self, params: Mapping[str, str]) -> dict[str, str]:
        return {
            name: cloud_state(value, self.context.texts) if name == "stage" else value for name, value in params.items()
        }


def exact(amount: Money | None) -> str | None:
    """The amount without its currency and without rounding."""
    return None if amount is None else amount.exact.split(" ")[1]


def _share(spent: Money | None, cap: Money | None) -> float | None:
    if spent is None or cap is None or not cap.amount:
        return None
    return float(min(Decimal(1), spent.amount / cap.amount))
