"""Signature Version 4 for object stores with S3's interface: S3 itself, OSS, MinIO and others.

Only the standard library: the images have no SDK of a cloud, and need three operations. The tests compare with the
published examples of Amazon's documentation and with botocore.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256(b"").hexdigest()
"""Hash of a body without bytes."""


@dataclass(frozen=True)
class Keys:
    """An access key. `session_token` is there for temporary ones. None of it is in the `repr`."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def sign(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    payload_hash: str,
    keys: Keys,
    region: str,
    now: datetime,
    service: str = "s3",
) -> dict[str, str]:
    """The headers with those that authorize the request. `path` is not encoded; `headers` include `Host`.

    `payload_hash` is the body's SHA-256 in hexadecimal digits; `now` is in UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-content-sha256": payload_hash, "x-amz-date": time}
    if keys.session_token:
        signed["x-amz-security-token"] = keys.session_token
    named = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    names = ";".join(sorted(named))
    canonical = "\n".join(
        (
            method,
            encode_path(path),
            encode_query(query),
            *(f"{name}:{named[name]}" for name in sorted(named)),
            "",
            names,
            payload_hash,
        )
    )
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{keys.key_id}/{scope}"
    signed["Authorization"] = f"{ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    return signed


def encode_path(path: str) -> str:
    """A path as it is signed and sent: each character but unreserved ones and the slash is encoded once."""
    return quote(path, safe="/-_.~")


def encode_query(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent, in order."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)
