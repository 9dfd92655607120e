"""PAI-DSW beyond the contract: every way its SDK fails or keeps silent, what it may be pointed at, what it may do."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from spawner.errors import SetupError
from spawner.paid.money import Money
from spawner.paid.providers import assume_role_checks, base
from spawner.paid.providers.base import Account, RemoteState, Request
from spawner.paid.providers.calls import Use
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.dsw.policies import permission_document, session_policy, trust_document
from spawner.paid.providers.dsw.provider import DswProvider
from spawner.paid.providers.dsw.settings import DswRegion, DswSettings
from tests.cloud.steer import ADA, ROLE_NAME, Steer
from tests.paid.dsw import EXTERNAL_ID, dsw_settings, linked

REQUEST = Request(name="fp01j8abc", instance_type="ecs.g6.large", labels={"fp_platform": "p1", "fp_order": "o1"})

# How the SDK fails, row by row: what the cloud does, what a create makes of it, what a look makes of it, and whether
# the instance is there afterwards.
ROWS = [
    ({"kind": "error", "status": 400, "code": "Whatever"}, base.Rejected, base.Rejected, False),
    ({"kind": "xml", "status": 400, "code": "Whatever"}, base.Rejected, base.Rejected, False),
    ({"kind": "throttle", "seconds": 2.5}, base.Throttled, base.Throttled, False),
    ({"kind": "throttle_plain"}, base.Throttled, base.Throttled, False),
    ({"kind": "error", "status": 500, "code": "InternalError"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 503, "code": "ServiceUnavailable"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "late", "seconds": 60}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "empty500"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "html502"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "list400"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false", "status": 500}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false", "status": 404}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false_after"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "body_none"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "not_json"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "half_body"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "hang_after", "seconds": 3}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "hang_before", "seconds": 3}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "close_after"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "close_before"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "redirect", "url": "http://127.0.0.1:1/"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 400, "code": "SignatureNonceUsed"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 400, "code": "InvalidTimeStamp.Expired"}, base.ClockSkew, base.ClockSkew, False),
    ({"kind": "error", "status": 403, "code": "NoPermission"}, base.AuthLost, base.AuthLost, False),
    ({"kind": "error", "status": 403, "code": "NoPermissionError"}, base.AuthLost, base.AuthLost, False),
    ({"kind": "error", "status": 403, "code": "Forbidden.RAM"}, base.AuthLost, base.AuthLost, False),
    (
        {"kind": "error", "status": 403, "code": "InvalidSecurityToken.RoleNotExist"},
        base.AuthLost,
        base.AuthLost,
        False,
    ),
    ({"kind": "error", "status": 403, "code": "Forbidden.UserVerification"}, base.Rejected, base.Rejected, False),
    ({"kind": "error", "status": 400, "code": "InsufficientBalance"}, base.Insufficient, base.Insufficient, False),
    ({"kind": "error", "status": 404, "code": "InvalidAction.NotFound"}, base.Rejected, base.Rejected, False),
]


def names(rows: list[tuple[dict[str, object], type, type, bool]]) -> list[str]:
    """What the rows are called."""
    return ["-".join(str(value) for value in row[0].values()) for row in rows]


@pytest.mark.parametrize(("fault", "create", "look", "there"), ROWS, ids=names(ROWS))
async def test_every_failure_has_its_meaning(
    cloud: Steer, dsw: DswProvider, fault: dict[str, object], create: type, look: type, there: bool
) -> None:
    """For a change and for a look; exactly that error, and no other."""
    account = linked(cloud)
    cloud.fault("CreateInstance", **fault)  # type: ignore[arg-type]
    with pytest.raises(base.ProviderError) as caught:
        await dsw.create(account, REQUEST)
    assert type(caught.value) is create
    assert [one["name"] for one in cloud.instances()] == ([REQUEST.name] if there else [])
    if not there:
        await dsw.create(account, REQUEST)
    remote_id = cloud.instances()[0]["id"]
    cloud.fault("GetInstance", **fault)  # type: ignore[arg-type]
    with pytest.raises(base.ProviderError) as caught:
        await dsw.describe(account, remote_id)
    assert type(caught.value) is look


async def test_a_pause_has_its_length(cloud: Steer, dsw: DswProvider) -> None:
    """In seconds, where the cloud says so."""
    account = linked(cloud)
    cloud.fault("ListInstances", "throttle", seconds=2.5)
    with pytest.raises(base.Throttled) as caught:
        await dsw.owned(account, {})
    assert caught.value.after == 2.5
    cloud.fault("ListInstances", "throttle_plain")
    with pytest.raises(base.Throttled) as caught:
        await dsw.owned(account, {})
    assert caught.value.after is None


async def test_an_answer_without_an_id_is_no_instance_and_no_failure(cloud: Steer, dsw: DswProvider) -> None:
    """Looking by name finds it."""
    account = linked(cloud)
    cloud.fault("CreateInstance", "no_id")
    with pytest.raises(base.OutcomeUnknown):
        await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name)


async def test_what_comes_late_is_found_later(cloud: Steer, dsw: DswProvider) -> None:
    """After the look that did not find it."""
    account = linked(cloud)
    cloud.fault("CreateInstance", "late", seconds=90)
    with pytest.raises(base.OutcomeUnknown):
        await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name) is None
    cloud.advance(91)
    assert await dsw.find(account, REQUEST.name)
    with pytest.raises(base.AlreadyExists):
        await dsw.create(account, REQUEST)


@contextlib.contextmanager
def trap() -> Iterator[tuple[str, list[str]]]:
    """Somewhere else, and what arrives there."""
    got: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


async def test_nobody_is_followed_elsewhere(cloud: Steer, dsw: DswProvider) -> None:
    """A redirect would take the session's token along."""
    account = linked(cloud)
    await dsw.create(account, REQUEST)
    with trap() as (url, got):
        for action in ("AssumeRole", "CreateInstance", "GetInstance", "ListInstances", "GetToken", "ListWorkspaces"):
            cloud.fault(action, "redirect", url=url, times=1)
        for call in (
            lambda: dsw.access(linked(cloud), "dsw-x"),
            lambda: dsw.create(account, REQUEST),
            lambda: dsw.describe(account, "dsw-x"),
            lambda: dsw.find(account, "x"),
            lambda: dsw.probe(account),
        ):
            with pytest.raises(base.ProviderError):
                await call()
        assert got == []


