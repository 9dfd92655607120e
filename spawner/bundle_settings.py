"""Settings of kept files: where their encrypted bytes lie."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BundleSettings(BaseModel):
    """A bucket with S3's interface. Its key is in the secrets `bundles-key-id` and `bundles-key-secret`.

    Without `endpoint` the bytes lie in the state folder, which works where desk and steward share it: on one machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        default=None, pattern="^https?://[^/]+/?$", description="URL of the service, without the bucket."
    )
    bucket: str = Field(default="", description="The bucket; it must exist, and nobody else should read it.")
    region: str = Field(default="us-east-1", description="As the service names it.")
    prefix: str = Field(default="freepool-bundles/", pattern="^[a-z0-9/_-]*$", description="Begins each object's name.")
    path_style: bool = Field(default=False, description="The bucket is in the path, as MinIO wants it.")
