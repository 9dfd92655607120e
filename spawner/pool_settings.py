"""Settings of the two kinds of pool: on this machine, and on a cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Isolation(StrEnum):
    """How the local pool isolates instances."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class KubernetesPool(BaseModel):
    """The pool's namespace on a cluster, and how it is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str
    kubeconfig: Path | None = Field(default=None, description="Default: this pod's own service account.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    priority_class: str | None = Field(default=None, description="Priority class of pods that are made for a user.")
    warm_priority_class: str | None = Field(default=None, description="Priority class of warm pods.")
    models_claim: str | None = Field(
        default=None, description="PersistentVolumeClaim in the pool's namespace, with models; docs/models.md."
    )
    models_image: str | None = Field(
        default=None, description="Image volume with models, in place of a claim. Needs Kubernetes 1.35."
    )
    gpu_metrics_url: str | None = Field(
        default=None,
        pattern="^https?://[^/]+(/.*)?$",
        description="Where DCGM exporters tell how GPUs are used: a headless service, all of whose addresses are read, "
        "or Prometheus' /federate. Unset: whether GPUs are used is not known.",
    )
