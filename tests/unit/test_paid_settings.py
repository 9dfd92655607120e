"""Invalid settings of paid instances are refused with a message before any process starts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spawner.errors import SetupError
from spawner.ledger import open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.paid.build import close, make_paid, require
from spawner.paid_settings import PaidSettings
from spawner.settings import Settings

REAL: Mapping[str, Any] = {
    "label": "installation-1",
    "dsw": {
        "principal": "acs:ram::1000000000000001:role/freepool",
        "key_file": "/nowhere",
        "regions": {"cn-hangzhou": {"image": "image-abc123"}},
    },
}
LOCAL = {"plain_http": True}
QUICK = {"poll_seconds": 2, "poll_soon_seconds": 0.3, "lease_seconds": 5}
HTTPS = "https://lab.example.org"


def settings(paid: Mapping[str, Any], tmp_path: Path, **changes: Any) -> Settings:
    where = {"catalog": tmp_path, "state": tmp_path, "examples": tmp_path, "ledger_url": "sqlite:///x"}
    return Settings.model_validate({**where, "paid": paid, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"public": f"{HTTPS}/", "notebook_hosts": "shared"},
        {"public": "https://192.0.2.1/"},
        {"public": "http://lab.example.org/"},
    ],
)
def test_real_money_needs_notebooks_on_another_origin(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="real money needs"):
        settings(REAL, tmp_path, **changes)
    assert settings(REAL, tmp_path, **changes, trust_notebooks=True).paid is not None
    assert settings(REAL | {"trust_notebooks": True}, tmp_path, **changes).trusts_notebooks, "its place in version 0.1"


def test_paid_instances_need_subdomains_and_the_demo_does_not(tmp_path: Path) -> None:
    assert settings(REAL, tmp_path, public=f"{HTTPS}/").paid is not None
    assert settings(REAL, tmp_path, public=f"{HTTPS}/", subdomain_host=HTTPS).paid is not None
    demo = REAL | {"demo": True, "dsw": REAL["dsw"] | LOCAL}
    assert settings(demo, tmp_path).is_demo
    with pytest.raises(ValidationError, match="must be the host of `public`"):
        settings(demo, tmp_path, public=f"{HTTPS}/", subdomain_host="https://other.example.org")


@pytest.mark.parametrize("wrong", [{"demo": True}, {"dsw": REAL["dsw"] | LOCAL}])
def test_a_real_cloud_cannot_be_declared_a_demo(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="go together"):
        PaidSettings.model_validate(REAL | wrong)


def test_a_cloud_without_account_proof_is_refused_with_a_message() -> None:
    with pytest.raises(ValidationError, match="nothing proves whose an AWS account is"):
        PaidSettings.model_validate(REAL | {"sagemaker": {}})


def test_missing_settings_are_reported_before_any_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = tmp_path / "key", tmp_path / "oauth"
    paid = PaidSettings.model_validate(
        REAL | {"dsw": REAL["dsw"] | {"key_file": str(key)}, "oauth": {"client_id": "1", "secret_file": str(secret)}}
    )
    with pytest.raises(SetupError, match=r"cloud key in .*key cannot be read"):
        require(paid)
    key.write_text(json.dumps({"access_key_id": "a", "access_key_secret": "b"}))
    with pytest.raises(SetupError, match=r"secret of the cloud's sign-in in .*oauth cannot be read"):
        require(paid)
    secret.write_text("s")
    require(paid)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "authlib" else find(name))
    with pytest.raises(SetupError, match="needs authlib, which is not installed"):
        require(paid)


async def test_the_poll_interval_and_the_lease_are_settings(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    key = tmp_path / "key"
    key.write_text(json.dumps({"access_key_id": "an-id", "access_key_secret": "a-secret"}))
    real = {**REAL, "dsw": REAL["dsw"] | {"key_file": str(key)}}
    for given, poll, poll_soon, lease in (({}, 30, 5, 30), (QUICK, 2, 0.3, 5)):
        paid = make_paid(PaidSettings.model_validate({**real, **given}), ledger)
        assert (paid.rules.poll, paid.rules.poll_soon) == (poll, poll_soon)
        assert paid.rules.lease.total_seconds() == lease
        await close(paid)
    ledger.close()


@pytest.mark.parametrize("wrong", [{"poll_seconds": 0}, {"poll_soon_seconds": 3600}, {"lease_seconds": 1}])
def test_intervals_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="equal to"):
        PaidSettings.model_validate({**REAL, **wrong})
