"""One interface to both clouds, so that one suite tests both providers."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from spawner.paid.providers.base import Account, Provider, RemoteInstance, RemoteState
from spawner.paid.providers.dsw.provider import DswProvider
from spawner.paid.providers.sagemaker.provider import SageMakerProvider
from tests.cloud import steer
from tests.cloud.steer import Steer
from tests.paid import aws, dsw
from tests.paid.aws import Moto

STEPS = 20


class Rig(ABC):
    """A provider and the cloud behind it.

    Verbs are `create`, `start`, `stop`, `delete`, `describe`, `list`, `access`; kinds of failure are `lost_before`,
    `lost_after`, `page_before`, `page_after`, `throttled`, `denied`, `expired`, `skewed`, `server`, `redirect`.
    """

    provider: Provider
    instance_type: str

    @abstractmethod
    def account(self, *, who: str = "ada", region: int = 0, trust: str = "right") -> Account:
        """An account with a role. `trust`: `right`, `open` (no external id is required), `none` (no role exists)."""

    @abstractmethod
    def fail(self, verb: str, kind: str, times: int = 1) -> None:
        """Let the next calls of a verb fail."""

    @abstractmethod
    def made(self, name: str) -> int:
        """Number of instances of this name in the cloud."""

    @abstractmethod
    def mutations(self) -> list[str]:
        """Mutating calls that the cloud has received."""

    @abstractmethod
    def assumed(self) -> int:
        """Number of sessions requested."""

    @abstractmethod
    def secrets(self) -> set[str]:
        """Secrets that no log and no error may contain."""

    @abstractmethod
    def pass_time(self) -> None:
        """Let some seconds pass in the cloud."""

    async def until(self, account: Account, remote_id: str, state: RemoteState) -> RemoteInstance:
        """Pass time until the instance has a state."""
        for _ in range(STEPS):
            seen = await self.provider.describe(account, remote_id)
            if seen.state is state:
                return seen
            self.pass_time()
        raise AssertionError(f"never became {state}, but {seen}")


class DswRig(Rig):
    """PAI-DSW on the stand-in."""

    instance_type = "ecs.g6.large"
    VERBS: ClassVar = {
        "create": "CreateInstance",
        "start": "StartInstance",
        "stop": "StopInstance",
        "delete": "DeleteInstance",
        "describe": "GetInstance",
        "list": "ListInstances",
        "access": "GetToken",
    }

    def __init__(self, cloud: Steer, folder: Path) -> None:
        self.cloud = cloud
        self.provider = DswProvider(dsw.dsw_settings(cloud, folder))

    def account(self, *, who: str = "ada", region: int = 0, trust: str = "right") -> Account:
        number = {"ada": steer.ADA, "li": steer.LI}[who]
        where = (steer.HANGZHOU, steer.SHANGHAI)[region]
        account = dsw.linked(self.cloud, account=number, region=where)
        if trust == "open":
            self.cloud.role(None, account=number)
        if trust == "none":
            self.cloud.drop_role(account.role)
        return account

    def fail(self, verb: str, kind: str, times: int = 1) -> None:
        named = {
            "lost_before": {"kind": "close_before"},
            "lost_after": {"kind": "close_after"},
            "page_before": {"kind": "html502_before"},
            "page_after": {"kind": "html502"},
            "throttled": {"kind": "throttle"},
            "denied": {"kind": "error", "status": 403, "code": "NoPermission"},
            "expired": {"kind": "error", "status": 400, "code": "InvalidSecurityToken.Expired"},
            "skewed": {"kind": "error", "status": 400, "code": "InvalidTimeStamp.Expired"},
            "server": {"kind": "error", "status": 500, "code": "InternalError"},
            "redirect": {"kind": "redirect", "url": self.cloud.endpoints.main},
            "capacity": {"kind": "error", "status": 400, "message": "ecs.g6.large is out of stock"},
            "limit": {"kind": "error", "status": 400, "code": "InsufficientBalance"},
        }[kind]
        self.cloud.fault(self.VERBS[verb], times=times, **named)

    def made(self, name: str) -> int:
        return sum(instance["name"] == name for instance in self.cloud.instances())

    def mutations(self) -> list[str]:
        return [call.action for call in self.cloud.mutations()]

    def assumed(self) -> int:
        return len(self.cloud.calls(action="AssumeRole"))

    def secrets(self) -> set[str]:
        return set(self.cloud.ask("secrets")) - {""}

    def pass_time(self) -> None:
        self.cloud.advance(20)


class SageMakerRig(Rig):
    """SageMaker on moto."""

    instance_type = "ml.t3.medium"
    VERBS: ClassVar = {
        "create": "CreateNotebookInstance",
        "start": "StartNotebookInstance",
        "stop": "StopNotebookInstance",
        "delete": "DeleteNotebookInstance",
        "describe": "DescribeNotebookInstance",
        "list": "ListNotebookInstances",
        "access": "CreatePresignedNotebookInstanceUrl",
    }

    def __init__(self, moto: Moto, folder: Path, models: object) -> None:
        self.moto = moto
        self.provider = SageMakerProvider(aws.sagemaker_settings(moto, folder), botocore_session=models)

    def account(self, *, who: str = "ada", region: int = 0, trust: str = "right") -> Account:
        number = {"ada": aws.ADA, "li": aws.LI}[who]
        where = (aws.REGION, aws.OTHER_REGION)[region]
        account = aws.linked(
            self.moto, account=number, region=where, trust=None if trust == "open" else aws.EXTERNAL_ID
        )
        if trust == "none":
            self.moto.distrust(account.role)
        return account

    def fail(self, verb: str, kind: str, times: int = 1) -> None:
        self.moto.fail(self.VERBS[verb], kind, times)

    def made(self, name: str) -> int:
        return self.moto.names().count(name)

    def mutations(self) -> list[str]:
        return [action for action in self.moto.seen() if action in aws.MUTATING]

    def assumed(self) -> int:
        return self.moto.seen().count("AssumeRole")

    def secrets(self) -> set[str]:
        return self.moto.secrets()

    def pass_time(self) -> None:
        """moto changes states at once."""


@contextlib.asynccontextmanager
async def rig_for(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Rig]:
    """A new rig of this kind."""
    rig: Rig
    if kind == "dsw":
        rig = DswRig(request.getfixturevalue("cloud"), folder)
    elif kind == "dsw apart":
        rig = DswRig(request.getfixturevalue("cloud_apart"), folder)
    else:
        moto = request.getfixturevalue("moto")
        moto.reset()
        rig = SageMakerRig(moto, folder, request.getfixturevalue("models"))
    try:
        yield rig
    finally:
        await rig.provider.close()
