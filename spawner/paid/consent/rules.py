"""Rules of consents, as pure functions: checks before an offer, checks of an acceptance, and price changes."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from spawner.errors import BadOption, NoConsent, NotAllowed, OfferChanged
from spawner.ledger.paid.rows import Binding, Consent, ConsentKind, ConsentState, Order
from spawner.paid import quotes
from spawner.paid.accounts.binding import may_order
from spawner.paid.consent import text as consent_text
from spawner.paid.consent.text import ENGLISH, Facts
from spawner.paid.money import Money, read
from spawner.paid.providers.base import Capability, InstanceType
from spawner.paid.quotes import UNIT, Quote

GOOD_FOR = timedelta(minutes=10)
"""How long an offer is valid after its price was read."""
SHORTEST_RUN = 600
"""Seconds. Shorter runs would mostly pay for starting and stopping."""
LONGEST_RUN = 7 * 24 * 3600
NOT_FROM_THE_PAGE = "This approval did not come from the approval page."
NOTHING_NEW = "No new notebooks can be created in this cloud account right now."
TYPE_NOT_OFFERED = "{instance_type} is no longer available."
TYPE_UNAVAILABLE = "{instance_type} is sold out right now."
PRICE_UNKNOWN = "The price of {instance_type} is not available right now."
PRICE_CHANGED = "The price of {instance_type} has changed from {old} to {new} per hour."


@dataclass(frozen=True)
class Chosen:
    """Choices beside the instance type. `disk` in bytes; None leaves `idle_seconds` or `image` to the cloud."""

    server_name: str
    cap: Money
    max_seconds: int
    idle_seconds: int | None = None
    disk: int | None = None
    image: str | None = None


@dataclass(frozen=True)
class Parties:
    """The user's binding, and the cloud with its region, title and capabilities.

    `order`: the stopped instance to start again; None to create one.
    """

    binding: Binding
    region: str
    title: str
    capabilities: frozenset[Capability]
    order: Order | None = None


@dataclass(frozen=True)
class Page:
    """The page that shows the offer. It must send `token` with the acceptance; only the token's hash is stored.

    `zone`: the reader's time zone.
    """

    session: str
    language: str
    token: str
    zone: tzinfo = UTC


def ask(consent_id: str, parties: Parties, quote: Quote, chosen: Chosen, page: Page, *, now: datetime) -> Consent:
    """Make the offer of a quote with the user's choices. Raises `NotAllowed`, `OfferChanged` or `BadOption`."""
    binding, order = parties.binding, parties.order
    hourly, compute = _price_of(binding, quote, now)
    run_seconds = _run_seconds(chosen, hourly)
    can_cull = Capability.IDLE_CULLER in parties.capabilities
    facts = Facts(
        kind=ConsentKind.CREATE if order is None else ConsentKind.START,
        provider=parties.title,
        capabilities=parties.capabilities,
        account_id=binding.account_id,
        region=parties.region,
        instance_type=quote.instance_type,
        price=compute,
        disk=quote.instance_type.least_disk if chosen.disk is None else chosen.disk,
        disk_price=quote.disk,
        cap=chosen.cap,
        run_seconds=run_seconds,
        idle_seconds=chosen.idle_seconds if can_cull else None,
        read_at=quote.read_at,
        now=now,
        zone=page.zone,
    )
    text = consent_text.write(facts, page.language)
    return Consent(
        id=consent_id,
        person_id=binding.person_id,
        user_name=binding.user_name,
        user_since=binding.user_since,
        session=page.session,
        server_name=chosen.server_name,
        kind=facts.kind,
        order_id=None if order is None else order.id,
        binding_id=binding.id,
        provider=binding.provider,
        region=parties.region,
        account_id=binding.account_id,
        instance_type=quote.instance_type.id,
        image=chosen.image,
        price=compute.text,
        currency=compute.currency,
        unit=UNIT,
        disk=facts.disk,
        disk_price=None if quote.disk is None else quote.disk.text,
        cap=chosen.cap.text,
        max_seconds=chosen.max_seconds,
        run_seconds=run_seconds,
        idle_seconds=facts.idle_seconds,
        read_at=quote.read_at,
        offered_at=now,
        expires_at=quote.read_at + GOOD_FOR,
        text_version=consent_text.VERSION,
        text_hash=consent_text.hash_of(text),
        language=ENGLISH if page.language == ENGLISH else consent_text.CHINESE,
        text=text,
        answer_hash=consent_text.hash_of(page.token),
    )


