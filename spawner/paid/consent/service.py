"""Quotes, offers and consents: the desk's calls before an order is placed.

They read prices from the cloud and write consents to the ledger. They change nothing in the cloud.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo

from sqlalchemy import Connection

from spawner.errors import BadOption, LostRace, NoConsent, NotAllowed, NotOffered, OfferChanged
from spawner.ledger.paid import bindings, consents
from spawner.ledger.paid.rows import Binding, Consent, Order, OrderState
from spawner.ledger.people import bans
from spawner.paid.accounts.binding import account_of, is_same, may_order
from spawner.paid.consent.rules import NOTHING_NEW, Chosen, Page, Parties, ask, change_since, check_answer
from spawner.paid.creation_pause import refuse_if_paused
from spawner.paid.paid import Paid
from spawner.paid.providers.base import Provider
from spawner.paid.quotes import Needs, Quote, quote

SWITCHED_OFF = "This cloud or region is currently turned off here."


def provider_of(paid: Paid, binding: Binding, region: str) -> Provider:
    """The provider of a binding. Raises `NotOffered` where the settings do not name it or the region."""
    if not paid.reaches(binding.provider, region):
        raise NotOffered(SWITCHED_OFF, next_step="Choose another cloud or region.")
    return paid.providers[binding.provider]


async def quotes(paid: Paid, binding: Binding, region: str, needs: Needs, *, disk: int | None = None) -> list[Quote]:
    """Current quotes, the cheapest that fits first. Raises `NotOffered` or `ProviderError`."""
    read_at = paid.now()
    instance_types = await provider_of(paid, binding, region).instance_types(account_of(binding, region))
    return quote(instance_types, needs, disk=disk, read_at=read_at)


async def offer(
    paid: Paid,
    binding: Binding,
    region: str,
    instance_type: str,
    chosen: Chosen,
    *,
    session: str,
    language: str,
    token_of: Callable[[str], str],
    order: Order | None = None,
    zone: tzinfo = UTC,
) -> Consent:
    """Offer an instance at a price that is read now. With `order`: offer to start that stopped instance again.

    `token_of` makes the one-time token for a consent's id, which the page with the offer sends with the acceptance.
    `zone` is the reader's time zone, for the text.
    """
    await paid.ledger.aread(refuse_if_paused)
    if not may_order(binding):
        raise NotAllowed(NOTHING_NEW, next_step="Check the status of the linked account.")
    if order is not None and (not is_same(order, binding) or order.binding_id != binding.id):
        raise NotAllowed("You do not have access to this.")
    is_unchanged = order is None or (order.instance_type, order.region, order.server_name) == (
        instance_type,
        region,
        chosen.server_name,
    )
    if not is_unchanged:
        raise BadOption("A stopped notebook can only be started again with the same settings.")
    if order is not None and (order.state is not OrderState.STOPPED or order.delete_wanted_at is not None):
        raise OfferChanged("The notebook is not stopped.", next_step="Wait until it has stopped.")
    quoted = await quotes(paid, binding, region, Needs(), disk=chosen.disk)
    chosen_quote = next((each for each in quoted if each.instance_type.id == instance_type), None)
    if chosen_quote is None:
        raise OfferChanged(
            "{instance_type} is not available right now.",
            next_step="Choose another machine type.",
            instance_type=instance_type,
        )
    provider = provider_of(paid, binding, region)
    consent_id = paid.new_id()
    consent = ask(
        consent_id,
        Parties(binding, region, provider.title, provider.capabilities, order),
        chosen_quote,
        chosen,
        Page(session, language, token_of(consent_id), zone),
        now=paid.now(),
    )
    await paid.ledger.awrite(consents.offer, consent)
    return consent


async def accept(paid: Paid, consent_id: str, *, person_id: str, session: str, token: str) -> Consent:
    """Accept an offer if its price has not changed, for the page that showed it.

    Raises `NoConsent`, `OfferChanged` or `PaidPaused`, and `ProviderError` where the price cannot be read again.
    """

    def read(connection: Connection) -> tuple[Consent, Binding]:
        consent = consents.find(connection, consent_id)
        if consent is None:
            raise NoConsent(
                "This approval does not exist.",
                next_step="Choose a machine type on the home page and approve the charges there.",
            )
        refuse_if_paused(connection)
        bans.refuse_banned(connection, consent.person_id, now=paid.now())
        return consent, bindings.get(connection, consent.binding_id)

    consent, binding = await paid.ledger.aread(read)
    caller = {"person_id": person_id, "session": session, "token": token}
    check_answer(consent, **caller, now=paid.now())
    if not may_order(binding):
        raise OfferChanged(NOTHING_NEW, next_step="Check the status of the linked account.")
    instance_types = await provider_of(paid, binding, consent.region).instance_types(
        account_of(binding, consent.region)
    )
    changed = change_since(consent, instance_types)
    if changed is not None:
        template, params = changed
        raise OfferChanged(template, next_step="Check the new price.", **params)

    def write(connection: Connection) -> Consent:
        now = paid.now()
        check_answer(consents.get(connection, consent_id), **caller, now=now)
        consents.accept(connection, consent_id, now=now)
        return consents.get(connection, consent_id)

    try:
        return await paid.ledger.awrite(write)
    except LostRace:
        raise OfferChanged("This has already been answered.", next_step="Check its status, or start over.") from None