async def test_a_proxy_of_the_environment_is_not_used(
    cloud: Steer, dsw: DswProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would send everything through it, loopback included."""
    with trap() as (url, got):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, url)
        assert await dsw.instance_types(linked(cloud))
        assert got == []


def test_it_does_not_start_where_the_sdk_would_log_credentials(
    cloud: Steer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEBUG=sdk is for somebody else's program."""
    monkeypatch.setenv("DEBUG", "SDK")
    with pytest.raises(SetupError, match="DEBUG"):
        DswProvider(dsw_settings(cloud, tmp_path))


async def test_even_debug_set_later_logs_no_secret(
    cloud: Steer, dsw: DswProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loggers of the SDK have no handlers left and say nothing below a warning."""
    monkeypatch.setenv("DEBUG", "sdk")
    caplog.set_level(logging.DEBUG)
    await dsw.instance_types(linked(cloud))
    assert not [secret for secret in cloud.ask("secrets") if secret in caplog.text]
    assert not any(logging.getLogger(name).handlers for name in ("darabonba-core", "alibabacloud-tea", "credentials"))


async def test_a_message_that_quotes_the_token_is_struck_out(cloud: Steer, dsw: DswProvider) -> None:
    """The cloud answers a wrong signature with what it signed, token and all."""
    account = linked(cloud)
    await dsw.owned(account, {})
    token = next(secret for secret in cloud.ask("secrets") if secret.startswith("CAIS"))
    cloud.fault("ListInstances", "error", status=400, code="SignatureDoesNotMatch", message=f"we got [{token}]")
    with pytest.raises(base.Rejected) as caught:
        await dsw.owned(account, {})
    assert token not in str(caught.value)
    assert caught.value.details == "SignatureDoesNotMatch: we got [***]"


async def test_a_session_may_do_only_what_it_is_for(cloud: Steer, dsw: DswProvider) -> None:
    """Though the role may do everything: each call is made in the session meant for it."""
    account = linked(cloud, actions=["*"])
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    await dsw.set_auto_stop(account, remote_id, stop_in=3600, idle=1800)
    await dsw.describe(account, remote_id)
    await dsw.access(account, remote_id)
    used = {call.action: call.principal.rsplit("-", 1)[-1] for call in cloud.calls() if call.service == "dsw"}
    assert {action: use for action, use in used.items() if use == "act"}.keys() == {
        call.action for call in cloud.mutations()
    }
    assert used["GetToken"] == "open"
    policies = [call.params["Policy"] for call in cloud.calls(action="AssumeRole")]
    assert len(policies) == 3
    assert all(len(text) <= 2048 and json.loads(text)["Statement"][0]["Action"] != ["*"] for text in policies)


@pytest.mark.parametrize("use", Use)
def test_no_session_is_without_limits(use: Use) -> None:
    """Every use has a policy, none of them with a wildcard, and all short enough."""
    text = session_policy(use, DswAssumptions())
    assert len(text) <= 2048
    assert "*" not in json.dumps(json.loads(text)["Statement"][0]["Action"])


@pytest.mark.parametrize("hardened", [False, True])
async def test_the_documents_that_people_are_given_are_enough(cloud: Steer, dsw: DswProvider, hardened: bool) -> None:
    """A role made from them passes the probe, and does all that is needed. Hardened, too."""
    settings = dsw._settings
    cloud.role(
        EXTERNAL_ID,
        trust=trust_document(settings.principal, EXTERNAL_ID),
        permissions=permission_document(settings.assumptions, hardened=hardened),
    )
    account = Account("dsw", "cn-hangzhou", ADA, f"acs:ram::{ADA}:role/{ROLE_NAME}", EXTERNAL_ID)
    probe = await dsw.probe(account)
    assert (list(probe.problems), list(probe.remarks)) == ([], [])
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    for _ in range(2):
        await dsw.set_auto_stop(account, remote_id, stop_in=3600, idle=1800)
    assert (await dsw.access(account, remote_id)).url
    await dsw.stop(account, remote_id)
    cloud.advance(20)
    await dsw.start(account, remote_id)
    cloud.advance(60)
    await dsw.stop(account, remote_id)
    cloud.advance(20)
    await dsw.delete(account, remote_id)


async def test_a_role_that_may_too_much_is_remarked_upon(cloud: Steer, dsw: DswProvider) -> None:
    """It works, but its owner is told."""
    probe = await dsw.probe(linked(cloud, actions=["*"]))
    assert list(probe.problems) == []
    assert [params for _, params in probe.remarks] == [{"action": "ram:ListUsers"}]


@pytest.mark.parametrize("missing", ["ListInstances", "ListEcsSpecs", "GetUserConfig"])
async def test_a_role_that_cannot_look_is_refused(cloud: Steer, dsw: DswProvider, missing: str) -> None:
    """What cannot be listed cannot be kept within its cap."""
    document = permission_document(DswAssumptions())
    document["Statement"].append({"Effect": "Deny", "Action": f"paidsw:{missing}", "Resource": "*"})
    probe = await dsw.probe(linked(cloud, permissions=document))
    assert list(probe.problems) == [(assume_role_checks.CANNOT_READ, {"action": f"paidsw:{missing}"})]


async def test_our_own_bad_key_is_not_the_persons_fault(cloud: Steer, dsw: DswProvider, tmp_path: Path) -> None:
    """Else one wrong file would block everybody's binding. Put right, it works without a restart."""
    account = linked(cloud)
    file = tmp_path / "platform-key.json"
    good = file.read_text()
    for bad in (
        good.replace(cloud.keys.access_key_secret, "wrong"),
        good.replace(cloud.keys.access_key_id, "LTAInobody"),
        "{",
    ):
        file.write_text(bad)
        with pytest.raises(base.Unavailable) as caught:
            await dsw.owned(account, {})
        assert cloud.keys.access_key_secret not in str(caught.value)
    file.write_text(good)
    assert await dsw.owned(account, {}) == []


async def test_sessions_are_replaced_before_they_end(cloud: Steer, tmp_path: Path) -> None:
    """With five minutes left, by our own steady clock; the cloud's time plays no part."""
    now = [0.0]
    provider = DswProvider(dsw_settings(cloud, tmp_path), monotonic=lambda: now[0])
    account = linked(cloud)
    for seconds, asked in ((0, 1), (3300, 1), (3301, 2), (6601, 2), (6602, 3)):
        now[0] = seconds
        await provider.owned(account, {})
        assert len(cloud.calls(action="AssumeRole")) == asked, seconds
    await provider.close()


async def test_a_clock_that_is_wrong_is_told_apart(cloud: Steer, dsw: DswProvider) -> None:
    """Nothing is lost or unknown: it is the clock."""
    account = linked(cloud)
    await dsw.owned(account, {})
    cloud.quirk(skew=1200)
    with pytest.raises(base.ClockSkew):
        await dsw.owned(account, {})
    with pytest.raises(base.ClockSkew):
        await dsw.create(account, REQUEST)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Queuing", RemoteState.PROVISIONING),
        ("Recovering", RemoteState.PROVISIONING),
        ("Saving", RemoteState.RUNNING),
        ("SaveFailed", RemoteState.RUNNING),
        ("Updating", RemoteState.RUNNING),
        ("ArrearStopping", RemoteState.STOPPING),
        ("Arrearge", RemoteState.UNKNOWN),
        ("Hibernating", RemoteState.UNKNOWN),
    ],
)
async def test_every_status_is_understood_or_may_cost(
    cloud: Steer, dsw: DswProvider, status: str, state: RemoteState
) -> None:
    """And is kept in the cloud's own words."""
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    cloud.console(remote_id, "status", status=status, code="Odd", message="something")
    seen = await dsw.describe(account, remote_id)
    assert (seen.state, seen.raw_state, seen.reason, seen.may_bill) == (state, status, "Odd: something", True)


