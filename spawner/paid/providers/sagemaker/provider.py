"""AWS SageMaker notebook instances, by boto3's blocking calls in threads.

AWS has no timer that stops a notebook instance, so this provider has no `Capability.AUTO_STOP`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from spawner.paid.money import Money
from spawner.paid.providers import base
from spawner.paid.providers.base import (
    Access,
    Account,
    Capability,
    InstanceType,
    Probe,
    RemoteInstance,
    RemoteState,
    Request,
)
from spawner.paid.providers.calls import Calls, Use
from spawner.paid.providers.dsw.settings import is_loopback
from spawner.paid.providers.messages import offered, say
from spawner.paid.providers.sagemaker import probe as sagemaker_probe
from spawner.paid.providers.sagemaker.errors import translate
from spawner.paid.providers.sagemaker.sessions import Aws, RoleSession
from spawner.paid.providers.sagemaker.settings import SageMakerInstanceType, SageMakerSettings

T = TypeVar("T")
GIB = 1024**3
PAGE = 100
CURRENCY = "USD"
STATES = {
    "Pending": RemoteState.PROVISIONING,
    "InService": RemoteState.RUNNING,
    "Updating": RemoteState.RUNNING,
    "PendingMaintenance": RemoteState.RUNNING,
    "InMaintenance": RemoteState.RUNNING,
    "Stopping": RemoteState.STOPPING,
    "Stopped": RemoteState.STOPPED,
    "Deleting": RemoteState.DELETING,
    "Failed": RemoteState.FAILED,
}


class SageMakerProvider:
    """`Provider` for SageMaker. An instance's id is its name: AWS has no other."""

    id = "sagemaker"
    title = "AWS SageMaker"
    capabilities: frozenset[Capability] = frozenset()

    def __init__(
        self,
        settings: SageMakerSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        botocore_session: Any = None,
    ) -> None:
        settings.key()
        self._settings, self._aws = settings, Aws(settings, botocore_session)
        self._calls: Calls[RoleSession] = Calls(
            lambda account, use, until: self._aws.assume(account, use, external_id=account.external_id, until=until),
            name=self.id,
            readers=settings.readers,
            actors=settings.actors,
            monotonic=monotonic,
        )

    async def probe(self, account: Account) -> Probe:
        """Four checks against confused deputies, then a check that instances can be listed."""
        offered(account, self._settings.regions)
        return await self._calls.thread(Use.READ, lambda: sagemaker_probe.probe(self._aws, account))

    async def instance_types(self, account: Account) -> list[InstanceType]:
        """The instance types in the settings: the role cannot read prices or capacity from AWS."""
        offered(account, self._settings.regions)
        return [self._instance_type(setting) for setting in self._settings.instance_types]

    async def create(self, account: Account, request: Request) -> str:
        """Create an instance and return its id, which is its name."""
        size = self._settings.volume_gib if request.disk is None else max(5, -(-request.disk // GIB))
        await self._call(
            account,
            Use.ACT,
            lambda client: client.create_notebook_instance(
                NotebookInstanceName=request.name,
                InstanceType=request.instance_type,
                RoleArn=self._settings.execution_role.format(account=account.account_id),
                VolumeSizeInGB=size,
                Tags=[{"Key": key, "Value": value} for key, value in request.labels.items()],
            ),
        )
        return request.name

    async def find(self, account: Account, name: str) -> RemoteInstance | None:
        """The instance of this name; AWS looks it up by name."""
        try:
            return await self.describe(account, name)
        except base.NotFound:
            return None

    async def owned(self, account: Account, labels: Mapping[str, str]) -> list[RemoteInstance]:
        """All instances with these labels in the account's region."""

        def read(client: Any) -> list[RemoteInstance]:
            pages = client.get_paginator("list_notebook_instances").paginate(MaxResults=PAGE)
            rows = [row for page in pages for row in page["NotebookInstances"]]
            remotes = [_remote(row, _tags(client, row["NotebookInstanceArn"]), account.region) for row in rows]
            return [remote for remote in remotes if labels.items() <= dict(remote.labels).items()]

        return await self._call(account, Use.READ, read, in_bulk=True)

    async def describe(self, account: Account, remote_id: str) -> RemoteInstance:
        """The instance as it is now."""

        def read(client: Any) -> RemoteInstance:
            row = client.describe_notebook_instance(NotebookInstanceName=remote_id)
            return _remote(row, _tags(client, row["NotebookInstanceArn"]), account.region)

        return await self._call(account, Use.READ, read)

    async def start(self, account: Account, remote_id: str) -> None:
        """Start a stopped instance."""
        await self._call(account, Use.ACT, lambda c: c.start_notebook_instance(NotebookInstanceName=remote_id))

    async def stop(self, account: Account, remote_id: str) -> None:
        """Request a stop."""
        await self._call(account, Use.ACT, lambda c: c.stop_notebook_instance(NotebookInstanceName=remote_id))

    async def delete(self, account: Account, remote_id: str) -> None:
        """Request deletion of the instance and its disk."""
        await self._call(account, Use.ACT, lambda c: c.delete_notebook_instance(NotebookInstanceName=remote_id))

    async def set_auto_stop(self, account: Account, remote_id: str, *, stop_in: float, idle: float | None) -> None:  # noqa: ARG002
        """Always `Rejected`: see `capabilities`."""
        raise say(base.Rejected, code="NoTimer")

    async def access(self, account: Account, remote_id: str) -> Access:
        """An address that AWS has signed. Raises `Unavailable` unless it is at one of AWS's hosts."""
        answer = await self._call(
            account,
            Use.OPEN,
            lambda client: client.create_presigned_notebook_instance_url(
                NotebookInstanceName=remote_id, SessionExpirationDurationInSeconds=self._settings.access_seconds
            ),
        )
        url = str(answer.get("AuthorizedUrl", ""))
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_trusted = (parts.scheme == "https" and host.endswith(self._settings.gate_hosts)) or (
            self._settings.plain_http and parts.scheme == "http" and is_loopback(host)
        )
        if not is_trusted:
            raise say(base.Unavailable, code="NoAddress")
        return Access(url)

    async def close(self) -> None:
        """End threads; connections end with their clients."""
        await self._calls.close()

    async def _call(self, account: Account, use: Use, act: Callable[[Any], T], *, in_bulk: bool = False) -> T:
        offered(account, self._settings.regions)

        def run(session: RoleSession) -> T:
            try:
                return act(session.sagemaker)
            except Exception as error:
                failed = translate(error, mutates=use is Use.ACT, secrets=session.secrets)
            raise failed  # outside of the handler, so that boto3's exception, which holds secrets, is not its context

        return await self._calls.run(account, use, run, in_bulk=in_bulk)

    def _instance_type(self, setting: SageMakerInstanceType) -> InstanceType:
        hourly = self._settings.volume_price
        return InstanceType(
            id=setting.id,
            cpu=setting.cpu,
            memory=setting.memory * GIB,
            gpu_count=setting.gpu_count,
            gpu_name=setting.gpu_name,
            gpu_memory=setting.gpu_memory and setting.gpu_memory * GIB,
            price=Money(setting.price, CURRENCY) if setting.price is not None else None,
            available=None,
            disk=0,  # no size is included: the disk is billed from the first GiB, also while stopped
            disk_price=Money(hourly, CURRENCY) if hourly is not None else None,
            least_disk=self._settings.volume_gib * GIB,
        )


def _tags(client: Any, arn: str) -> dict[str, str]:
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _remote(row: Mapping[str, Any], labels: Mapping[str, str], region: str) -> RemoteInstance:
    status = str(row.get("NotebookInstanceStatus", ""))
    return RemoteInstance(
        id=row["NotebookInstanceName"],
        name=row["NotebookInstanceName"],
        region=region,
        state=STATES.get(status, RemoteState.UNKNOWN),
        raw_state=status,
        reason=str(row.get("FailureReason") or ""),
        instance_type=str(row.get("InstanceType") or ""),
        labels=labels,
        running=None,
        created_at=row.get("CreationTime"),
        stops_at=None,
    )
