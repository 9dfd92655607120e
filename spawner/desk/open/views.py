"""What the page of an open link shows, and the progress of opening it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from spawner.links.machine_types import Fit


class OpenView(BaseModel):
    """How far the opening of the kept link is.

    `url` is there with `ready` (the notebook file) and, as the page where the user decides, with `idle`, `other_image`
    and `none`. `details` is output of a program.
    """

    state: Literal["none", "idle", "queued", "starting", "stopping", "fetching", "ready", "failed", "other_image"]
    text: str
    next: str = ""
    details: str = ""
    url: str | None = None


@dataclass(frozen=True)
class Choice:
    """One machine type on the page."""

    id: str
    title: str
    resources: str
    text: str
    fit: Fit
    checked: bool

    @property
    def is_open(self) -> bool:
        """Whether it can be chosen."""
        return self.fit in (Fit.NOW, Fit.QUEUE)


@dataclass(frozen=True)
class Description:
    """A link in words. `rows` are name and value; `warning` is about where it comes from."""

    title: str
    rows: tuple[tuple[str, str], ...]
    icon: str = ""
    warning: str = ""
