"""Rows of the paid path with defaults for all columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from spawner.ledger import Ledger
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import Binding, BindingState, Consent, ConsentKind, ConsentState, Order, OrderState
from spawner.paid.consent.text import hash_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCOUNT = "2000000000000002"
SINCE = "2026-01-01T00:00:00Z"
TOKEN = "w0rd"


def token_of(consent_id: str) -> str:
    return TOKEN


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def make_binding(name: str = "b1", state: BindingState = BindingState.ACTIVE, **changes: Any) -> Binding:
    values: dict[str, Any] = {
        "id": name,
        "user_name": "ann",
        "user_since": SINCE,
        "provider": "dsw",
        "account_id": ACCOUNT,
        "subject": "ann@example.com",
        "external_id": f"freepool-{name}",
        "role": f"acs:ram::{ACCOUNT}:role/freepool",
        "workspaces": {"cn-hangzhou": "40823"},
        "state": state,
        "blocked": None,
        "blocked_at": None,
        "proven_at": NOW,
        "probed_at": NOW,
        "unlinked_at": None,
    }
    return Binding(**values | changes)


def consent(name: str = "c1", state: ConsentState = ConsentState.OFFERED, **changes: Any) -> Consent:
    values: dict[str, Any] = {
        "id": name,
        "user_name": "ann",
        "user_since": SINCE,
        "session": "5e55",
        "server_name": "paid-1",
        "kind": ConsentKind.CREATE,
        "order_id": None,
        "binding_id": "b1",
        "provider": "dsw",
        "region": "cn-hangzhou",
        "account_id": ACCOUNT,
        "instance_type": "ecs.g6.large",
        "image": None,
        "price": "0.65",
        "currency": "CNY",
        "unit": "hour",
        "disk": None,
        "disk_price": None,
        "cap": "2.60",
        "max_seconds": 8 * 3600,
        "run_seconds": 4 * 3600,
        "idle_seconds": 3600,
        "read_at": NOW,
        "offered_at": NOW,
        "expires_at": later(600),
        "text_version": 1,
        "text_hash": "0" * 64,
        "language": "en",
        "text": "…",
        "answer_hash": hash_of(TOKEN),
        "state": state,
    }
    return Consent(**values | changes)


def order(key: str = "o1", /, state: OrderState = OrderState.INTENDED, **changes: Any) -> Order:
    values: dict[str, Any] = {
        "id": key,
        "user_name": "ann",
        "user_since": SINCE,
        "server_name": f"paid-{key}",
        "consent_id": f"c-{key}",
        "binding_id": "b1",
        "provider": "dsw",
        "region": "cn-hangzhou",
        "instance_type": "ecs.g6.large",
        "name": f"fp{key}",
        "state": state,
        "created_at": NOW,
    }
    return Order(**values | changes)


def write_order(ledger: Ledger, key: str = "o1", /, state: OrderState = OrderState.INTENDED, **changes: Any) -> Order:
    made = order(key, state, **changes)
    ledger.write(orders.insert_new, made)
    return made


def write_consent(
    ledger: Ledger, name: str = "c1", state: ConsentState = ConsentState.OFFERED, **changes: Any
) -> Consent:
    made = consent(name, state, **changes)
    ledger.write(consents.offer, made)
    return made


def write_binding(
    ledger: Ledger, name: str = "b1", state: BindingState = BindingState.ACTIVE, **changes: Any
) -> Binding:
    made = make_binding(name, state, **changes)
    ledger.write(bindings.prove, made)
    return made