def _price_of(binding: Binding, quote: Quote, now: datetime) -> tuple[Money, Money]:
    """Price of an hour, in total and without the disk. Raises `NotAllowed` or `OfferChanged` if it cannot be offered
    now."""
    if not may_order(binding):
        raise NotAllowed(NOTHING_NEW, next_step="Check the status of the linked account.")
    hourly = quote.hourly
    if hourly is None or quote.compute is None or not quote.is_buyable:
        raise OfferChanged(
            "{instance_type} is not available right now.",
            next_step="Choose another machine type.",
            instance_type=quote.instance_type.id,
        )
    if now >= quote.read_at + GOOD_FOR:
        raise OfferChanged("This price is out of date.", next_step="Reload the prices.")
    return hourly, quote.compute


def _run_seconds(chosen: Chosen, hourly: Money) -> int:
    if chosen.cap.currency != hourly.currency:
        raise BadOption("The spending limit must be in {currency}, like the price.", currency=hourly.currency)
    if not SHORTEST_RUN <= chosen.max_seconds <= LONGEST_RUN:
        raise BadOption(
            "A session lasts from {shortest} minutes to {longest} hours.",
            shortest=SHORTEST_RUN // 60,
            longest=LONGEST_RUN // 3600,
        )
    seconds = quotes.run_seconds(chosen.cap, hourly, chosen.max_seconds)
    if seconds < SHORTEST_RUN:
        raise BadOption("{cap} is not enough for {minutes} minutes.", cap=chosen.cap.exact, minutes=SHORTEST_RUN // 60)
    return seconds


def check_answer(consent: Consent, *, person_id: str, session: str, token: str, now: datetime) -> None:
    """Check that this user, in this session and from this page, may consent now.

    Raises `NoConsent` or `OfferChanged`.
    """
    if consent.person_id != person_id:
        raise NoConsent("Only the account owner can approve charges.")
    if consent.session != session:
        raise OfferChanged(
            "This approval page belongs to another session.", next_step="Review and approve it in this session."
        )
    if not hmac.compare_digest(consent_text.hash_of(token), consent.answer_hash):
        raise NoConsent(NOT_FROM_THE_PAGE, next_step="Open the approval page and approve there.")
    if consent.state is not ConsentState.OFFERED:
        raise OfferChanged("This has already been answered.", next_step="Check its status, or start over.")
    if now >= consent.expires_at:
        raise OfferChanged("This price is out of date.", next_step="Reload the prices.")


def change_since(consent: Consent, instance_types: Iterable[InstanceType]) -> tuple[str, Mapping[str, str]] | None:
    """The difference between offer and consent, as (template, params); None if there is none. A lower price counts."""
    instance_type = next((offered for offered in instance_types if offered.id == consent.instance_type), None)
    if instance_type is None:
        return TYPE_NOT_OFFERED, {"instance_type": consent.instance_type}
    if instance_type.price is None:
        return PRICE_UNKNOWN, {"instance_type": consent.instance_type}
    if instance_type.available is False:
        return TYPE_UNAVAILABLE, {"instance_type": consent.instance_type}
    agreed, disk = read(consent.price, consent.currency), read(consent.disk_price, consent.currency)
    assert agreed is not None
    now_disk = quotes.disk_price(instance_type, consent.disk)
    if instance_type.price != agreed or now_disk is None or now_disk.amount != (disk.amount if disk else 0):
        return PRICE_CHANGED, {
            "instance_type": consent.instance_type,
            "old": agreed.exact,
            "new": instance_type.price.exact,
        }
    return None
