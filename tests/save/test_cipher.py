"""Without its key a bundle is noise; with it, no byte, order or end can be changed unnoticed."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from spawner.bundles.cipher import CHUNK, KEY_BYTES, MARK, SALT_BYTES, TAG_BYTES, BundleDamaged, Encryptor, decrypt

KEY = bytes(range(KEY_BYTES))
HEAD = len(MARK) + SALT_BYTES
SEALED_CHUNK = CHUNK + TAG_BYTES


def seal(*pieces: bytes, key: bytes = KEY) -> bytes:
    encryptor = Encryptor(key)
    return b"".join([*map(encryptor.update, pieces), encryptor.end()])


def unseal(sealed: bytes, key: bytes = KEY) -> bytes:
    return b"".join(decrypt([sealed], key))


@given(
    size=some.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]),
    cuts=some.lists(some.integers(0, 3 * CHUNK), max_size=4),
)
def test_any_stream_comes_back_however_it_is_cut(size: int, cuts: list[int]) -> None:
    data = os.urandom(size)
    places = sorted({0, size, *(cut for cut in cuts if cut < size)})
    sealed = seal(*(data[a:b] for a, b in pairwise(places)))
    places = sorted({0, len(sealed), *(cut for cut in cuts if cut < len(sealed))})
    assert b"".join(decrypt([sealed[a:b] for a, b in pairwise(places)], KEY)) == data
    assert len(sealed) == HEAD + size + TAG_BYTES * max(1, -(-size // CHUNK))


def test_another_key_and_no_key_read_nothing() -> None:
    sealed = seal(b"canary" * 100)
    assert b"canary" not in sealed
    for key in (bytes(KEY_BYTES), KEY[::-1], b"", KEY[:-1]):
        with pytest.raises(BundleDamaged):
            unseal(sealed, key)


def test_every_change_is_noticed() -> None:
    data = os.urandom(2 * CHUNK + 100)
    sealed = seal(data)
    chunks = [sealed[HEAD + i : HEAD + i + SEALED_CHUNK] for i in range(0, len(sealed) - HEAD, SEALED_CHUNK)]
    assert len(chunks) == 3
    wrong = [
        sealed[:-1],
        sealed[:HEAD] + chunks[0] + chunks[1],
        sealed[:HEAD] + chunks[1] + chunks[0] + chunks[2],
        sealed[:HEAD] + chunks[0] + chunks[2],
        sealed + b"\0",
        sealed[: HEAD + 5] + bytes([sealed[HEAD + 5] ^ 1]) + sealed[HEAD + 6 :],
        sealed[: len(MARK)] + bytes(SALT_BYTES) + sealed[HEAD:],
        b"",
        MARK,
    ]
    for number, one in enumerate(wrong):
        with pytest.raises(BundleDamaged):
            assert unseal(one) == b"never", number


def test_a_second_try_with_the_same_key_repeats_nothing() -> None:
    assert seal(b"the same")[HEAD:] != seal(b"the same")[HEAD:]
