"""Ids and names of the paid path that are derived from each other."""

from __future__ import annotations

import base64
import hashlib

from spawner.ledger.paid.rows import Consent

SERVER_PREFIX = "paid-"
"""Names of JupyterHub servers with this prefix are paid instances; no pool server's name starts with it."""
NAME_LENGTH = 27
"""The longest name that PAI-DSW accepts; letters and digits are valid in every cloud."""


def is_paid(server_name: str) -> bool:
    """Whether a JupyterHub server of this name is a paid instance."""
    return server_name.startswith(SERVER_PREFIX)


def discovered_server_name(remote_id: str) -> str:
    """Server name of an instance that was discovered in the cloud."""
    return f"{SERVER_PREFIX}found-{hashlib.sha256(remote_id.encode()).hexdigest()[:8]}"


def order_id_of(consent: Consent) -> str:
    """Id of the consent's order. A START consent names an existing order; a CREATE consent shares its id with the new
    order, so one consent makes at most one order.
    """
    return consent.order_id or consent.id


def consent_id_of(order_id: str) -> str:
    """Id of the order's CREATE consent. Orders of discovered instances have no such consent."""
    return order_id


def name_of(order_id: str) -> str:
    """Name of the order's instance in the cloud. It is derived from the id, so that a repeated create is idempotent."""
    digest = hashlib.sha256(order_id.encode()).digest()
    return ("fp" + base64.b32encode(digest).decode().lower())[:NAME_LENGTH]
