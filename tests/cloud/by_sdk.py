"""Makes an instance through the SDK alone, for tests of the stand-in that need one."""

from __future__ import annotations

from typing import Any

from alibabacloud_pai_dsw20220101 import models as dsw
from alibabacloud_pai_dsw20220101.client import Client as Dsw
from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.utils_models import Config

from tests.cloud.steer import HANGZHOU, Steer


def config(endpoint: str, **key: str) -> Any:
    """How a client is made."""
    return Config(endpoint=endpoint, region_id=HANGZHOU, protocol="http", **key)


def client(cloud: Steer, **role: Any) -> Dsw:
    """In a session of a role, which may do everything in PAI-DSW unless told otherwise."""
    arn = cloud.role("fp-1234567890", **role)
    key = {"access_key_id": cloud.keys.access_key_id, "access_key_secret": cloud.keys.access_key_secret}
    request = sts.AssumeRoleRequest(role_arn=arn, role_session_name="test", external_id="fp-1234567890")
    given = Sts(config(cloud.endpoints.sts, **key)).assume_role(request).body.credentials
    return Dsw(
        config(
            cloud.endpoints.regions[HANGZHOU],
            access_key_id=given.access_key_id,
            access_key_secret=given.access_key_secret,
            security_token=given.security_token,
        )
    )


def make(cloud: Steer) -> tuple[str, str]:
    """A running instance: the base of its gate, and a token for it."""
    api = client(cloud)
    request = dsw.CreateInstanceRequest(instance_name="fp1", ecs_spec="ecs.g6.large", image_id="image-1")
    made = api.create_instance(request).body.instance_id
    cloud.advance(60)
    token = api.get_token(dsw.GetTokenRequest(instance_id=made)).body.token
    return f"{cloud.endpoints.gates}/{made}/", token