async def test_prices_are_exact_or_absent(cloud: Steer, dsw: DswProvider) -> None:
    """A price without a currency is none; stock is the cloud's word."""
    cloud.instance_type("ecs.g6.large", price="0.1")
    cloud.instance_type("ecs.g6.xlarge", price=None)
    cloud.instance_type("ecs.g6.4xlarge", currency="")
    instance_types = {one.id: one for one in await dsw.instance_types(linked(cloud))}
    assert instance_types["ecs.g6.large"].price == Money(Decimal("0.1"), "CNY")
    assert instance_types["ecs.g6.xlarge"].price is None
    assert instance_types["ecs.g6.4xlarge"].price is None
    assert instance_types["ecs.gn7i-c16g1.4xlarge"].available is False
    assert instance_types["ecs.gn6v-c8g1.2xlarge"].gpu_memory == 16 * 1024**3


async def test_stock_and_balance_at_create(cloud: Steer, dsw: DswProvider) -> None:
    """They are told apart by the cloud's words, for it has no codes for them."""
    account = linked(cloud)
    cloud.instance_type("ecs.g6.large", available=False)
    with pytest.raises(base.NoCapacity):
        await dsw.create(account, REQUEST)
    cloud.instance_type("ecs.g6.large", available=True)
    cloud.account(sufficient=False)
    with pytest.raises(base.Insufficient):
        await dsw.create(account, REQUEST)
    assert (await dsw.probe(account)).remarks


