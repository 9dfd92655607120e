"""Check ACS3-HMAC-SHA256 signatures. Written from the specification, not with the SDK's code."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from spawner.demo_cloud.clock import ISO
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.nonces import Nonces

AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")
TOLERANCE = timedelta(minutes=15)
MUST_BE_SIGNED = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256"}


@dataclass(frozen=True)
class Signed:
    """A request as received. Header names are lower case; `query` is decoded."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def key_id(self) -> str:
        """Id of the key that it claims to be signed with."""
        return self._parts()[0]

    def check(self, secret: str, *, skew: timedelta, nonces: Nonces) -> None:
        """Raise `ApiError` unless it was signed with this secret, within `TOLERANCE`, and with a new nonce.

        `x-acs-date` is compared with real time plus `skew`, not with virtual time.
        """
        _, names, signature = self._parts()
        signed_names = names.split(";")
        if not set(signed_names) >= MUST_BE_SIGNED or any(name not in self.headers for name in signed_names):
            raise ApiError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
        try:
            when = datetime.strptime(self.headers["x-acs-date"], ISO).replace(tzinfo=UTC)
        except ValueError:
            raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from None
        if abs(when - datetime.now(UTC) - skew) > TOLERANCE:
            raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        digest = hashlib.sha256(self.body).hexdigest()
        canonical = "\n".join(
            (
                self.method,
                self.path,
                "&".join(f"{_encode(key)}={_encode(value)}" for key, value in sorted(self.query)),
                "".join(f"{name}:{self.headers[name].strip()}\n" for name in signed_names),
                names,
                digest,
            )
        )
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if self.headers["x-acs-content-sha256"] != digest or not hmac.compare_digest(expected, signature):
            # The real cloud also returns the canonical request, so callers must not show this message to users.
            raise ApiError(
                400,
                "SignatureDoesNotMatch",
                f"Specified signature is not matched with our calculation. server CanonicalRequest is [{canonical}]",
            )
        nonces.use(self.headers.get("x-acs-signature-nonce", ""))

    def _parts(self) -> tuple[str, str, str]:
        match = AUTHORIZATION.fullmatch(self.headers.get("authorization", ""))
        if match is None:
            raise ApiError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
        key_id, names, signature = match.groups()
        return key_id, names, signature


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
