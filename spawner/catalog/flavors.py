"""Flavors: sizes, accelerators, pods, warm slots."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from spawner.catalog.allowances import FlavorAllowance
from spawner.catalog.idle import Idle, IdleChoice, in_short, rules_of
from spawner.catalog.parts import Identifier, Part, Size, Text
from spawner.catalog.sessions import LONGEST_SESSION_MINUTES

OURS_TO_DECIDE = frozenset(
    {
        "activeDeadlineSeconds", "automountServiceAccountToken", "containers", "enableServiceLinks",
        "ephemeralContainers", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "initContainers", "nodeSelector",
        "restartPolicy", "runtimeClassName", "securityContext", "serviceAccount", "serviceAccountName",
        "shareProcessNamespace", "terminationGracePeriodSeconds", "tolerations",
    }
)  # fmt: skip
"""Fields of a pod's spec that a catalog may not set: each protects users or the platform, or has a key of its own."""


class Accelerator(Part):
    """GPUs of one flavor. `memory` is bytes of each."""

    name: str
    count: int = Field(default=1, ge=1, le=16)
    memory: Size
    resource: str = "nvidia.com/gpu"


class PodFields(Part):
    """What only a Kubernetes pool looks at: where a flavor's pods go, and how they are run."""

    node_selector: dict[str, str] = Field(default={})
    tolerations: tuple[dict[str, Any], ...] = ()
    runtime_class: str | None = Field(default=None, description="Such as gvisor or kata; the cluster must know it.")
    host_users: bool | None = Field(
        default=None,
        description="false: each pod has users of its own (a user namespace); true: the node's. Default: its own where "
        "nodes support it, and the node's with an accelerator.",
    )
    extra: dict[str, Any] = Field(
        default={}, description="More fields of the pod's spec. They add; they never take away what protects."
    )

    @field_validator("extra")
    @classmethod
    def _adds_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(OURS_TO_DECIDE.intersection(value))
        if taken:
            raise ValueError(f"may not set {', '.join(taken)}: Freepool decides that")
        volumes = value.get("volumes", [])
        if not isinstance(volumes, list) or not all(isinstance(volume, dict) for volume in volumes):
            raise ValueError("volumes must be a list of mappings")
        if any(
            "hostPath" in volume or volume.get("persistentVolumeClaim", {"readOnly": True}).get("readOnly") is not True
            for volume in volumes
        ):
            raise ValueError("volumes may be read-only claims, but no host paths and nothing that outlives an instance")
        return value


class Warm(Part):
    """How many slots of one image wait, started, for the next person: as many as come, between these two."""

    image: Identifier | None = Field(default=None, description="Default: the catalog's default image.")
    floor: int = Field(default=0, ge=0, le=1000)
    ceiling: int = Field(ge=0, le=1000)

    @model_validator(mode="after")
    def _is_in_order(self) -> Warm:
        if self.floor > self.ceiling:
            raise ValueError("the floor must not be above the ceiling")
        return self


class Flavor(Part):
    """Processors, memory, disk and accelerator on offer. Sizes are bytes; write them as `2GiB`."""

    id: Identifier
    title: Text
    summary: Text
    cpu: float = Field(gt=0, le=256)
    memory: Size
    disk: Size = Field(description="Size of the workspace; it is wiped with the instance.")
    processes: int = Field(default=512, ge=64, le=32768)
    reserve: Size | None = Field(
        default=None,
        description="Memory set aside per slot when room is counted. Notebooks are idle most of the time, so less than "
        "`memory` serves more users. Default: all of `memory`.",
    )
    accelerator: Accelerator | None = None
    session_minutes: int = Field(default=240, ge=1, le=LONGEST_SESSION_MINUTES)
    limit: int = Field(default=1000, ge=0, description="How many of this flavor may exist at once.")
    warm: tuple[Warm, ...] = Field(
        default=(),
        description="How many slots wait, started, for the next person: a number, or floor and ceiling, or a list of "
        "those by image.",
    )
    pod: PodFields = PodFields()
    allowance: FlavorAllowance | None = Field(
        default=None, description="The class whose hours it uses. Default: none; its use is unlimited and not counted."
    )
    idle: IdleChoice = Field(
        default="default",
        description="Idle minutes after which an instance is stopped, or off. Default: 60; with an accelerator 30, and "
        "15 while no browser has it open.",
    )

    @field_validator("idle", mode="before", json_schema_input_type=IdleChoice | int | Literal[False] | None)
    @classmethod
    def _idle_in_short(cls, value: Any) -> Any:
        return in_short(value)

    @field_validator("warm", mode="before", json_schema_input_type=int | Warm | list[Warm])
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return [{"floor": value, "ceiling": value}]
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _sets_aside_what_it_may_use(self) -> Flavor:
        if self.reserve is not None and self.reserve > self.memory:
            raise ValueError("reserve must not be above memory: what is set aside is part of it")
        return self

    @property
    def idle_rules(self) -> Idle | None:
        """The idle time after which an instance is stopped; None: never."""
        return rules_of(self.idle, has_accelerator=self.accelerator is not None)

    @property
    def reserved(self) -> int:
        """Bytes of memory that one slot sets aside."""
        return int(self.reserve if self.reserve is not None else self.memory)
