"""What people and the hub may do: ask for prices, be asked, say yes, have the yes spent, wish for an end.

None of it changes anything in a cloud. The desk uses `quotes`, `offer`, `accept` and the wishes; the hub uses `place`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from spawner.errors import BadOption, LostRace, NoConsent, NotAllowed, NotOffered, OfferChanged, PaidPaused
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import Binding, Consent, ConsentKind, Order, OrderChanges, OrderState, StopReason
from spawner.ledger.pool import admin_settings
from spawner.paid.accounts.binding import account_of, is_same, may_order
from spawner.paid.consent.rules import NOTHING_NEW, Chosen, ask, change_since, check_answer
from spawner.paid.paid import Paid
from spawner.paid.providers.base import Provider
from spawner.paid.quotes import Needs, Quote, quote

NO_NEW = "paid.no_new"
"""The operator's switch: while this control is there, nobody makes anything new. What runs goes on."""
SWITCHED_OFF = "This cloud, or this region of it, is switched off here just now."
NAME_LENGTH = 27
"""The most that PAI-DSW takes; letters and digits alone are good for every cloud."""


def name_of(order_id: str) -> str:
    """The name of an order's instance in the cloud: it follows from the consent, so one consent makes one at most."""
    digest = hashlib.sha256(order_id.encode()).digest()
    return ("fp" + base64.b32encode(digest).decode().lower())[:NAME_LENGTH]


def provider_of(paid: Paid, binding: Binding, region: str) -> Provider:
    """The cloud, where it and the region are on. Raises `NotOffered`."""
    if not paid.reaches(binding.provider, region):
        raise NotOffered(SWITCHED_OFF, next_step="Choose another cloud or region.")
    return paid.providers[binding.provider]


async def quotes(paid: Paid, binding: Binding, region: str, needs: Needs, *, disk: int | None = None) -> list[Quote]:
    """What is on offer now, the cheapest that fits first. Raises `ProviderError`."""
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
    word_of: Callable[[str], str],
    order: Order | None = None,
) -> Consent:
    """Ask a person, at a price that is read now. With `order`: whether to start that stopped instance again.

    `word_of` makes of a consent's id the word that the page with the question sends along with the yes.
    """
    await paid.ledger.aread(refuse_if_paused)
    if not may_order(binding):
        raise NotAllowed(NOTHING_NEW, next_step="Look at how it is linked.")
    if order is not None and (not is_same(order, binding) or order.binding_id != binding.id):
        raise NotAllowed("This is not yours.")
    as_it_is = order is None or (order.instance_type, order.region, order.server_name) == (
        instance_type,
        region,
        chosen.server_name,
    )
    if not as_it_is:
        raise BadOption("What is stopped can only be started again as it is.")
    if order is not None and (order.state is not OrderState.STOPPED or order.delete_wanted_at is not None):
        raise OfferChanged("It is not stopped.", next_step="Wait until it is.")
    found = await quotes(paid, binding, region, Needs(), disk=chosen.disk)
    wanted = next((one for one in found if one.instance_type.id == instance_type), None)
    if wanted is None:
        raise OfferChanged(
            "{instance_type} cannot be had just now.", next_step="Choose another one.", instance_type=instance_type
        )
    provider = provider_of(paid, binding, region)
    consent_id = paid.new_id()
    consent = ask(
        consent_id=consent_id,
        binding=binding,
        region=region,
        quote=wanted,
        chosen=chosen,
        session=session,
        language=language,
        title=provider.title,
        capabilities=provider.capabilities,
        word=word_of(consent_id),
        now=paid.now(),
        order=order,
    )
    await paid.ledger.awrite(consents.offer, consent)
    return consent


async def accept(paid: Paid, consent_id: str, *, user_name: str, user_since: str, session: str, word: str) -> Consent:
    """Take a person's yes, if all is still as they were told, and it comes from the page that told them.

    Raises `NoConsent`, `OfferChanged` or `PaidPaused`, and `ProviderError` where the price cannot be read again.
    """

    def read(connection: Connection) -> tuple[Consent, Binding]:
        consent = consents.find(connection, consent_id)
        if consent is None:
            raise NoConsent("Nobody was asked this.")
        refuse_if_paused(connection)
        return consent, bindings.get(connection, consent.binding_id)

    consent, binding = await paid.ledger.aread(read)
    who = {"user_name": user_name, "user_since": user_since, "session": session, "word": word}
    check_answer(consent, **who, now=paid.now())
    if not may_order(binding):
        raise OfferChanged(NOTHING_NEW, next_step="Look at how it is linked.")
    instance_types = await provider_of(paid, binding, consent.region).instance_types(
        account_of(binding, consent.region)
    )
    changed = change_since(consent, instance_types)
    if changed is not None:
        template, words = changed
        raise OfferChanged(template, next_step="Look at the new price.", **words)

    def write(connection: Connection) -> Consent:
        now = paid.now()
        check_answer(consents.get(connection, consent_id), **who, now=now)
        consents.accept(connection, consent_id, now=now)
        return consents.get(connection, consent_id)

    try:
        return await paid.ledger.awrite(write)
    except LostRace:
        raise OfferChanged(
            "This was answered already.", next_step="Look at what has come of it, or ask again."
        ) from None


