"""The same as the pages, for programs and scripts of the person's own: everything is JSON, every change a POST.

A script may look, stop, and take a question back. To be asked, to agree and to delete it takes a person on a page:
what can be asked for by a script can be asked for by any script that runs where the person is.
"""

from __future__ import annotations

from pydantic import BaseModel
from tornado.web import HTTPError

from spawner.desk.http import JsonHandler
from spawner.desk.paid.consents import AnswerHandler
from spawner.desk.paid.http import PaidHandler
from spawner.desk.paid.offers import GIB, OffersHandler
from spawner.desk.paid.views import ConsentView, InstanceTypeView, PaidView, read_paid_view
from spawner.desk.requests import EmptyRequest, parse
from spawner.errors import BadOption
from spawner.ledger.paid import audit, consents
from spawner.paid.orders import service as order_service
from spawner.paid.quotes import Needs, Quote

LONGEST_NUMBER = 6


class QuoteView(InstanceTypeView):
    """A machine and what an hour of it costs, as exact text; null where that is not known. Sizes in bytes."""

    cpu: int
    memory: int
    gpu_count: int
    gpu_name: str | None
    disk: int | None
    price: str | None
    currency: str | None
    unit: str
    available: bool | None
    fits: bool
    buyable: bool
    read_at: str


class QuotesView(BaseModel):
    """What is on offer, the cheapest that fits first."""

    account: str
    region: str
    quotes: list[QuoteView]


class ConsentsView(BaseModel):
    """All that the person was ever asked, newest first."""

    consents: list[ConsentView]


class PaidJson(PaidHandler, JsonHandler):
    """Base of the API."""

    async def view(self) -> PaidView:
        """All of it."""
        return await read_paid_view(self.desk, self.paid, self.user_name, self.user_since, self.language_texts)


class PaidStateHandler(PaidJson):
    """GET /api/paid"""

    async def get(self) -> None:
        """Everything."""
        self.answer(await self.view())


class QuotesHandler(OffersHandler, PaidJson):
    """GET /api/paid/quotes"""

    async def get(self) -> None:
        """Read now."""
        binding = await self.my_binding(self.get_query_argument("account", ""))
        regions = self.regions_of(binding)
        region = self.get_query_argument("region", regions[0] if regions else "")
        if region not in regions:
            raise HTTPError(404)
        needs = {name: self._at_least(name) for name in ("cpu", "memory", "gpu")}
        wanted = Needs(cpu=needs["cpu"], memory=needs["memory"] * GIB, gpu_count=needs["gpu"])
        found = await self.quotes(binding, region, wanted)
        self.answer(QuotesView(account=binding.id, region=region, quotes=[_quote(one) for one in found]))

    def _at_least(self, name: str) -> int:
        given = self.get_query_argument(name, "0")
        if not given.isascii() or not given.isdecimal() or len(given) > LONGEST_NUMBER:
            raise BadOption("{name} must be a whole number.", name=name)
        return int(given)


def _quote(one: Quote) -> QuoteView:
    instance_type, hourly = one.instance_type, one.hourly
    return QuoteView(
        instance_type=instance_type.id,
        cpu=instance_type.cpu,
        memory=instance_type.memory,
        gpu_count=instance_type.gpu_count,
        gpu_name=instance_type.gpu_name,
        disk=instance_type.disk,
        price=None if hourly is None else hourly.text,
        currency=None if hourly is None else hourly.currency,
        unit="hour",
        available=instance_type.available,
        fits=one.fits,
        buyable=one.is_buyable,
        read_at=one.read_at.isoformat(),
    )


class ConsentsHandler(PaidJson):
    """GET /api/paid/consents"""

    async def get(self) -> None:
        """All of theirs."""
        mine = [one for one in await self.read(consents.of_user, self.user_name) if one.user_since == self.user_since]
        self.answer(ConsentsView(consents=[self.consent_view(one) for one in mine]))


class ConsentHandler(PaidJson):
    """GET /api/paid/consents/ID"""

    async def get(self, consent_id: str) -> None:
        """One of theirs."""
        self.answer(self.consent_view(await self.my_consent(consent_id)))


class WithdrawHandler(AnswerHandler, PaidJson):
    """POST /api/paid/consents/ID/withdraw"""

    async def post(self, consent_id: str) -> None:
        """The no, which costs nothing."""
        parse(EmptyRequest, self.request.body)
        await self.withdraw(await self.my_consent(consent_id))
        self.answer(self.consent_view(await self.my_consent(consent_id)))


class StopHandler(PaidJson):
    """POST /api/paid/instances/ID/stop"""

    async def post(self, order_id: str) -> None:
        """SpawnRequest it."""
        parse(EmptyRequest, self.request.body)
        order = await self.my_order(order_id)
        await self.desk.ledger.awrite(order_service.want_stop, order.id, by=self.user_name, now=self.paid.now())
        self.answer(await self.view())


class SeenHandler(PaidJson):
    """POST /api/paid/notices/N/seen"""

    async def post(self, seq: str) -> None:
        """Put it away."""
        parse(EmptyRequest, self.request.body)
        await self.desk.ledger.awrite(audit.see, self.user_name, int(seq), now=self.paid.now())
        self.answer(await self.view())
