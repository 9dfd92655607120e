"""Settings of kept files: where their encrypted bytes lie."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BundleSettings(BaseModel):
    """A bucket with S3's interface.

    Without `endpoint` the bytes lie in the state folder, which works where desk and steward share it: on one machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        default=None, pattern="^https?://[^/]+/?$", description="URL of the service, without the bucket."
    )
    bucket: str = Field(default="", description="The bucket; it must exist, and nobody else should read it.")
    region: str = Field(default="us-east-1", description="As the service names it.")
    prefix: str = Field(default="freepool-bundles/", pattern="^[a-z0-9/_-]*$", description="Begins each object's name.")
    key_folder: Path | None = Field(
        default=None, description="Folder with the files key-id and key-secret, for the bucket."
    )
    path_style: bool = Field(default=False, description="The bucket is in the path, as MinIO wants it.")

    @model_validator(mode="after")
    def _is_whole(self) -> BundleSettings:
        if self.endpoint is not None and not (self.bucket and self.key_folder):
            raise ValueError("bundles: with endpoint, set bucket and key_folder, too")
        return self
