"""JSON of instances and instance types in API responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spawner.demo_cloud.clock import iso
from spawner.demo_cloud.notebooks.instance import Instance
from spawner.demo_cloud.world import InstanceType, World


def instance_view(world: World, instance: Instance, now: datetime) -> dict[str, Any]:
    """As in GetInstance and ListInstances. A tag {Key, Value} of a request is returned as {TagKey, TagValue}."""
    gate = f"{world.gates}/{instance.id}"
    view: dict[str, Any] = {
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "EcsSpec": instance.instance_type,
        "WorkspaceId": instance.workspace,
        "Status": instance.status,
        "ReasonCode": instance.reason[0],
        "ReasonMessage": instance.reason[1],
        "PaymentType": "PayAsYouGo",
        "Accessibility": instance.accessibility,
        "UserId": instance.owner,
        "ImageId": instance.image,
        "Labels": [{"Key": key, "Value": value} for key, value in instance.labels.items()],
        "Tags": [{"TagKey": key, "TagValue": value} for key, value in instance.tags.items()],
        "InstanceUrl": f"{world.gates}/notebook.htm?instance={instance.id}#/",
        "JupyterlabUrl": f"{gate}/lab/",
        "WebIDEUrl": f"{gate}/ide/",
        "TerminalUrl": f"{gate}/tty/",
        "AccumulatedRunningTimeInMs": int(instance.running_seconds(now) * 1000),
        "GmtCreateTime": iso(instance.created),
        "GmtModifiedTime": iso(instance.since),
        "CloudDisks": [{"Capacity": f"{instance.disk}Gi", "SubType": "rootfs"}],
        # Real responses can contain passwords here, so Freepool must not log whole responses.
        "ServiceConfig": {"JupyterServerAuth": "password", "JupyterServerPassword": world.password},
    }
    timer, culler = timer_view(instance, now), culler_view(instance, now)
    return {
        **view,
        **({"InstanceShutdownTimer": timer} if timer else {}),
        **({"IdleInstanceCuller": culler} if culler else {}),
    }


def timer_view(instance: Instance, now: datetime) -> dict[str, Any] | None:
    """The shutdown timer, if it is set."""
    if instance.due is None:
        return None
    return {
        "InstanceId": instance.id,
        "DueTime": iso(instance.due),
        "RemainingTimeInMs": int((instance.due - now).total_seconds() * 1000),
    }


def culler_view(instance: Instance, now: datetime) -> dict[str, Any] | None:
    """The idle culler, if it is set."""
    if instance.culler is None:
        return None
    used = instance.used if instance.status == "Running" and instance.used else now
    return {
        "InstanceId": instance.id,
        "MaxIdleTimeInMinutes": int(instance.culler.idle.total_seconds() // 60),
        "CpuPercentThreshold": instance.culler.cpu,
        "GpuPercentThreshold": instance.culler.gpu,
        "IdleTimeInMinutes": int((now - used).total_seconds() // 60),
    }


def instance_type_view(instance_type: InstanceType) -> dict[str, Any]:
    """As in ListEcsSpecs: the price is a float, per hour, as in the real cloud."""
    view: dict[str, Any] = {
        "InstanceType": instance_type.id,
        "AcceleratorType": "GPU" if instance_type.gpus else "CPU",
        "CPU": instance_type.cpu,
        "Memory": instance_type.memory,
        "GPU": instance_type.gpus,
        "SystemDiskCapacity": instance_type.disk,
        "IsAvailable": instance_type.available,
        "SpotStockStatus": "NoStock",
        "Labels": [],
    }
    if instance_type.gpus:
        view |= {"GPUType": instance_type.gpu, "GPUMemorySize": instance_type.gpu_memory}
    if instance_type.price is not None:
        view |= {"Price": float(instance_type.price), "Currency": instance_type.currency}
    return view
