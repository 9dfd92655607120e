"""Pages with the prices of instance types and the limits of a run. They only read from the cloud."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal

from tornado.web import HTTPError

from spawner.desk.paid.forms import CPUS, GPUS, HOURS, IDLE_MINUTES, MEMORIES, LimitsForm, NeedsQuery
from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.desk.requests import form_fields, query_fields
from spawner.errors import BadOption, FreepoolError
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OVER, Binding, BindingState, Consent, Order
from spawner.paid.consent import service as consent_service
from spawner.paid.consent.rules import Chosen
from spawner.paid.money import Money
from spawner.paid.names import SERVER_PREFIX
from spawner.paid.providers.base import Capability
from spawner.paid.quotes import Needs, Quote, QuoteGroup, grouped

DEFAULT_HOURS = "2"
DEFAULT_IDLE = "30"
NO_PRICE = "The price is not available right now. Notebooks cannot be started without a known price."
NO_STOCK = "Sold out in this region right now."
GROUPS: Mapping[QuoteGroup, str] = {
    QuoteGroup.FITS: "Meets your requirements, lowest price first",
    QuoteGroup.SOLD_OUT: "Meets your requirements, but is sold out",
    QuoteGroup.TOO_SMALL: "Below your requirements, lowest price first",
    QuoteGroup.NO_PRICE: "Price not available right now",
}


def default_cap(hourly: Money) -> Money:
    """The price of `DEFAULT_HOURS`, rounded up to one decimal place, or to a whole number from 10 on."""
    amount = hourly.amount * Decimal(DEFAULT_HOURS)
    return Money(amount.quantize(Decimal("0.1") if amount < 10 else Decimal(1), ROUND_UP), hourly.currency)


class OffersHandler(PaidHandler):
    """Base of handlers that read prices and ask for consent."""

    async def question(
        self, binding: Binding, region: str, instance_type: str, limits: LimitsForm, order: Order | None
    ) -> Consent:
        """Ask for consent, at a price that is read now. `order` is the stopped instance to start again, if any."""
        chosen = Chosen(
            server_name=order.server_name if order is not None else await self._new_name(),
            cap=Money(Decimal(limits.cap), limits.currency),
            max_seconds=limits.max_seconds,
            idle_seconds=limits.idle_seconds,
        )
        return await self.ask(binding, region, instance_type, chosen, order)

    async def ask(
        self, binding: Binding, region: str, instance_type: str, chosen: Chosen, order: Order | None
    ) -> Consent:
        """Ask for consent with limits that were chosen before."""
        async with self.parts.cloud_locks.hold(self.person_id):
            return await consent_service.offer(
                self.paid,
                binding,
                region,
                instance_type,
                chosen,
                session=self.session_mark,
                language=self.language_texts.language,
                token_of=self.answer_token,
                order=order,
                zone=self.zone,
            )

    async def quotes(self, binding: Binding, region: str, needs: Needs) -> list[Quote]:
        """Prices, read now."""
        async with self.parts.cloud_locks.hold(self.person_id):
            return await consent_service.quotes(self.paid, binding, region, needs)

    async def _new_name(self) -> str:
        """The first server name that no instance of the user has. Two tabs get the same name, so together they can
        create one instance only."""
        own = await self.read(orders.of_person, self.person_id)
        taken = {order.server_name for order in own if order.state not in OVER}
        return next(name for name in (f"{SERVER_PREFIX}{n}" for n in range(1, len(taken) + 2)) if name not in taken)


class InstanceTypesHandler(OffersHandler, PaidPage):
    """GET /paid/new/ACCOUNT: instance types with their prices, the cheapest that fits first"""

    async def get(self, binding_id: str) -> None:
        """The page, with prices that are read now."""
        binding = await self.own_binding(binding_id)
        if binding.state is not BindingState.ACTIVE:
            self.go(f"paid/accounts/{binding.id}")
            return
        regions = self.regions_of(binding)
        if not self.is_on(binding.provider) or not regions:
            self.go(f"paid/accounts/{binding.id}")
            return
        region = self.get_query_argument("region", regions[0])
        if region not in regions:
            raise HTTPError(404)
        query = NeedsQuery.model_validate(query_fields(self))
        quotes: list[Quote] = []
        problem = ""
        try:
            quotes = await self.quotes(binding, region, query.needs)
        except FreepoolError as error:
            problem = self.text_of(error)
        self.show(
            "paid/instance_types.html",
            status=503 if problem else 200,
            binding=binding,
            provider=self.title(binding.provider),
            regions=regions,
            region=region,
            needs={"cpu": query.cpu, "memory": query.memory, "gpu": query.gpu},
            choices={"cpu": CPUS, "memory": MEMORIES, "gpu": GPUS},
            groups=[(self.say(GROUPS[group]), members) for group, members in grouped(quotes)],
            has_currencies=len({one.hourly.currency for one in quotes if one.hourly is not None}) > 1,
            read_at=quotes[0].read_at if quotes else None,
            problem=problem,
        )


class LimitsHandler(OffersHandler, PaidPage):
    """GET and POST /paid/new/ACCOUNT/REGION/INSTANCE_TYPE: the limits of a run"""

    async def get(self, binding_id: str, region: str, instance_type: str) -> None:
        """The form, with low limits filled in."""
        await self._show(await self.own_binding(binding_id), region, instance_type)

    async def post(self, binding_id: str, region: str, instance_type: str) -> None:
        """Ask for consent with these limits. Redirects to the question."""
        binding = await self.own_binding(binding_id)
        order = await self._order_to_restart()
        if region not in self.regions_of(binding):
            raise HTTPError(404)
        fields = form_fields(self)
        try:
            consent = await self.question(binding, region, instance_type, LimitsForm.parse(fields), order)
        except BadOption as error:
            await self._show(
                binding, region, instance_type, given=fields, problem=self.say(error.template, **error.params)
            )
            return
        self.go(f"paid/consents/{consent.id}")

    async def _order_to_restart(self) -> Order | None:
        """The stopped instance that is to be started again, if the page is about one."""
        order_id = self.get_argument("again", "")
        return await self.own_order(order_id) if order_id else None

    async def _show(
        self,
        binding: Binding,
        region: str,
        instance_type: str,
        *,
        given: Mapping[str, str] | None = None,
        problem: str = "",
    ) -> None:
        order = await self._order_to_restart()
        quote = await self._quote(binding, region, instance_type)
        if quote.hourly is None or not quote.is_buyable:
            self.tell(
                self.say("Not available right now"),
                self.say(NO_PRICE if quote.hourly is None else NO_STOCK),
                url=f"{self.desk.base}paid/new/{binding.id}?region={region}",
                label=self.say("Other machine types"),
                status=409,
            )
            return
        cap = default_cap(quote.hourly)
        defaults = {
            "cap": f"{cap.rounded():f}",
            "currency": cap.currency,
            "hours": DEFAULT_HOURS,
            "idle": DEFAULT_IDLE,
        }
        self.show(
            "paid/limits.html",
            status=400 if problem else 200,
            binding=binding,
            provider=self.title(binding.provider),
            has_idle=Capability.IDLE_CULLER in self.paid.providers[binding.provider].capabilities,
            region=region,
            quote=quote,
            order=order,
            given=defaults | dict(given or {}),
            choices={"hours": HOURS, "idle": IDLE_MINUTES},
            problem=problem,
        )

    async def _quote(self, binding: Binding, region: str, instance_type: str) -> Quote:
        """The price of one instance type, read now; 404 where it is not offered."""
        if binding.state is not BindingState.ACTIVE or region not in self.regions_of(binding):
            raise HTTPError(404)
        for quote in await self.quotes(binding, region, Needs()):
            if quote.instance_type.id == instance_type:
                return quote
        raise HTTPError(404)
