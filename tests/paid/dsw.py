"""PAI-DSW for tests: the real SDK against the stand-in cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spawner.paid.providers.base import Account, Request
from spawner.paid.providers.dsw.settings import DswRegion, DswSettings
from tests.cloud.steer import ADA, HANGZHOU, ROLE_NAME, Steer

REQUEST = Request(name="fp01j8abc", instance_type="ecs.g6.large", labels={"fp_platform": "p1", "fp_order": "o1"})
EXTERNAL_ID = "fp-0123456789abcdef0123456789abcdef"


def dsw_settings(cloud: Steer, folder: Path, **changes: Any) -> DswSettings:
    """Settings with the stand-in's endpoints, and the platform key in a file."""
    key = folder / "platform-key.json"
    key.write_text(
        json.dumps({"access_key_id": cloud.keys.access_key_id, "access_key_secret": cloud.keys.access_key_secret})
    )
    key.chmod(0o600)
    endpoints = cloud.endpoints.regions
    return DswSettings(
        **{
            "principal": cloud.endpoints.principal,
            "key_file": key,
            "regions": {name: DswRegion(dsw=at, workspaces=at, image="demo-image") for name, at in endpoints.items()},
            "sts": cloud.endpoints.sts,
            "ram": cloud.endpoints.sts,
            "plain_http": True,
            "read_seconds": 1,
            **changes,
        }
    )


def linked(cloud: Steer, *, account: str = ADA, region: str = HANGZHOU, **role: Any) -> Account:
    """An account with a role."""
    cloud.role(EXTERNAL_ID, account=account, **role)
    arn = f"acs:ram::{account}:role/{ROLE_NAME}"
    return Account(provider="dsw", region=region, account_id=account, role=arn, external_id=EXTERNAL_ID)
