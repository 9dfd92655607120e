"""Encrypts a stream of unknown length: AES-256-GCM in chunks, so that no end, order or part of it can be changed.

    mark (8 bytes) + salt (16 bytes) + chunks; each chunk: ciphertext of up to 64 KiB + tag (16 bytes)

The chunk's number and whether it is the last one are its nonce (the STREAM construction of Hoang, Reyhanitabar, Rogaway
and Vizár). The stream's key is derived from the bundle's key and the salt, so a second try with the same key never
repeats a nonce.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = b"FPKEEP1\n"
KEY_BYTES = 32
SALT_BYTES = 16
TAG_BYTES = 16
CHUNK = 64 * 1024
_PURPOSE = b"freepool bundle v1\0"


class BundleDamaged(Exception):
    """These bytes were not encrypted with this key, or are not all there."""


class Encryptor:
    """Encrypts pieces of any size. Write the result of each call one after another; `end` comes last."""

    def __init__(self, key: bytes, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        salt = random_bytes(SALT_BYTES)
        self._cipher = _cipher(key, salt)
        self._head = MARK + salt
        self._rest = bytearray()
        self._number = 0

    def update(self, piece: bytes) -> bytes:
        """Whole chunks of what came so far. The last one is held back: it must say that it is the last."""
        self._rest += piece
        done = bytearray(self._take_head())
        while len(self._rest) > CHUNK:
            done += self._chunk(bytes(self._rest[:CHUNK]), is_last=False)
            del self._rest[:CHUNK]
        return bytes(done)

    def end(self) -> bytes:
        """The last chunk."""
        return self._take_head() + self._chunk(bytes(self._rest), is_last=True)

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _chunk(self, data: bytes, *, is_last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, is_last=is_last), data, None)
        self._number += 1
        return sealed


def decrypt(pieces: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    """The plain stream. Raises `BundleDamaged`, at the latest after the last piece: what came before is authentic."""
    source = _Source(pieces)
    if source.read(len(MARK)) != MARK:
        raise BundleDamaged
    cipher = _cipher(key, source.read(SALT_BYTES))
    number, chunk = 0, source.read(CHUNK + TAG_BYTES)
    while True:
        following = source.read(CHUNK + TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, is_last=not following), chunk, None)
        except InvalidTag:
            raise BundleDamaged from None
        if not following:
            return
        number, chunk = number + 1, following


class _Source:
    """Reads pieces by other sizes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = bytearray()

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        while len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        data = bytes(self._rest[:size])
        del self._rest[:size]
        return data


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise BundleDamaged
    return AESGCM(hmac.digest(key, _PURPOSE + salt, "sha256"))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if is_last else b"\0")