def place(connection: Connection, *, user_name: str, user_since: str, server_name: str, now: datetime) -> Order:
    """Spend this person's yes for this server: consent SPENT and order INTENDED, both or neither.

    Raises `NoConsent` where there is none, `PaidPaused`, `NotAllowed` where the account is not linked any more or
    blocked, and `LostRace` where the server is ordered already.
    """
    refuse_if_paused(connection)
    consent = consents.accepted(connection, user_name, server_name, user_since=user_since, now=now)
    if consent is None:
        raise NoConsent(
            "Nobody has agreed to being billed for this.", next_step="Choose a machine on the desk, and agree there."
        )
    binding = bindings.get(connection, consent.binding_id)
    if not may_order(binding):
        raise NotAllowed(NOTHING_NEW, next_step="Look at how it is linked.")
    consents.spend(connection, consent.id, now=now)
    order = (
        _new(connection, consent, binding, now) if consent.kind is ConsentKind.CREATE else _again(connection, consent)
    )
    audit.note(
        connection, order.id, at=now, by=user_name, what="ordered", after=order.state, params={"consent": consent.id}
    )
    return order


def _new(connection: Connection, consent: Consent, binding: Binding, now: datetime) -> Order:
    order = Order(
        id=consent.id,
        user_name=consent.user_name,
        user_since=consent.user_since,
        server_name=consent.server_name,
        consent_id=consent.id,
        binding_id=consent.binding_id,
        provider=consent.provider,
        region=consent.region,
        workspace=binding.workspaces.get(consent.region),
        instance_type=consent.instance_type,
        name=name_of(consent.id),
        state=OrderState.INTENDED,
        created_at=now,
    )
    orders.insert_new(connection, order)
    return order


def _again(connection: Connection, consent: Consent) -> Order:
    """A stopped instance is to run once more: nothing of its last run counts for this one. Until it does, it counts as
    stopped since then: the cloud, too, counts on."""
    assert consent.order_id is not None
    order = orders.get(connection, consent.order_id)
    if order.state is not OrderState.STOPPED or order.delete_wanted_at is not None:
        raise LostRace("It is not stopped any more.")
    changes: OrderChanges = {
        "stop_wanted_at": None,
        "stop_wanted_by": None,
        "recovered_at": None,
        "posted_at": None,
        "asked_at": None,
        "active_at": None,
        "run_began_at": None,
        "auto_stop_set_at": None,
        "stops_at": None,
        "reason": None,
        "spent": None,
        "next_try_at": None,
        "state": OrderState.INTENDED,
        "consent_id": consent.id,
        "ran_before": order.running or 0.0,
        "tries": 0,
        "unsure": False,
    }
    orders.update_read(connection, order, changes)
    return orders.get(connection, order.id)


def want_stop(
    connection: Connection, order_id: str, *, by: str, now: datetime, reason: StopReason = StopReason.ASKED
) -> None:
    """Somebody who may wants it stopped. Safe to say twice."""
    if orders.want_stop(connection, order_id, by=by, now=now, reason=reason):
        audit.note(connection, order_id, at=now, by=by, what="stop_wanted")


def want_delete(connection: Connection, order_id: str, *, by: str, now: datetime) -> None:
    """Its owner wants it gone, with all that is in it. Safe to say twice. Raises `NotAllowed` for anybody else."""
    if orders.get(connection, order_id).user_name != by:
        raise NotAllowed("Only its owner can delete this.")
    if orders.want_delete(connection, order_id, by=by, now=now):
        audit.note(connection, order_id, at=now, by=by, what="delete_wanted")


def refuse_if_paused(connection: Connection) -> None:
    """Raises `PaidPaused` while the operator lets nobody make anything new."""
    if NO_NEW in admin_settings.all_of(connection):
        raise PaidPaused("No new paid instances can be made just now.", next_step="Try again later.")
