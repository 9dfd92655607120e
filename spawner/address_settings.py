"""Settings of addresses: what the processes listen on, and how browsers, instances and each other reach them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spawner.origins import (
    NotebookHosts,
    choose_subdomain_host,
    default_public,
    host_in_url,
    insecure_subdomains,
    is_localhost,
)

LOOPBACK = "127.0.0.1"
"""Address at which this machine itself always reaches the proxy."""


def socket_url(path: Path) -> str:
    """URL of a Unix socket as JupyterHub and configurable-http-proxy write it."""
    return f"http+unix://{quote(str(path), safe='')}"


DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
"""A host as a browser's Host header has it, with or without a port."""


class AddressSettings(BaseModel):
    """The part of `Settings` that has addresses.

    On one machine hub, desk and the proxy's API listen on Unix sockets in the folder `sockets`, and only the proxy has
    a port. On a cluster each has a port of its own, on `address`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(default="127.0.0.1", description="What hub, proxy and desk listen on.")
    hub_host: str | None = Field(default=None, description="Name of the hub for its siblings and instances.")
    proxy_host: str | None = Field(default=None, description="Name of the proxy's API for the hub.")
    desk_host: str | None = Field(default=None, description="Name of the desk for the proxy.")
    instance_desk_url: str | None = Field(
        default=None,
        description="URL of the desk for instances. Default: by the proxy, where it runs on the hub's machine.",
    )
    public: str | None = Field(default=None, description="Base URL that browsers use. Default: address and port.")
    notebook_hosts: NotebookHosts = Field(
        default=NotebookHosts.AUTO,
        description="subdomains: each user's notebooks have a host, and so a browser origin, of their own below the "
        "one of `public`. shared: they share the desk's. auto: subdomains for localhost, and for a name with https.",
    )
    subdomain_host: str | None = Field(
        default=None,
        pattern="^https?://[^/]+$",
        description="JupyterHub's setting of this name: the host of `public`, with scheme and port, if notebooks have "
        "hosts below it. `notebook_hosts` chooses it.",
    )
    public_port: int = Field(default=8000, ge=1, le=65535)
    sockets: Path | None = Field(
        default=None,
        description="Folder (mode 0700) of the sockets of hub, desk and the proxy's API; unset: they have ports.",
    )
    hub_port: int = Field(default=0, ge=0, le=65535)
    proxy_api_port: int = Field(default=0, ge=0, le=65535)
    desk_port: int = Field(default=0, ge=0, le=65535)
    gate_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="With `sockets`: the loopback port at which the hub finds the desk's gate.",
    )

    @field_validator("public")
    @classmethod
    def _public_is_a_host(cls, public: str | None) -> str | None:
        """JupyterHub's and the desk's paths begin at the root of a host."""
        if public is None:
            return None
        try:
            url = urlsplit(public)
            is_host = (
                url.scheme in DEFAULT_PORTS
                and public.startswith(url.scheme)
                and url.port != 0
                and HOST.fullmatch(url.netloc)
            )
        except ValueError:
            is_host = False
        if not public.isascii():
            raise ValueError("write a name in other letters as browsers send it, such as https://xn--fsqu00a.example")
        if not is_host:
            raise ValueError("must be the address that browsers use, such as https://lab.example.org")
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError(
                f"a path is not supported: give Freepool a host name of its own, such as {url.scheme}://lab.example.org"
            )
        if url.port == DEFAULT_PORTS[url.scheme]:
            raise ValueError(f"leave :{url.port} out, as browsers do")
        return public

    @model_validator(mode="before")
    @classmethod
    def _choose_hosts(cls, data: Any) -> Any:
        """Set `public` and `subdomain_host` where they are not, so that all processes read the same."""
        if not isinstance(data, dict) or data.get("subdomain_host"):
            return data
        fields = cls.model_fields
        try:
            hosts = NotebookHosts(data.get("notebook_hosts", NotebookHosts.AUTO))
            port = int(data.get("public_port", fields["public_port"].default))
        except (TypeError, ValueError):
            return data  # the fields' own validators say what is wrong
        public = data.get("public") or default_public(data.get("address", fields["address"].default), port, hosts)
        return data | {"public": public, "subdomain_host": choose_subdomain_host(str(public), hosts)}

    @model_validator(mode="after")
    def _hosts_are_safe(self) -> Self:
        if self.subdomain_host is None:
            return self
        if self.notebook_hosts is NotebookHosts.SHARED:
            raise ValueError("notebook_hosts: shared, but subdomain_host is set: remove one of them")
        why_not = insecure_subdomains(self.subdomain_host)
        if why_not:
            raise ValueError(f"subdomain_host: {why_not}")
        return self

    @model_validator(mode="after")
    def _one_host(self) -> Self:
        if self.subdomain_host is not None and self.public_url.rstrip("/") != self.subdomain_host:
            raise ValueError("subdomain_host: must be the host of `public`, with its scheme and port")
        return self

    @property
    def hub_socket(self) -> Path | None:
        """Unix socket of the hub process; None where it has a port."""
        return self.sockets and self.sockets / "hub.sock"

    @property
    def desk_socket(self) -> Path | None:
        """Unix socket of the desk process; None where it has a port."""
        return self.sockets and self.sockets / "desk.sock"

    @property
    def proxy_api_socket(self) -> Path | None:
        """Unix socket of the proxy's API; None where it has a port."""
        return self.sockets and self.sockets / "proxy.sock"

    @property
    def hub_bind_url(self) -> str:
        """What the hub process listens on."""
        if self.hub_socket is not None:
            return socket_url(self.hub_socket)
        return f"http://{host_in_url(self.address)}:{self.hub_port}"

    @property
    def hub_url(self) -> str:
        """Base URL of the hub process itself, without the proxy, for the proxy and the other siblings."""
        if self.hub_socket is not None:
            return f"{socket_url(self.hub_socket)}/hub/"
        return f"http://{self.hub_host or host_in_url(self.address)}:{self.hub_port}/hub/"

    @property
    def hub_api_url(self) -> str:
        """Base URL of JupyterHub's REST API as the hub's siblings reach it."""
        return f"{self.hub_url}api"

    @property
    def local_url(self) -> str:
        """Base URL of the proxy by loopback: without DNS, TLS and whatever stands in front of it.

        With a sandbox's own network this is the one address of the machine that is forwarded.
        """
        return f"http://{LOOPBACK}:{self.public_port}/"

    @property
    def proxy_api_url(self) -> str:
        """URL of the proxy's API."""
        if self.proxy_api_socket is not None:
            return socket_url(self.proxy_api_socket)
        return f"http://{self.proxy_host or host_in_url(self.address)}:{self.proxy_api_port}"

    @property
    def desk_url(self) -> str:
        """URL of the desk process itself, without the proxy."""
        if self.desk_socket is not None:
            return socket_url(self.desk_socket)
        return f"http://{self.desk_host or host_in_url(self.address)}:{self.desk_port}"

    @property
    def gate_url(self) -> str:
        """URL that JupyterHub has for each paid server: the desk's.

        JupyterHub's table of servers has room for a host and a port only, and the hub looks there before the proxy has
        a route. So where the desk has a socket, this is a port of the proxy that leads to the desk.
        """
        return f"http://{LOOPBACK}:{self.gate_port}" if self.sockets is not None else self.desk_url

    @property
    def login_callback(self) -> str:
        """URL that the login's provider sends people back to; it must be registered there."""
        return f"{self.public_url}hub/oauth_callback"

    @property
    def public_url(self) -> str:
        """Base URL that a browser uses, ending in a slash."""
        return (self.public or f"http://{host_in_url(self.address)}:{self.public_port}").rstrip("/") + "/"

    @property
    def binds_cookies(self) -> bool:
        """Whether cookies get the prefix `__Host-`, with which no other host can set them.

        The prefix needs TLS and the path `/`. On one origin each notebook server would get them with that path.
        """
        return self.subdomain_host is not None and self.subdomain_host.startswith("https://")

    @property
    def is_secure(self) -> bool:
        """Whether browsers send Fetch Metadata headers: they do over https, and to loopback."""
        url = urlsplit(self.public_url)
        host = url.hostname or ""
        return url.scheme == "https" or is_localhost(host) or host in ("127.0.0.1", "::1")
