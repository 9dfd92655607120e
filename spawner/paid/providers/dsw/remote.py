"""Convert PAI-DSW's responses to the types of `providers.base`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

from spawner.paid.money import Money
from spawner.paid.providers.base import InstanceType, RemoteInstance, RemoteState
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.dsw.settings import DswSettings, is_loopback

GIB = 1024**3
STATES = {
    "Creating": RemoteState.PROVISIONING,
    "ResourceAllocating": RemoteState.PROVISIONING,
    "Queuing": RemoteState.PROVISIONING,
    "EnvPreparing": RemoteState.PROVISIONING,
    "Starting": RemoteState.PROVISIONING,
    "Recovering": RemoteState.PROVISIONING,
    "Running": RemoteState.RUNNING,
    "Updating": RemoteState.RUNNING,
    "Saving": RemoteState.RUNNING,
    "Saved": RemoteState.RUNNING,
    "SaveFailed": RemoteState.RUNNING,
    "Stopping": RemoteState.STOPPING,
    "ArrearStopping": RemoteState.STOPPING,
    "Stopped": RemoteState.STOPPED,
    "Deleting": RemoteState.DELETING,
    "Failed": RemoteState.FAILED,
}
"""All documented statuses. Any other is UNKNOWN, which counts as billed."""


def remote(view: Any, region: str, now: datetime) -> RemoteInstance:
    """Convert an instance. `stops_at` is computed from the timer's remaining time: the clocks may differ."""
    timer = view.instance_shutdown_timer
    stops_at = None
    if timer is not None and timer.remaining_time_in_ms is not None:
        stops_at = now + timedelta(milliseconds=timer.remaining_time_in_ms)
    elif timer is not None:
        stops_at = _parse_time(timer.due_time)
    running = view.accumulated_running_time_in_ms
    reason = ": ".join(part for part in (view.reason_code, view.reason_message) if part)
    return RemoteInstance(
        id=view.instance_id or "",
        name=view.instance_name or "",
        region=region,
        state=STATES.get(view.status or "", RemoteState.UNKNOWN),
        raw_state=view.status or "",
        reason=reason,
        instance_type=view.ecs_spec or "",
        labels={label.key: label.value or "" for label in view.labels or () if label.key},
        running=running / 1000 if isinstance(running, (int, float)) else None,
        created_at=_parse_time(view.gmt_create_time),
        stops_at=stops_at,
    )


def instance_type(spec: Any, assumed: DswAssumptions) -> InstanceType:
    """Convert an instance type. A price without a currency, or of 0, counts as unknown."""
    price = None
    if spec.price is not None and spec.currency:
        amount = Decimal(str(spec.price))
        price = Money(amount, spec.currency) if amount.is_finite() and amount > 0 else None
    disk_price = Money(assumed.disk_price, spec.currency) if assumed.disk_price and spec.currency else None
    return InstanceType(
        id=spec.instance_type,
        cpu=int(spec.cpu or 0),
        memory=int(Decimal(str(spec.memory or 0)) * GIB),
        gpu_count=int(spec.gpu or 0),
        gpu_name=spec.gputype or None,
        gpu_memory=int(Decimal(str(spec.gpumemory_size)) * GIB) if spec.gpumemory_size else None,
        price=price,
        available=spec.is_available,
        disk=assumed.included_disk_gib * GIB,
        disk_price=disk_price,
    )


def access_url(view: Any, token: Any, settings: DswSettings) -> str | None:
    """Address of JupyterLab with the token; None unless it is at one of the cloud's hosts."""
    lab = view.jupyterlab_url or ""
    parts = urlsplit(lab)
    is_trusted = parts.hostname is not None and (
        (parts.scheme == "https" and parts.hostname.endswith(settings.gate_hosts))
        or (settings.plain_http and parts.scheme == "http" and is_loopback(parts.hostname))
    )
    template = settings.assumptions.access_url
    if not is_trusted or (template is not None and not isinstance(token, str)):
        return None
    return lab if template is None else template.format(lab_url=lab, token=quote(str(token), safe=""))


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
