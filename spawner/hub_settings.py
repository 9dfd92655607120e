"""Settings of platforms with several hubs: the name of this one, and where the others are."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

MAIN_HUB = "main"
"""Name of the only hub, and of the first of several."""
HubName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$")]


class HubSettings(BaseModel):
    """Which hub this is, of the hubs that share a ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: HubName = Field(
        default=MAIN_HUB,
        description="Name of this hub in the ledger. Its people and JupyterHub's tables are found by it, so it stays.",
    )
    others: dict[HubName, str] = Field(
        default={}, description="The other hubs of this ledger: addresses that browsers use, by name."
    )
    drain_to: HubName | None = Field(
        default=None,
        description="Name of another hub, which gets new users, and users of this hub who have no notebook. Nothing is "
        "stopped.",
    )

    @field_validator("others")
    @classmethod
    def _are_hosts(cls, others: dict[str, str]) -> dict[str, str]:
        return {name: _host(url) for name, url in others.items()}

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.name in self.others:
            raise ValueError(f"others: {self.name} is the name of this hub")
        if self.name != MAIN_HUB and not self.others:
            raise ValueError(f"others: name the other hubs of the platform, {MAIN_HUB} among them")
        if self.drain_to is not None and self.drain_to not in self.others:
            raise ValueError(f"drain_to: {self.drain_to} is none of `others`")
        return self

    @property
    def has_others(self) -> bool:
        """Whether the platform has several hubs."""
        return bool(self.others)

    def url_on(self, hub: str, target: str) -> str | None:
        """URL of a page of another hub; None where the settings do not name the hub.

        `target` is a path with its query. Whatever else it may be, it leads nowhere but to that hub's first page.
        """
        base = self.others.get(hub)
        if base is None:
            return None
        is_path = target.startswith("/") and "\\" not in target and target.isprintable() and " " not in target
        return base + (target if is_path and not target.startswith("//") else "/")


def _host(url: str) -> str:
    """Scheme, host and port, without the slash at the end."""
    try:
        parts = urlsplit(url)
        is_host = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
    except ValueError:
        is_host = False
    if not is_host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{url} must be the address that browsers use, such as https://b.lab.example.org")
    return f"{parts.scheme}://{parts.netloc}"
