"""The claim on the wire: how a warm slot gets its identity, and why no other sender can give it one.

A claim is JSON, sealed with ChaCha20-Poly1305 (RFC 8439) under the slot's own one-time key:

    nonce (12 bytes) + ciphertext + tag (16 bytes)

The slot's id is authenticated along with it, so a claim recorded on the way to one slot opens no other. Keys are
derived from a master key that never leaves the platform: HMAC-SHA256(master, slot id). A key that was used, or whose
slot is gone, is worth nothing.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NONCE_BYTES = 12
LARGEST_CLAIM = 64 * 1024
"""Bytes of a sealed claim. A JupyterHub environment is about 2 kB; anything near this limit is not one."""
CLAIM_PATH = "/freepool/claim"
HEALTH_PATH = "/freepool/health"
ACTIVITY_PATH = "/freepool/activity"
_PURPOSE = b"freepool claim v1\0"


class ClaimRefused(Exception):
    """This claim is not for this slot: forged, damaged, replayed elsewhere, or too late."""


@dataclass(frozen=True)
class Claim:
    """An identity for a slot. `expires_at` is seconds since 1970; `environment` are variables of the server."""

    claim_id: str
    expires_at: float
    environment: Mapping[str, str]


def slot_key(master: bytes, slot_id: str) -> bytes:
    """The one-time key (32 bytes) of a slot."""
    return hmac.digest(master, b"freepool slot v1\0" + slot_id.encode(), "sha256")


def seal(claim: Claim, *, key: bytes, slot_id: str, random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """Seal a claim for one slot."""
    nonce = random_bytes(NONCE_BYTES)
    text = json.dumps(
        {"claim_id": claim.claim_id, "expires_at": claim.expires_at, "environment": dict(claim.environment)}
    )
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, text.encode(), _PURPOSE + slot_id.encode())


def unseal(sealed: bytes, *, key: bytes, slot_id: str, now: Callable[[], float] = time.time) -> Claim:
    """Open a claim. Raises `ClaimRefused` with the reason, which is for the log and not for the sender."""
    if not NONCE_BYTES < len(sealed) <= LARGEST_CLAIM:
        raise ClaimRefused(f"a claim of {len(sealed)} bytes")
    try:
        text = ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _PURPOSE + slot_id.encode())
    except InvalidTag:
        raise ClaimRefused("it was not sealed with this slot's key") from None
    fields = json.loads(text)
    claim = Claim(claim_id=fields["claim_id"], expires_at=fields["expires_at"], environment=fields["environment"])
    if claim.expires_at < now():
        raise ClaimRefused(f"claim {claim.claim_id} expired {now() - claim.expires_at:.0f} s ago")
    return claim
