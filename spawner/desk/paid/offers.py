"""Prices, and the limits of a run: from what the cloud offers to the question. It reads, and changes nothing there."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal
from typing import Any

from tornado.web import HTTPError

from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.errors import BadOption, FreepoolError, Refusal
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OVER, Binding, BindingState, Consent, Order
from spawner.paid.consent import service as consent_service
from spawner.paid.consent.rules import Chosen
from spawner.paid.money import Money
from spawner.paid.names import SERVER_PREFIX
from spawner.paid.providers.base import Capability
from spawner.paid.quotes import HOUR, Needs, Quote

GIB = 1024**3
HOURS = ("0.5", "1", "2", "4", "8", "24")
MODEST_HOURS = "2"
IDLE_MINUTES = ("15", "30", "60", "120", "0")
MODEST_IDLE = "30"
CPUS, MEMORIES, GPUS = ("0", "2", "4", "8", "16"), ("0", "8", "16", "32", "64"), ("0", "1", "2", "4", "8")
AMOUNT = re.compile(r"\d{1,9}(\.\d{1,6})?")
NOT_A_NUMBER = "The limit must be a number, such as {example}."
ONE_OF = "Choose one of the times on the page."


def modest_cap(hourly: Money) -> Money:
    """What `MODEST_HOURS` cost, rounded up to what one can remember."""
    amount = hourly.amount * Decimal(MODEST_HOURS)
    return Money(amount.quantize(Decimal("0.1") if amount < 10 else Decimal(1), ROUND_UP), hourly.currency)


class OffersHandler(PaidHandler):
    """What both pages and API need to put a question together."""

    async def question(
        self,
        binding: Binding,
        region: str,
        instance_type: str,
        *,
        cap: str,
        currency: str,
        hours: str,
        idle: str,
        order: Order | None,
    ) -> Consent:
        """Ask, at a price that is read now."""
        if region not in self.regions_of(binding):
            raise HTTPError(404)
        if not AMOUNT.fullmatch(cap.strip()):
            raise BadOption(NOT_A_NUMBER, example="5")
        if hours not in HOURS or idle not in IDLE_MINUTES:
            raise BadOption(ONE_OF)
        chosen = Chosen(
            server_name=order.server_name if order is not None else await self._new_name(),
            cap=Money(Decimal(cap.strip()), currency),
            max_seconds=int(Decimal(hours) * HOUR),
            idle_seconds=int(idle) * 60 or None,
        )
        return await self.ask(binding, region, instance_type, chosen, order)

    async def ask(
        self, binding: Binding, region: str, instance_type: str, chosen: Chosen, order: Order | None
    ) -> Consent:
        """The same with what was chosen before."""
        async with self.parts.cloud_locks.hold(self.user_name):
            return await consent_service.offer(
                self.paid,
                binding,
                region,
                instance_type,
                chosen,
                session=self.session_mark,
                language=self.language_texts.language,
                token_of=self.answer_word,
                order=order,
            )

    async def quotes(self, binding: Binding, region: str, needs: Needs) -> list[Quote]:
        """What is on offer now."""
        async with self.parts.cloud_locks.hold(self.user_name):
            return await consent_service.quotes(self.paid, binding, region, needs)

    async def _new_name(self) -> str:
        """The first that none of theirs has now: two tabs that ask get the same, and so one instance between them."""
        taken = {one.server_name for one in await self.read(orders.of_user, self.user_name) if one.state not in OVER}
        return next(name for name in (f"{SERVER_PREFIX}{n}" for n in range(1, len(taken) + 2)) if name not in taken)


class InstanceTypesHandler(OffersHandler, PaidPage):
    """GET /paid/new/ACCOUNT: what is on offer, the cheapest that fits first."""

    async def get(self, binding_id: str) -> None:
        """Read the prices now, and show them."""
        binding = await self.my_binding(binding_id)
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
        needs = {
            name: self._at_least(name, known) for name, known in (("cpu", CPUS), ("memory", MEMORIES), ("gpu", GPUS))
        }
        wanted = Needs(cpu=needs["cpu"], memory=needs["memory"] * GIB, gpu_count=needs["gpu"])
        quotes: list[Quote] = []
        problem = ""
        try:
            quotes = await self.quotes(binding, region, wanted)
        except FreepoolError as error:
            problem = self.words_of(error)
        self.show(
            "paid/instance_types.html",
            status=503 if problem else 200,
            binding=binding,
            provider=self.title(binding.provider),
            regions=regions,
            region=region,
            needs={name: str(value) for name, value in needs.items()},
            choices={"cpu": CPUS, "memory": MEMORIES, "gpu": GPUS},
            quotes=quotes,
            read_at=quotes[0].read_at if quotes else None,
            problem=problem,
        )

    def _at_least(self, name: str, known: tuple[str, ...]) -> int:
        given = self.get_query_argument(name, "0")
        return int(given) if given in known else 0


class LimitsHandler(OffersHandler, PaidPage):
    """GET and POST /paid/new/ACCOUNT/REGION/SHAPE: the limits, chosen before the question; POST asks it."""

    async def get(self, binding_id: str, region: str, instance_type: str) -> None:
        """With modest ones filled in."""
        await self._show(await self.my_binding(binding_id), region, instance_type)

    async def post(self, binding_id: str, region: str, instance_type: str) -> None:
        """Ask."""
        binding = await self.my_binding(binding_id)
        order = await self._again()
        given = {name: self.get_body_argument(name, "") for name in ("cap", "currency", "hours", "idle")}
        try:
            consent = await self.question(binding, region, instance_type, order=order, **given)
        except Refusal as refusal:
            if not isinstance(refusal, BadOption):
                raise
            await self._show(
                binding, region, instance_type, given=given, problem=self.say(refusal.template, **refusal.params)
            )
            return
        self.go(f"paid/consents/{consent.id}")

    async def _again(self) -> Order | None:
        """The stopped instance that is to run again, where it is that."""
        order_id = self.get_argument("again", "")
        return await self.my_order(order_id) if order_id else None

    async def _show(
        self,
        binding: Binding,
        region: str,
        instance_type: str,
        *,
        given: dict[str, Any] | None = None,
        problem: str = "",
    ) -> None:
        order = await self._again()
        if binding.state is not BindingState.ACTIVE or region not in self.regions_of(binding):
            raise HTTPError(404)
        quotes = await self.quotes(binding, region, Needs())
        quote = next((one for one in quotes if one.instance_type.id == instance_type), None)
        if quote is None:
            raise HTTPError(404)
        if quote.hourly is None or not quote.is_buyable:
            self.tell(
                self.say("It cannot be had just now"),
                self.say(NO_PRICE if quote.hourly is None else NO_STOCK),
                url=f"{self.desk.base}paid/new/{binding.id}?region={region}",
                label=self.say("Other machines"),
                status=409,
            )
            return
        provider = self.paid.providers[binding.provider]
        modest = modest_cap(quote.hourly)
        known = {
            "cap": f"{modest.rounded():f}",
            "currency": modest.currency,
            "hours": MODEST_HOURS,
            "idle": MODEST_IDLE,
        }
        self.show(
            "paid/limits.html",
            status=400 if problem else 200,
            binding=binding,
            provider=self.title(binding.provider),
            has_idle=Capability.IDLE_CULLER in provider.capabilities,
            region=region,
            quote=quote,
            order=order,
            given=known | (given or {}),
            choices={"hours": HOURS, "idle": IDLE_MINUTES},
            problem=problem,
        )


NO_PRICE = "Its price is not known just now, and nothing is started at an unknown price."
NO_STOCK = "The cloud has none of it just now."
