"""Our Signature Version 4 is that of Amazon's published examples, and botocore's for any request."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as some

from spawner.instance.save.signing import EMPTY, Keys, encode_path, encode_query, sign

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
NOW = datetime(2013, 5, 24, tzinfo=UTC)


def signature(headers: dict[str, str]) -> str:
    found = re.search("Signature=([0-9a-f]{64})$", headers["Authorization"])
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "expected"),
    [
        (
            "GET", "/test.txt", {}, {"Range": "bytes=0-9"}, b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT", "/test$file.text", {},
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET", "/", {"max-keys": "2", "prefix": "J"}, {}, b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)  # fmt: skip
def test_amazons_examples(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes, expected: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
    signed = sign(
        method, path, query, {"Host": HOST, **headers},
        payload_hash=hashlib.sha256(body).hexdigest(), keys=KEYS, region="us-east-1", now=NOW,
    )  # fmt: skip
    assert signature(signed) == expected


TEXT = some.text(some.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(path=TEXT, query=some.dictionaries(TEXT, TEXT, max_size=3), token=some.sampled_from(["", "session-token"]))
def test_botocore_signs_the_same(path: str, query: dict[str, str], token: str) -> None:
    keys = Keys(KEYS.key_id, KEYS.secret, token)
    signed = sign("GET", f"/{path}", query, {"Host": HOST}, payload_hash=EMPTY, keys=keys, region="r", now=NOW)
    url = f"https://{HOST}{encode_path('/' + path)}" + (f"?{encode_query(query)}" if query else "")
    request = AWSRequest("GET", url, headers={"X-Amz-Content-SHA256": EMPTY})
    request.context["timestamp"] = "20130524T000000Z"
    request.context["payload_signing_enabled"] = True
    theirs = S3SigV4Auth(Credentials(keys.key_id, keys.secret, token or None), "s3", "r")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = theirs.canonical_request(request)
    assert theirs.signature(theirs.string_to_sign(request, canonical), request) == signature(signed)


def test_a_repr_has_no_key() -> None:
    assert KEYS.secret not in repr(KEYS)
    assert KEYS.key_id not in repr(KEYS)
