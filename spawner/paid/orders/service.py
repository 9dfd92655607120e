"""From a person's click on the desk to an order that runs: what the hub needs of the paid path. It asks no cloud.

A consent is spent only with the word that belongs to it, which the desk makes for the person who has just agreed. It
is in no table, no page and no log: whoever starts a server without the desk, an administrator included, has none.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.errors import LostRace, NoConsent, OfferChanged
from spawner.ledger.paid import audit, consents, orders
from spawner.ledger.paid.rows import RUNS, UNSETTLED, Order, OrderEvent, OrderState, StopReason
from spawner.paid.consent.service import place, refuse_if_paused, want_stop
from spawner.paid.providers.base import RemoteState

PREFIX = "paid-"
"""How the names of servers begin that are instances in people's own clouds. No other server ever is one."""
START_TOKEN = "start_word"  # noqa: S105  (the name of an option)
"""The option of JupyterHub's start that carries the word."""
UNDER_WAY = (OrderState.INTENDED, *UNSETTLED, *RUNS)
NOBODY_AGREED = "Nobody has agreed to being billed for this."
ON_THE_DESK = "Choose a machine on the desk, and agree there."


def is_paid(server_name: str) -> bool:
    """Whether a server of this name is an instance in its person's own cloud."""
    return server_name.startswith(PREFIX)


def start_token(key: str, consent_id: str) -> str:
    """What the desk must send to have an accepted consent spent: good for this one, and so once. `key` is secret."""
    return hmac.new(key.encode(), b"freepool paid start v1\0" + consent_id.encode(), "sha256").hexdigest()


def answer_token(key: str, consent_id: str) -> str:
    """What the page with a question sends along with the yes. It stands in that page and nowhere else."""
    return hmac.new(key.encode(), b"freepool paid answer v1\0" + consent_id.encode(), "sha256").hexdigest()


def begin(
    connection: Connection,
    *,
    user_name: str,
    user_since: str,
    server_name: str,
    word: str,
    key: str,
    now: datetime,
) -> Order:
    """The order of this person's server: what is under way already, else what their consent is now spent for.

    Raises `NoConsent`, `NotAllowed`, `PaidPaused`, or `OfferChanged`.
    """
    order = orders.of_server(connection, user_name, server_name)
    if order is not None and order.user_since == user_since and is_wanted(order):
        return order  # a second click, or a hub that has forgotten it: nothing is spent
    consent = consents.accepted(connection, user_name, server_name, user_since=user_since, now=now)
    if consent is None or not hmac.compare_digest(word.encode(), start_token(key, consent.id).encode()):
        refuse_if_paused(connection)
        raise NoConsent(NOBODY_AGREED, next_step=ON_THE_DESK)
    try:
        return place(connection, user_name=user_name, user_since=user_since, server_name=server_name, now=now)
    except LostRace:
        raise OfferChanged(
            "This was answered already.", next_step="Look at what has come of it, or ask again."
        ) from None


def end(connection: Connection, *, user_name: str, server_name: str, by: str, now: datetime) -> None:
    """The hub has ended the server, for whomever: a wish, which the steward carries out. Safe to say twice, and of
    nothing."""
    order = orders.of_server(connection, user_name, server_name)
    if order is not None and order.state in UNDER_WAY:
        want_stop(connection, order.id, by=by, now=now, reason=StopReason.HUB)


def is_wanted(order: Order) -> bool:
    """Whether it runs, or will, and nobody wants its end."""
    return order.state in UNDER_WAY and not order.is_unwanted


def is_over(order: Order | None) -> bool:
    """Whether there is no run any more. What is still being ended may bill, and so is not over.

    A name that is only watched for, should it still appear, is.
    """
    if order is None:
        return True
    if order.state in UNSETTLED:
        return order.is_unwanted
    return order.state not in (*UNDER_WAY, OrderState.STOPPING)


def is_open(order: Order) -> bool:
    """Whether there is something to go into."""
    return order.state in RUNS and order.remote_state == RemoteState.RUNNING and not order.is_unwanted


@dataclass(frozen=True)
class OrderProgress:
    """An order and the record of its present run."""

    order: Order
    record: list[OrderEvent]


def read_progress(connection: Connection, order_id: str) -> OrderProgress:
    """As it is now."""
    record = audit.record_of(connection, order_id)
    began = max((number for number, event in enumerate(record) if event.what == "ordered"), default=0)
    return OrderProgress(orders.get(connection, order_id), record[began:])
