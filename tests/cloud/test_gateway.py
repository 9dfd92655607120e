"""The stand-in's door: it lets in what the real SDK signs, and nothing that was touched on the way."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from tests.cloud.steer import ADA, HANGZHOU, ROLE_NAME, Steer, cloud_in_thread, cloud_process

EXTERNAL_ID = "fp-0123456789abcdef"


@pytest.fixture
def cloud() -> Iterator[Steer]:
    """A stand-in whose time stands still."""
    with cloud_in_thread() as steer:
        yield steer


def sdk(cloud: Steer, **changes: str) -> Sts:
    """The real SDK with the platform's key."""
    key = {"access_key_id": cloud.keys.access_key_id, "access_key_secret": cloud.keys.access_key_secret, **changes}
    return Sts(Config(**key, endpoint=cloud.endpoints.sts, region_id=HANGZHOU, protocol="http"))


def assume(cloud: Steer, arn: str, **changes: object) -> object:
    """AssumeRole by the real SDK."""
    asked = {"role_arn": arn, "role_session_name": "freepool", "external_id": EXTERNAL_ID, **changes}
    return sdk(cloud).assume_role_with_options(sts.AssumeRoleRequest(**asked), RuntimeOptions()).body.credentials


def signed(cloud: Steer, *, when: datetime | None = None, **changes: str) -> dict[str, str]:
    """Headers of a call that is signed by hand, from the description of the algorithm."""
    host, empty = cloud.endpoints.sts, hashlib.sha256(b"").hexdigest()
    headers = {
        "host": host,
        "x-acs-action": "GetCallerIdentity",
        "x-acs-version": "2015-04-01",
        "x-acs-date": (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": secrets.token_hex(16),
        "x-acs-content-sha256": empty,
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    text = "\n".join(("POST", "/", f"a={quote('x y', safe='')}", lines, names, empty))
    digest = "ACS3-HMAC-SHA256\n" + hashlib.sha256(text.encode()).hexdigest()
    mac = hmac.new(cloud.keys.access_key_secret.encode(), digest.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={cloud.keys.access_key_id},SignedHeaders={names},Signature={mac}"
    )
    return {**headers, **changes}


def post(cloud: Steer, headers: dict[str, str], query: str = "a=x+y", data: bytes = b"") -> tuple[int, str]:
    """Status and code of an answer."""
    answer = requests.post(f"http://{cloud.endpoints.sts}/?{query}", headers=headers, data=data, timeout=10)
    return answer.status_code, str(answer.json().get("Code") or "")


def test_what_is_signed_as_described_is_let_in(cloud: Steer) -> None:
    """The SDK's signature and one made by hand are both accepted."""
    assert sdk(cloud).get_caller_identity().body.account_id == "1000000000000001"
    assert post(cloud, signed(cloud)) == (200, "")


def test_anything_touched_on_the_way_is_refused(cloud: Steer) -> None:
    """Query, body, header, key: each is covered by the signature."""
    assert post(cloud, signed(cloud), query="a=x+z") == (400, "SignatureDoesNotMatch")
    assert post(cloud, signed(cloud), data=b"{}") == (400, "SignatureDoesNotMatch")
    assert post(cloud, signed(cloud, **{"x-acs-signature-nonce": "other"})) == (400, "SignatureDoesNotMatch")
    assert post(cloud, signed(cloud, Authorization="none")) == (400, "IncompleteSignature")
    with pytest.raises(ClientException) as caught:
        sdk(cloud, access_key_secret="wrong").get_caller_identity()
    assert caught.value.code == "SignatureDoesNotMatch"
    with pytest.raises(ClientException) as caught:
        sdk(cloud, access_key_id="LTAIunknown").get_caller_identity()
    assert caught.value.code == "InvalidAccessKeyId.NotFound"


def test_a_call_is_taken_once_and_in_time(cloud: Steer) -> None:
    """The same nonce again, or a clock that is wrong by more than a quarter of an hour, is refused."""
    headers = signed(cloud)
    assert post(cloud, headers)[0] == 200
    assert post(cloud, headers) == (400, "SignatureNonceUsed")
    late = datetime.now(UTC) - timedelta(minutes=16)
    assert post(cloud, signed(cloud, when=late)) == (400, "InvalidTimeStamp.Expired")
    cloud.quirk(skew=-16 * 60)
    assert post(cloud, signed(cloud, when=late)) == (200, "")


def test_a_role_is_lent_on_its_own_terms(cloud: Steer) -> None:
    """The right principal with the right external id, a sane policy and a duration within bounds."""
    arn = cloud.role(EXTERNAL_ID)
    assert assume(cloud, arn).security_token  # type: ignore[attr-defined]
    wrong: list[tuple[dict[str, object], str]] = [
        ({"external_id": None}, "NoPermission"),
        ({"external_id": "other"}, "NoPermission"),
        ({"role_arn": f"acs:ram::{ADA}:role/none"}, "EntityNotExist.Role"),
        ({"duration_seconds": 899}, "InvalidParameter.DurationSeconds"),
        ({"duration_seconds": 3601}, "InvalidParameter.DurationSeconds"),
        ({"policy": "{"}, "InvalidParameter.PolicyGrammar"),
        ({"policy": " " * 2049}, "InvalidParameter.PolicySize"),
        ({"role_session_name": "a b"}, "InvalidParameter.RoleSessionName"),
    ]
    for changes, code in wrong:
        with pytest.raises(ClientException) as caught:
            assume(cloud, **{"arn": arn, **changes})  # type: ignore[arg-type]
        assert caught.value.code == code, changes
    other = cloud.role(EXTERNAL_ID, name="Other", principal="acs:ram::9000000000000009:user/somebody")
    with pytest.raises(ClientException) as caught:
        assume(cloud, other)
    assert caught.value.code == "NoPermission"


def test_a_session_ends_in_the_clouds_own_time(cloud: Steer) -> None:
    """After its seconds, or with its role."""
    arn = cloud.role(EXTERNAL_ID)

    def identity(given: object) -> str:
        key = {name: getattr(given, name) for name in ("access_key_id", "access_key_secret", "security_token")}
        return str(sdk(cloud, **key).get_caller_identity().body.arn)

    given = assume(cloud, arn, duration_seconds=900)
    assert identity(given) == f"acs:ram::{ADA}:role/{ROLE_NAME}/freepool"
    cloud.advance(901)
    with pytest.raises(ClientException) as caught:
        identity(given)
    assert caught.value.code == "InvalidSecurityToken.Expired"


def test_the_journal_keeps_what_was_asked_and_no_secret(cloud: Steer) -> None:
    """In order, with what changes something marked."""
    assume(cloud, cloud.role(EXTERNAL_ID))
    [call] = cloud.calls()
    assert (call.action, call.mutates, call.done, call.status) == ("AssumeRole", False, True, 200)
    assert not [secret for secret in cloud.ask("secrets") if secret in repr(call)]


def test_it_runs_in_a_process_and_keeps_its_keys(tmp_path: Path) -> None:
    """Whoever was configured with them goes on after a restart."""
    with cloud_process(tmp_path) as first:
        assert sdk(first).get_caller_identity().body.account_id
        keys = first.keys
    with cloud_process(tmp_path) as second:
        assert second.keys == keys
    assert (tmp_path / "demo-cloud.json").stat().st_mode & 0o077 == 0


def test_nobody_else_steers(cloud: Steer) -> None:
    """A form on somebody else's page cannot: it would have to ask first."""
    answer = requests.post(f"{cloud.endpoints.main}/demo/admin/advance", data={"seconds": 60}, timeout=10)
    assert answer.status_code == 404
    headers = {"Origin": "http://evil.example"}
    answer = requests.post(f"{cloud.endpoints.main}/console/time", data={"advance": 60}, headers=headers, timeout=10)
    assert answer.status_code == 403


def test_twenty_callers_at_once_are_all_served(cloud: Steer) -> None:
    """Each with its own nonce."""

    async def everybody() -> list[object]:
        return await asyncio.gather(*(asyncio.to_thread(sdk(cloud).get_caller_identity) for _ in range(20)))

    assert len(asyncio.run(everybody())) == 20
