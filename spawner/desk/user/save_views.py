"""Models of what would be lost, and of what is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ChangedFileView(BaseModel):
    """`path` is relative to the workspace. `is_new`: it was not there when the notebook started."""

    path: str = Field(max_length=4096)
    bytes: int = Field(ge=0)
    is_new: bool


class ChangesView(BaseModel):
    """What would be lost with the running notebook. `known` is false where it did not answer: that is not "nothing".

    `files` are the largest, at most 200; `count` and `bytes` are of all. `is_complete` is false where there are more
    files than could be looked at. `files_url`: the download of all files; null where the image has none.
    """

    known: bool
    count: int = Field(ge=0)
    bytes: int = Field(ge=0)
    is_complete: bool
    files: list[ChangedFileView] = Field(max_length=200)
    files_url: str | None


class KeepChoiceRequest(BaseModel):
    """Whether changed files are to be kept after an end that the user did not ask for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    wanted: bool


class BundleView(BaseModel):
    """Files kept of one notebook, until `expires_at`. `text` says what is missing, or why nothing was kept."""

    id: str
    state: Literal["making", "kept", "failed"]
    made_at: datetime
    expires_at: datetime
    files: int | None
    bytes: int | None
    fetched_at: datetime | None
    text: str
    url: str | None


class KeepView(BaseModel):
    """Kept files. `enabled`: the platform offers it; `chosen`: the user wants it. `limit_bytes` is of one notebook's
    files, `days` how long they are kept. `can_restore`: a notebook runs that they can be put into."""

    enabled: bool
    chosen: bool
    limit_bytes: int
    days: int
    can_restore: bool
    bundles: list[BundleView]


class KeepSummary(BaseModel):
    """For the home page: whether the user wants files kept, and how many notebooks' files are kept now."""

    chosen: bool
    kept: int


class RestoredView(BaseModel):
    """Numbers of files: `files` were put where they were, `beside` got another name because a file was there already,
    `refused` could not be put."""

    files: int
    beside: int
    refused: int
