"""PAI-DSW: credentials and tokens reach the cloud's own hosts only, and no log or message."""

from __future__ import annotations

import contextlib
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from spawner.errors import SetupError
from spawner.paid.providers import base
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.dsw.provider import DswProvider
from spawner.paid.providers.dsw.settings import DswRegion, DswSettings
from tests.cloud.steer import Steer
from tests.paid.dsw import REQUEST, dsw_settings, linked


@contextlib.contextmanager
def trap() -> Iterator[tuple[str, list[str]]]:
    """A server that no call may reach, and the paths of the calls that do."""
    got: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


async def test_redirects_are_not_followed(cloud: Steer, dsw: DswProvider) -> None:
    """A redirect would take the session's token to another host."""
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


def test_the_provider_does_not_start_where_the_sdk_would_log_credentials(
    cloud: Steer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", "SDK")
    with pytest.raises(SetupError, match="DEBUG"):
        DswProvider(dsw_settings(cloud, tmp_path))


async def test_debug_set_after_the_start_logs_no_secret(
    cloud: Steer, dsw: DswProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK's loggers have no handlers, and log warnings only."""
    monkeypatch.setenv("DEBUG", "sdk")
    caplog.set_level(logging.DEBUG)
    await dsw.instance_types(linked(cloud))
    assert not [secret for secret in cloud.ask("secrets") if secret in caplog.text]
    assert not any(logging.getLogger(name).handlers for name in ("darabonba-core", "alibabacloud-tea", "credentials"))


async def test_a_token_in_an_error_message_is_masked(cloud: Steer, dsw: DswProvider) -> None:
    """The cloud quotes the signed text, with the token, in its answer to a wrong signature."""
    account = linked(cloud)
    await dsw.owned(account, {})
    token = next(secret for secret in cloud.ask("secrets") if secret.startswith("CAIS"))
    cloud.fault("ListInstances", "error", status=400, code="SignatureDoesNotMatch", message=f"we got [{token}]")
    with pytest.raises(base.Rejected) as caught:
        await dsw.owned(account, {})
    assert token not in str(caught.value)
    assert caught.value.details == "SignatureDoesNotMatch: we got [***]"


async def test_access_urls_point_only_to_the_clouds_own_hosts(cloud: Steer, tmp_path: Path) -> None:
    """Whatever host the cloud's answer names, because the URL contains a token."""
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


async def test_without_a_template_the_access_url_has_no_token(cloud: Steer, tmp_path: Path) -> None:
    """The user signs in at the cloud instead."""
    settings = dsw_settings(cloud, tmp_path, assumptions=DswAssumptions(access_url=None))
    provider = DswProvider(settings)
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    assert "token" not in (await provider.access(account, remote_id)).url
    assert cloud.calls(action="GetToken") == []
    await provider.close()


GOOD = {
    "principal": "acs:ram::1000000000000001:role/freepool",
    "key_file": "/nowhere",
    "regions": {"cn-hangzhou": DswRegion(image="image-1")},
}


def test_the_default_endpoints_are_the_clouds_own_over_tls() -> None:
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
    """Plain HTTP is for loopback; every other endpoint belongs to the cloud."""
    with pytest.raises(ValidationError):
        DswSettings(**{**GOOD, **bad})