@pytest.mark.parametrize("replaces", [False, True])
async def test_arming_again_replaces_whatever_the_cloud_does(cloud: Steer, dsw: DswProvider, replaces: bool) -> None:
    """Whether a second timer is refused or taken."""
    cloud.quirk(timer_replaces=replaces)
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    for seconds in (7200, 600):
        await dsw.set_auto_stop(account, remote_id, stop_in=seconds, idle=1800)
    cloud.advance(620)
    assert (await dsw.describe(account, remote_id)).state is RemoteState.STOPPED


@pytest.mark.parametrize("action", ["CreateInstanceShutdownTimer", "CreateIdleInstanceCuller"])
async def test_half_an_arming_is_none(cloud: Steer, dsw: DswProvider, action: str) -> None:
    """Whoever asked for both is told that there are not both."""
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    cloud.fault(action, "error", status=500)
    with pytest.raises(base.OutcomeUnknown):
        await dsw.set_auto_stop(account, remote_id, stop_in=600, idle=1800)


async def test_a_list_that_may_lack_something_is_an_error(cloud: Steer, dsw: DswProvider) -> None:
    """One page of two is lost."""
    account = linked(cloud)
    for number in range(101):
        await dsw.create(account, Request(f"fp{number}", "ecs.g6.large", {"fp": "1"}))
    assert len(await dsw.owned(account, {"fp": "1"})) == 101
    cloud.fault("ListInstances", "slow", seconds=0)
    cloud.fault("ListInstances", "html502")
    with pytest.raises(base.Unavailable):
        await dsw.owned(account, {"fp": "1"})
    cloud.clear_faults()


