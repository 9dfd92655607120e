"""Only the platform can make a claim, which is valid for one slot and a short time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.instance.sealing import (
    LARGEST_CLAIM,
    NONCE_BYTES,
    Claim,
    ClaimRefused,
    seal,
    slot_key,
    unseal,
)
from tests.unit.make import quick

MASTER = b"m" * 64
KEY = slot_key(MASTER, "slot-1")
CLAIM = Claim("loan-1", expires_at=1000.0, environment={"JUPYTERHUB_USER": "ann", "EMPTY": "", "ZH": "你好\n\ud800"})
SEALED = seal(CLAIM, key=KEY, slot_id="slot-1")


def open_at(time: float, sealed: bytes = SEALED, *, key: bytes = KEY, slot_id: str = "slot-1") -> Claim:
    return unseal(sealed, key=key, slot_id=slot_id, now=lambda: time)


def test_a_claim_is_opened_as_it_was_sealed() -> None:
    assert open_at(999) == CLAIM


@quick
@given(st.dictionaries(st.text(), st.text(), max_size=8), st.text(), st.text(st.characters(codec="utf-8")))
def test_any_identity_is_opened_as_it_was_sealed(environment: dict[str, str], claim_id: str, slot_id: str) -> None:
    claim = Claim(claim_id, 1000.0, environment)
    key = slot_key(MASTER, slot_id)
    assert open_at(0, seal(claim, key=key, slot_id=slot_id), key=key, slot_id=slot_id) == claim


@quick
@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_claim_with_any_changed_byte_is_refused(place: int, change: int) -> None:
    damaged = bytearray(SEALED)
    damaged[place] ^= change
    with pytest.raises(ClaimRefused):
        open_at(0, bytes(damaged))


@quick
@given(st.binary(max_size=200))
def test_a_claim_that_was_not_sealed_is_refused(rubbish: bytes) -> None:
    with pytest.raises(ClaimRefused):
        open_at(0, rubbish)


@pytest.mark.parametrize("length", [0, 1, NONCE_BYTES - 1, NONCE_BYTES, NONCE_BYTES + 1, NONCE_BYTES + 16])
def test_a_truncated_claim_is_refused(length: int) -> None:
    with pytest.raises(ClaimRefused):
        open_at(0, SEALED[:length])


def test_a_claim_with_trailing_bytes_is_refused() -> None:
    with pytest.raises(ClaimRefused):
        open_at(0, SEALED + b"\0")


def test_a_claim_that_is_too_large_is_refused_before_it_is_opened() -> None:
    large = Claim("loan-1", 1000.0, {"X": "x" * LARGEST_CLAIM})
    with pytest.raises(ClaimRefused, match=r"a claim of \d+ bytes"):
        open_at(0, seal(large, key=KEY, slot_id="slot-1"))


def test_a_claim_of_another_slot_is_refused_even_under_the_same_key() -> None:
    with pytest.raises(ClaimRefused):
        open_at(0, slot_id="slot-2")


def test_a_claim_under_another_slots_key_is_refused() -> None:
    with pytest.raises(ClaimRefused):
        open_at(0, key=slot_key(MASTER, "slot-2"))


def test_a_claim_is_good_until_it_expires_and_no_longer() -> None:
    assert open_at(1000) == CLAIM
    with pytest.raises(ClaimRefused, match="expired 5 s ago"):
        open_at(1005)


def test_a_refusal_does_not_contain_the_identity() -> None:
    for wrong in ({"slot_id": "slot-2"}, {"key": bytes(32)}):
        with pytest.raises(ClaimRefused) as caught:
            open_at(0, **wrong)  # type: ignore[arg-type]
        assert "ann" not in str(caught.value)
    assert b"ann" not in SEALED
    assert json.dumps("ann").encode() not in SEALED


def test_sealing_twice_gives_different_bytes() -> None:
    assert len({seal(CLAIM, key=KEY, slot_id="slot-1")[:NONCE_BYTES] for _ in range(100)}) == 100


@quick
@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64), st.text(), st.text())
def test_keys_differ_by_master_and_slot(one: bytes, other: bytes, a: str, b: str) -> None:
    a, b = (text.encode("utf-8", "replace").decode() for text in (a, b))
    assert len(slot_key(one, a)) == 32
    assert (slot_key(one, a) == slot_key(one, b)) == (a == b)
    # HMAC pads short keys with zeros, so only keys that differ in more than that differ at all.
    assert (slot_key(one, a) == slot_key(other, a)) == (one.rstrip(b"\0") == other.rstrip(b"\0"))
