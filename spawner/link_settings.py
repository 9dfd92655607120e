"""The section `links` of the settings: what open links may name beside public servers."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

PLACE = re.compile(r"[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
LOOPBACK = "127.0.0.1"


class LinkSettings(BaseModel):
    """Open links lead to public servers. The operator's own Git server can be added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    also_allow: tuple[str, ...] = Field(
        default=(),
        description="Servers (HOST or HOST:PORT) beside public ones, such as your own Git server. Notebooks must reach "
        "it: on one machine see `network.allow`. A port of 127.0.0.1 is forwarded to notebooks, for tests.",
    )
    certificates: Path | None = Field(
        default=None,
        description="File (PEM) with the certificates of these servers, where the system does not know them.",
    )

    @field_validator("also_allow")
    @classmethod
    def _are_places(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            if not PLACE.fullmatch(one):
                raise ValueError(f"{one!r} is not a server: use git.example.org, or git.example.org:8443")
        return given

    @property
    def forwarded_ports(self) -> set[int]:
        """Ports of this machine's loopback interface that notebooks reach."""
        places = (one.partition(":") for one in self.also_allow)
        return {int(port) for host, _, port in places if host == LOOPBACK and port}

    def certificates_for(self, host: str) -> str:
        """PEM for a host (`HOST` or `HOST:PORT`); empty where the system's certificates count. Raises `OSError`."""
        if self.certificates is None or host not in self.also_allow:
            return ""
        return "\n".join([*CERTIFICATE.findall(self.certificates.read_text()), ""])  # notebooks get it: no private key
