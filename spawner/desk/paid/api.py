"""The JSON API of paid instances.

A script may read, stop an instance and withdraw a consent. Asking for consent, consenting and deleting are possible
only on pages: any script that runs in the user's notebook or browser could call the API.
"""

from __future__ import annotations

from pydantic import BaseModel
from tornado.web import HTTPError

from spawner.desk.http import JsonHandler
from spawner.desk.paid.consents import AnswerHandler
from spawner.desk.paid.forms import QuotesQuery
from spawner.desk.paid.http import PaidHandler
from spawner.desk.paid.offers import OffersHandler
from spawner.desk.paid.state import read_paid_view
from spawner.desk.paid.views import ConsentView, InstanceTypeView, PaidView
from spawner.desk.requests import EmptyRequest, parse, query_fields
from spawner.ledger.paid import audit, consents
from spawner.paid.orders import service as order_service
from spawner.paid.quotes import Quote


class QuoteView(InstanceTypeView):
    """An instance type and its price per hour, as exact text; null where it is not known. Sizes are in bytes."""

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
    """Instance types of a region, the cheapest that fits first."""

    account: str
    region: str
    quotes: list[QuoteView]


class ConsentsView(BaseModel):
    """All consents of the user, newest first."""

    consents: list[ConsentView]


class PaidJson(PaidHandler, JsonHandler):
    """Base of the API."""

    async def view(self) -> PaidView:
        """The user's state, read now."""
        return await read_paid_view(self.desk, self.paid, self.person_id, self.language_texts)


class PaidStateHandler(PaidJson):
    """GET /api/paid"""

    async def get(self) -> None:
        """The whole state."""
        self.answer(await self.view())


class QuotesHandler(OffersHandler, PaidJson):
    """GET /api/paid/quotes"""

    async def get(self) -> None:
        """Prices, read now."""
        binding = await self.own_binding(self.get_query_argument("account", ""))
        regions = self.regions_of(binding)
        region = self.get_query_argument("region", regions[0] if regions else "")
        if region not in regions:
            raise HTTPError(404)
        quotes = await self.quotes(binding, region, QuotesQuery.parse(query_fields(self)).needs)
        self.answer(QuotesView(account=binding.id, region=region, quotes=[_quote(quote) for quote in quotes]))


def _quote(quote: Quote) -> QuoteView:
    instance_type, hourly = quote.instance_type, quote.hourly
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
        fits=quote.fits,
        buyable=quote.is_buyable,
        read_at=quote.read_at.isoformat(),
    )


class ConsentsHandler(PaidJson):
    """GET /api/paid/consents"""

    async def get(self) -> None:
        """All consents of the user."""
        rows = await self.read(consents.of_person, self.person_id)
        views = [self.consent_view(consent) for consent in rows]
        self.answer(ConsentsView(consents=views))


class ConsentHandler(PaidJson):
    """GET /api/paid/consents/ID"""

    async def get(self, consent_id: str) -> None:
        """One consent."""
        self.answer(self.consent_view(await self.own_consent(consent_id)))


class WithdrawHandler(AnswerHandler, PaidJson):
    """POST /api/paid/consents/ID/withdraw"""

    async def post(self, consent_id: str) -> None:
        """Withdraw it."""
        parse(EmptyRequest, self.request.body)
        await self.withdraw(await self.own_consent(consent_id))
        self.answer(self.consent_view(await self.own_consent(consent_id)))


class StopHandler(PaidJson):
    """POST /api/paid/instances/ID/stop"""

    async def post(self, order_id: str) -> None:
        """Record the request in the ledger. The steward calls the cloud."""
        parse(EmptyRequest, self.request.body)
        order = await self.own_order(order_id)
        await self.desk.ledger.awrite(order_service.want_stop, order.id, by=self.user_name, now=self.paid.now())
        self.answer(await self.view())


class SeenHandler(PaidJson):
    """POST /api/paid/notices/N/seen"""

    async def post(self, seq: str) -> None:
        """Dismiss a notice."""
        parse(EmptyRequest, self.request.body)
        await self.desk.ledger.awrite(audit.see, self.person_id, int(seq), now=self.paid.now())
        self.answer(await self.view())