async def test_what_a_workspace_hides_is_not_found(cloud: Steer, dsw: DswProvider) -> None:
    """A list-blind binding: what was made is described, but not listed. The caller compares."""
    account = linked(cloud)
    cloud.account(sees_own=False)
    remote_id = await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name) is None
    assert (await dsw.describe(account, remote_id)).name == REQUEST.name


async def test_all_workspaces_are_looked_through(cloud: Steer, dsw: DswProvider) -> None:
    """Not only the default one."""
    cloud.account(workspaces={"1": "default", "2": "freepool"})
    account = linked(cloud)
    there = Account(**{**account.__dict__, "workspace": "2"})
    await dsw.create(there, REQUEST)
    found = await dsw.find(account, REQUEST.name)
    assert found is not None
    assert cloud.instance(found.id)["workspace"] == "2"


async def test_a_person_is_sent_only_to_the_clouds_own_hosts(cloud: Steer, tmp_path: Path) -> None:
    """Whatever address the cloud's answer names: the token goes along."""
    settings = dsw_settings(cloud, tmp_path, plain_http=True)
    provider = DswProvider(settings)
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    assert (await provider.access(account, remote_id)).url.startswith(cloud.endpoints.gates)
    cloud.ask("quirk", gates="http://gate.evil.example")
    with pytest.raises(base.Unavailable):
        await provider.access(account, remote_id)
    cloud.ask("quirk", gates="http://127.0.0.1@gate.evil.example")
    with pytest.raises(base.Unavailable):
        await provider.access(account, remote_id)
    await provider.close()


async def test_without_a_template_the_plain_address_is_given(cloud: Steer, tmp_path: Path) -> None:
    """And no token is asked for: the person logs in to their own cloud."""
    settings = dsw_settings(cloud, tmp_path, assumptions=DswAssumptions(access_url=None))
    provider = DswProvider(settings)
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    assert "token" not in (await provider.access(account, remote_id)).url
    assert cloud.calls(action="GetToken") == []
    await provider.close()


async def test_reading_never_holds_up_a_stop(cloud: Steer, tmp_path: Path) -> None:
    """However many reads hang."""
    provider = DswProvider(dsw_settings(cloud, tmp_path, readers=2))
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    await provider.describe(account, remote_id)
    cloud.fault("GetInstance", "hang_before", seconds=5, times=8)
    looks = [asyncio.create_task(provider.describe(account, remote_id)) for _ in range(8)]
    await asyncio.sleep(0.1)
    await asyncio.wait_for(provider.stop(account, remote_id), 0.9)
    assert not any(look.done() for look in looks)
    for outcome in await asyncio.gather(*looks, return_exceptions=True):
        assert isinstance(outcome, base.Unavailable)
    await provider.close()


async def test_the_time_left_is_told_by_our_clock(cloud: Steer, tmp_path: Path) -> None:
    """The cloud's own may stand elsewhere altogether."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    provider = DswProvider(dsw_settings(cloud, tmp_path), now=lambda: now)
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    await provider.set_auto_stop(account, remote_id, stop_in=600, idle=None)
    stops_at = (await provider.describe(account, remote_id)).stops_at
    assert stops_at is not None
    assert (stops_at - now).total_seconds() == 600
    await provider.close()


GOOD = {
    "principal": "acs:ram::1000000000000001:role/freepool",
    "key_file": "/nowhere",
    "regions": {"cn-hangzhou": DswRegion(image="image-1")},
}


def test_the_defaults_are_the_clouds_own_doors() -> None:
    """Over TLS."""
    settings = DswSettings(**GOOD)
    assert settings.endpoint("cn-hangzhou", "dsw") == "pai-dsw.cn-hangzhou.aliyuncs.com"
    assert not settings.plain_http


@pytest.mark.parametrize(
    "bad",
    [
        {"sts": "sts.evil.example"},
        {"sts": "aliyuncs.com.evil.example"},
        {"sts": "evilaliyuncs.com"},
        {"plain_http": True},
        {"sts": "127.0.0.1:80"},
        {"plain_http": True, "sts": "10.0.0.1:80"},
        {"regions": {"cn-hangzhou": DswRegion(dsw="evil.example", image="i")}},
        {"regions": {}},
        {"principal": "acs:ram::1000000000000001:root"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_settings_that_would_send_credentials_elsewhere_are_refused(bad: dict[str, object]) -> None:
    """Plain HTTP is for this machine, and everything else for the cloud's own hosts."""
    with pytest.raises(ValidationError):
        DswSettings(**{**GOOD, **bad})
