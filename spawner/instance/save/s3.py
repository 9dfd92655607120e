"""A client of one bucket with S3's interface: put, get, delete, list. It blocks; callers use a thread."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import urlsplit
from xml.etree import ElementTree

from spawner.instance.save.signing import EMPTY, Keys, encode_path, encode_query, sign

PIECE = 256 * 1024
LARGEST_ERROR = 64 * 1024
"""Bytes of an error that are read."""
TIMEOUT_SECONDS = 60
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[a-z0-9-]{1,40}")
_CODE = re.compile(r"<Code>([A-Za-z0-9_.]{1,80})</Code>")


class StoreRefused(Exception):
    """The store refused a request, or could not be reached. `code` is its own, such as `AccessDenied`, or one of
    `unreachable`, `bad_endpoint`, `bad_bucket`, `bad_region`."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code} {details}".strip())
        self.code = code
        self.details = details


@dataclass(frozen=True)
class Bucket:
    """A bucket and how it is reached. `endpoint` is the service's URL, without the bucket.

    `path_style`: the bucket is in the path, as MinIO wants it; else in the host's name, as OSS wants it. Buckets at an
    address or at localhost are always in the path. `insecure`: plain http is allowed.
    """

    endpoint: str
    bucket: str
    region: str
    keys: Keys = field(repr=False)
    path_style: bool = False
    insecure: bool = False

    def __post_init__(self) -> None:
        """Raises `StoreRefused` where a part is not valid."""
        try:
            url = urlsplit(self.endpoint)
            is_valid = bool(url.hostname) and not url.username and not url.query and url.path in ("", "/")
            _ = url.port
        except ValueError:
            is_valid = False
        schemes = ("https", "http") if self.insecure else ("https",)
        if not is_valid or url.scheme not in schemes:
            raise StoreRefused("bad_endpoint")
        if not BUCKET.fullmatch(self.bucket):
            raise StoreRefused("bad_bucket")
        if not REGION.fullmatch(self.region):
            raise StoreRefused("bad_region")

    def put(self, name: str, body: BinaryIO) -> int:
        """Store an object, from the beginning of a file that can be read twice. Returns its size in bytes."""
        digest, size = hashlib.sha256(), 0
        body.seek(0)
        while piece := body.read(PIECE):
            digest.update(piece)
            size += len(piece)
        body.seek(0)
        with self._request("PUT", name, body=body, size=size, payload_hash=digest.hexdigest()):
            return size

    def get(self, name: str) -> Iterator[bytes]:
        """An object, piece by piece."""
        with self._request("GET", name) as answer:
            yield from _pieces(answer)

    def delete(self, name: str) -> None:
        """Delete an object. One that is not there is fine."""
        with self._request("DELETE", name):
            pass

    def names(self, prefix: str) -> Iterator[str]:
        """Names of all objects with a prefix."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            with self._request("GET", "", query=query) as answer:
                found = ElementTree.fromstring(b"".join(_pieces(answer)))  # noqa: S314  (the platform's own store)
            yield from (one.text or "" for one in found.iterfind("{*}Contents/{*}Key"))
            token = found.findtext("{*}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    @property
    def _in_path(self) -> bool:
        host = urlsplit(self.endpoint).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return self.path_style or host == "localhost"
        return True

    @contextmanager
    def _request(
        self,
        method: str,
        name: str,
        *,
        query: Mapping[str, str] | None = None,
        body: BinaryIO | None = None,
        size: int = 0,
        payload_hash: str = EMPTY,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, on a connection of its own. Raises `StoreRefused` for a refusal and for a broken connection."""
        url = urlsplit(self.endpoint)
        place = url.netloc if self._in_path else f"{self.bucket}.{url.netloc}"
        path = f"/{self.bucket}/{name}" if self._in_path else f"/{name}"
        headers = {"Host": place} | ({"Content-Length": str(size)} if method == "PUT" else {})
        signed = sign(
            method, path, query or {}, headers,
            payload_hash=payload_hash, keys=self.keys, region=self.region, now=datetime.now(UTC),
        )  # fmt: skip
        connection = _connection(url.scheme, place)
        try:
            connection.request(
                method, encode_path(path) + (f"?{encode_query(query)}" if query else ""), body=body, headers=signed
            )
            answer = connection.getresponse()
            if answer.status >= 300:
                code = _CODE.search(answer.read(LARGEST_ERROR).decode(errors="replace"))
                raise StoreRefused(code[1] if code else f"HTTP {answer.status}")
            with answer:
                yield answer
        except (OSError, http.client.HTTPException) as error:
            raise StoreRefused("unreachable", type(error).__name__) from error
        finally:
            connection.close()


def _connection(scheme: str, place: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(place, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(place, timeout=TIMEOUT_SECONDS)


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The whole body. `read` with a number of bytes does not say that a body ends before its length."""
    expected, got = answer.length, 0
    while piece := answer.read(PIECE):
        got += len(piece)
        yield piece
    if expected is not None and got != expected:
        raise http.client.IncompleteRead(b"", expected - got)
