"""Alibaba Cloud PAI-DSW: instances in a user's own account, through a role that the user can revoke at any time.

The SDK's blocking calls run in threads: its asyncio calls block the event loop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from alibabacloud_pai_dsw20220101 import models as dsw
from alibabacloud_pai_dsw20220101.client import Client as Dsw

from spawner.paid.providers import base
from spawner.paid.providers.base import Access, Account, Capability, InstanceType, Probe, RemoteInstance, Request
from spawner.paid.providers.calls import Calls, Use
from spawner.paid.providers.dsw import probe as dsw_probe
from spawner.paid.providers.dsw import sdk
from spawner.paid.providers.dsw.errors import Translator
from spawner.paid.providers.dsw.listing import instances, specs
from spawner.paid.providers.dsw.remote import access_url, instance_type, remote
from spawner.paid.providers.dsw.sessions import RoleSession, assume, runtime
from spawner.paid.providers.dsw.settings import DswSettings
from spawner.paid.providers.messages import offered, say

T = TypeVar("T")
GIB = 1024**3
PERCENT_IDLE = 10
"""An instance that uses less of its processor and of its accelerator counts as idle."""


class DswProvider:
    """`Provider` for PAI-DSW. One object serves all accounts, from one event loop."""

    id = "dsw"
    title = "Alibaba Cloud PAI-DSW"
    capabilities = frozenset(
        {Capability.AUTO_STOP, Capability.IDLE_CULLER, Capability.PRICES, Capability.PROOF, Capability.WIPES}
    )

    def __init__(
        self,
        settings: DswSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        sdk.harden()
        settings.key()
        self._settings, self._now = settings, now
        self._calls: Calls[RoleSession] = Calls(
            lambda account, use, until: assume(settings, account, use, external_id=account.external_id, until=until),
            name=self.id,
            readers=settings.readers,
            actors=settings.actors,
            monotonic=monotonic,
        )

    async def probe(self, account: Account) -> Probe:
        """Four checks against confused deputies, then checks of the read permissions."""
        offered(account, self._settings.regions)
        return await self._calls.thread(Use.READ, lambda: dsw_probe.probe(self._settings, account))

    async def instance_types(self, account: Account) -> list[InstanceType]:
        """All instance types on offer now."""
        assumed = self._settings.assumptions
        listed = await self._call(account, Use.READ, specs)
        return [instance_type(spec, assumed) for spec in listed]

    async def create(self, account: Account, request: Request) -> str:
        """Create an instance and return its id in the cloud."""
        offered(account, self._settings.regions)
        image = request.image or self._settings.regions[account.region].image
        create_request = dsw.CreateInstanceRequest(
            instance_name=request.name,
            ecs_spec=request.instance_type,
            workspace_id=account.workspace,
            accessibility="PRIVATE",
            image_url=image if "/" in image else None,
            image_id=None if "/" in image else image,
            labels=[dsw.CreateInstanceRequestLabels(key=k, value=v) for k, v in request.labels.items()],
            tag=[dsw.CreateInstanceRequestTag(key=k, value=v) for k, v in request.labels.items()],
            cloud_disks=_disks(request),
        )

        def act(call: Call) -> str:
            body = call(lambda client, time: client.create_instance_with_options(create_request, {}, time))
            if not isinstance(body.instance_id, str) or not body.instance_id:
                raise call.translator.open(code="NoInstanceId", request_id=body.request_id or "")
            return body.instance_id

        return await self._call(account, Use.ACT, act)

    async def find(self, account: Account, name: str) -> RemoteInstance | None:
        """The instance with exactly this name: the oldest, if several workspaces have one."""
        views = await self._call(account, Use.READ, lambda call: instances(call, name=name))
        exact = sorted((self._remote(account, view) for view in views if view.instance_name == name), key=_age)
        return exact[0] if exact else None

    async def owned(self, account: Account, labels: Mapping[str, str]) -> list[RemoteInstance]:
        """All instances with these labels in the account's region."""
        views = await self._call(account, Use.READ, lambda call: instances(call, labels=labels), in_bulk=True)
        remotes = [self._remote(account, view) for view in views]
        return [instance for instance in remotes if labels.items() <= dict(instance.labels).items()]

    async def describe(self, account: Account, remote_id: str) -> RemoteInstance:
        """The instance as it is now."""
        body = await self._call(
            account,
            Use.READ,
            lambda call: call(
                lambda c, time: c.get_instance_with_options(remote_id, dsw.GetInstanceRequest(), {}, time)
            ),
        )
        return self._remote(account, body)

    async def start(self, account: Account, remote_id: str) -> None:
        """Start a stopped instance."""
        await self._act(account, lambda client, time: client.start_instance_with_options(remote_id, {}, time))

    async def stop(self, account: Account, remote_id: str) -> None:
        """Request a stop."""
        request = dsw.StopInstanceRequest(save_image=False)
        await self._act(account, lambda client, time: client.stop_instance_with_options(remote_id, request, {}, time))

    async def delete(self, account: Account, remote_id: str) -> None:
        """Request deletion of the instance and its disk."""
        await self._act(account, lambda client, time: client.delete_instance_with_options(remote_id, {}, time))

    async def set_auto_stop(self, account: Account, remote_id: str, *, stop_in: float, idle: float | None) -> None:
        """Set the timer first, because it enforces the cap, then the idle culler."""
        timer = dsw.CreateInstanceShutdownTimerRequest(remaining_time_in_ms=max(1, int(stop_in * 1000)))
        await self._replace(
            account,
            lambda c, time: c.create_instance_shutdown_timer_with_options(remote_id, timer, {}, time),
            lambda c, time: c.delete_instance_shutdown_timer_with_options(remote_id, {}, time),
        )
        if idle is not None:
            culler = dsw.CreateIdleInstanceCullerRequest(
                max_idle_time_in_minutes=max(1, int(idle // 60)),
                cpu_percent_threshold=PERCENT_IDLE,
                gpu_percent_threshold=PERCENT_IDLE,
            )
            await self._replace(
                account,
                lambda c, time: c.create_idle_instance_culler_with_options(remote_id, culler, {}, time),
                lambda c, time: c.delete_idle_instance_culler_with_options(remote_id, {}, time),
            )

    async def access(self, account: Account, remote_id: str) -> Access:
        """The address of JupyterLab, with a token that is valid for some minutes."""
        assumed = self._settings.assumptions
        token_request = dsw.GetTokenRequest(
            instance_id=remote_id,
            expire_time=assumed.access_seconds,
            type="Access",
            audience=assumed.access_audience,
        )

        def act(call: Call) -> Access:
            body = _get(call, remote_id)
            token = None
            if assumed.access_url is not None:
                token = call(lambda c, time: c.get_token_with_options(token_request, {}, time)).token
            url = access_url(body, token, self._settings)
            if url is None:
                raise say(base.Unavailable, code="NoAddress")
            return Access(url)

        return await self._call(account, Use.OPEN, act)

    async def close(self) -> None:
        """End threads and connections."""
        await self._calls.close()
        sdk.close_connections(self._settings.endpoints)

    async def _act(self, account: Account, send: Callable[[Any, Any], Any]) -> None:
        await self._call(account, Use.ACT, lambda call: call(send))

    async def _replace(
        self, account: Account, make: Callable[[Any, Any], Any], drop: Callable[[Any, Any], Any]
    ) -> None:
        """Call `make`; where the cloud answers that one exists, call `drop` first."""
        try:
            await self._act(account, make)
        except base.AlreadyExists:
            with contextlib.suppress(base.NotFound):  # it has fired meanwhile
                await self._act(account, drop)
            await self._act(account, make)

    async def _call(self, account: Account, use: Use, act: Callable[[Call], T], *, in_bulk: bool = False) -> T:
        offered(account, self._settings.regions)
        mutates = use is Use.ACT
        return await self._calls.run(
            account, use, lambda session: act(Call(self._settings, account, session, mutates=mutates)), in_bulk=in_bulk
        )

    def _remote(self, account: Account, view: Any) -> RemoteInstance:
        return remote(view, account.region, self._now())


class Call:
    """Sends calls in one session, from a thread."""

    def __init__(self, settings: DswSettings, account: Account, session: RoleSession, *, mutates: bool) -> None:
        self.translator = Translator(settings.assumptions, mutates=mutates, secrets=session.secrets)
        self._runtime = runtime(settings)
        self._client = Dsw(
            sdk.config(
                endpoint=settings.endpoint(account.region, "dsw"),
                region=account.region,
                plain_http=settings.plain_http,
                key_id=session.key_id,
                secret=session.secret,
                token=session.token,
            )
        )

    def __call__(self, send: Callable[[Any, Any], Any]) -> Any:
        """The body of the response. Raises `ProviderError` or `Expired`."""
        try:
            answer = send(self._client, self._runtime)
        except Exception as error:
            failed = self.translator.raised(error)
        else:
            return self.translator.checked(answer.body)
        raise failed  # outside of the handler, so that the SDK's exception, which holds the token, is not its context


def _get(call: Call, remote_id: str) -> Any:
    return call(lambda client, time: client.get_instance_with_options(remote_id, dsw.GetInstanceRequest(), {}, time))


def _disks(request: Request) -> list[Any] | None:
    if request.disk is None:
        return None
    return [dsw.CreateInstanceRequestCloudDisks(capacity=f"{-(-request.disk // GIB)}Gi", sub_type="rootfs")]


def _age(instance: RemoteInstance) -> tuple[datetime, str]:
    return instance.created_at or datetime.max.replace(tzinfo=UTC), instance.id
