"""Map boto3's exceptions to `ProviderError`."""

from __future__ import annotations

from collections.abc import Iterable

from botocore.exceptions import ClientError, ParamValidationError

from spawner.paid.providers import base
from spawner.paid.providers.calls import Expired
from spawner.paid.providers.messages import say

THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
)
EXPIRED = ("ExpiredToken", "ExpiredTokenException")
NOT_ALLOWED = (
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "UnauthorizedOperation",
)
SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
SIGNATURE = ("SignatureDoesNotMatch", "InvalidSignatureException")


def translate(error: Exception, *, mutates: bool, secrets: Iterable[str]) -> Exception:
    """A `ProviderError`, or `Expired`."""
    unknown = base.OutcomeUnknown if mutates else base.Unavailable
    if isinstance(error, ParamValidationError):
        return say(base.Rejected, code="ParamValidation")  # it was never sent
    if not isinstance(error, ClientError):
        return say(unknown, code=type(error).__name__)
    details, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    status = int(meta.get("HTTPStatusCode", 0))
    request_id = str(meta.get("RequestId", ""))
    if code in EXPIRED:
        return Expired()
    kind = _kind(status, code, message.lower()) or unknown
    return say(kind, code=code, said=message, request_id=request_id, secrets=secrets)


def _kind(status: int, code: str, message: str) -> type[base.ProviderError] | None:
    """None where the outcome is unknown: for every status but 4xx."""
    if not 400 <= status < 500:
        return None
    if code in THROTTLED or status == 429:
        return base.Throttled
    if code in SKEWED or (code in SIGNATURE and ("expired" in message or "not yet current" in message)):
        return base.ClockSkew
    if code in NOT_ALLOWED or status in (401, 403):
        return base.AuthLost
    if code == "ResourceLimitExceeded":
        return base.Insufficient
    if "duplicate" in message or code == "ResourceInUse":
        return base.AlreadyExists
    if "recordnotfound" in message.replace(" ", "") or code == "ResourceNotFound":
        return base.NotFound
    if "unable to transition" in message or "not in (" in message:
        return base.Conflict
    if "capacity" in f"{code} {message}".lower():
        return base.NoCapacity
    return base.Rejected
