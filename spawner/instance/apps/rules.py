"""What the platform says about apps on ports, in one variable of the claim. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

VARIABLE = "FREEPOOL_APPS"
"""In the claim: `Rules` as JSON."""
LOWEST_PORT, HIGHEST_PORT = 1024, 65535


class Off(StrEnum):
    """Why no app can be opened."""

    NOT = ""
    ADMIN = "admin"
    """An administrator has turned apps off."""
    SHARED_LOOPBACK = "shared_loopback"
    """Notebooks share this machine's loopback interface: a port may be another user's."""
    UNKNOWN = "unknown"
    """The platform said nothing, such as one of an older version."""


@dataclass(frozen=True)
class Rules:
    """`hosts`: the URL of an app's own host with `{port}` in it; empty where apps are on paths of the lab's origin.

    `share`: links for others may be made, which needs such hosts. `closed`: ports that are the platform's. `programs`:
    URL of this server for programs, where that is another one than for browsers.
    """

    off: Off = Off.NOT
    hosts: str = ""
    share: bool = False
    closed: tuple[int, ...] = ()
    programs: str = ""

    def to_json(self) -> str:
        """The variable's value."""
        return json.dumps(asdict(self))

    def origin(self, port: int) -> str:
        """The origin of an app on its own host."""
        return self.hosts.replace("{port}", str(port))

    def host(self, port: int) -> str:
        """The name of that host, without a port."""
        return host_only(self.origin(port).partition("://")[2])

    @property
    def lab_origin(self) -> str:
        """The origin of the user's own host; empty where apps have no hosts."""
        return self.hosts.replace("p{port}--", "")

    @property
    def is_secure(self) -> bool:
        """Whether apps' hosts are reached by TLS."""
        return self.hosts.startswith("https://")

    def allows(self, port: int) -> bool:
        """Whether an app may be on this port."""
        return not self.off and LOWEST_PORT <= port <= HIGHEST_PORT and port not in self.closed


def read_rules(environment: Mapping[str, str]) -> Rules:
    """The rules in an environment."""
    if VARIABLE not in environment:
        return Rules(off=Off.UNKNOWN)
    fields: dict[str, Any] = json.loads(environment[VARIABLE])
    return Rules(
        off=Off(fields["off"]),
        hosts=str(fields["hosts"]),
        share=bool(fields["share"]),
        closed=tuple(int(port) for port in fields["closed"]),
        programs=str(fields["programs"]),
    )


def host_only(host: str) -> str:
    """A `Host` header without the port, in lower case."""
    return host.rsplit(":", 1)[0].lower() if host.rpartition(":")[2].isdigit() else host.lower()
