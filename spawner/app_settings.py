"""The section `apps` of the settings: apps on a port of a notebook."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AppSettings(BaseModel):
    """Whether users may open and share apps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether users may open apps on ports of their notebooks.")
    share: bool = Field(
        default=True,
        description="Whether they may make links by which others, signed in or not, use such an app. Needs a host per "
        "user (`notebook_hosts`).",
    )
