"""Settings of one installation: files, addresses, secrets. Each process reads them once at its start.

On one machine the supervisor writes the resolved settings into the state folder, and the hub, the desk and the
steward read that file. On a cluster they are a mounted file.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spawner.bundle_settings import BundleSettings
from spawner.channel_settings import ChannelSettings
from spawner.errors import SetupError
from spawner.guard_settings import GuardSettings
from spawner.link_settings import LinkSettings
from spawner.login_settings import LoginSettings
from spawner.network_settings import InstanceNetwork
from spawner.origins import (
    NotebookHosts,
    choose_subdomain_host,
    default_public,
    host_in_url,
    insecure_subdomains,
    is_localhost,
)
from spawner.paid_settings import PaidSettings
from spawner.people_settings import PeopleSettings
from spawner.rate_settings import RateLimits
from spawner.terms_settings import TermsSettings
from spawner.yaml_text import parse_yaml

SETTINGS_VARIABLE = "FREEPOOL_SETTINGS"
TOKEN_VARIABLE = "FREEPOOL_API_TOKEN"  # noqa: S105
"""The token of the service `automation`, for the hub."""
LARGEST_REQUEST = 1024 * 1024
"""Bytes of a request's body that hub and desk take. Uploads go to notebooks, and have no limit here."""
LOOPBACK = "127.0.0.1"
"""Address at which this machine itself always reaches the proxy."""


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


def socket_url(path: Path) -> str:
    """URL of a Unix socket as JupyterHub and configurable-http-proxy write it."""
    return f"http+unix://{quote(str(path), safe='')}"


class Settings(BaseModel):
    """One installation. Paths are absolute once resolved.

    On one machine hub, desk and the proxy's API listen on Unix sockets in the folder `sockets`, and only the proxy has
    a port. On a cluster each has a port of its own, on `address`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: Path
    state: Path
    images: Path = Field(
        default=Path("images"), description="Folder whose subfolders are the local images (Python environments)."
    )
    examples: Path = Field(description="Folder of the example notebooks.")
    models: Path | None = Field(
        default=None,
        description="Folder of models that `freepool models` fills and instances on this machine see read-only. Unset: "
        "there is none; docs/models.md.",
    )
    ledger_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the ledger: sqlite:///… or postgresql+psycopg://…. "
        "Default: the secret `ledger-url`.",
    )
    shared_database: bool = Field(
        default=False, description="Whether JupyterHub's own tables live in the ledger's database; their names differ."
    )
    kubernetes: KubernetesPool | None = Field(
        default=None, description="The cluster, where instances are pods; unset: instances run on this machine."
    )
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
    trust_notebooks: bool = Field(
        default=False,
        description="Offer paid instances, the administrator's pages and tokens although notebooks share the desk's "
        "origin, or pages come over plain http: what runs in a user's notebook can then click for its visitors.",
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
    answer_seconds: float = Field(
        default=30,
        ge=1,
        description="Seconds after which `freepool up` starts a hub, proxy, desk or steward again that lives but does "
        "not answer.",
    )
    log_megabytes: float = Field(
        default=20,
        gt=0,
        description="Size at which `freepool up` turns over the log of a program. One older part is kept.",
    )
    isolation: Isolation = Isolation.BUBBLEWRAP
    network: InstanceNetwork = Field(
        default=InstanceNetwork(), description="What instances on this machine reach; docs/operate.md."
    )
    notify_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Webhook: gets a POST when a queued user's turn has come.",
    )
    notify_url_file: Path | None = Field(
        default=None, description="File with `notify_url`, and nothing else: its address may hold a token."
    )

    report_to: str | None = Field(
        default=None,
        pattern=r"^(mailto:[^\s@?]+@[^\s?]+|https?://\S+)$",
        description="Where users report a problem: mailto:ADDRESS, or a page, in whose address {text} stands for what "
        "is known of the problem. Unset: error pages say to send it to the administrator.",
    )
    guard: GuardSettings = Field(
        default=GuardSettings(), description="What is noted about instances, and what follows; docs/operate.md."
    )
    bundles: BundleSettings = Field(
        default=BundleSettings(), description="Where files lie that users had kept; docs/save.md."
    )
    login: LoginSettings = Field(default=LoginSettings(), description="How people log in. Default: by links.")
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Number of proxies in front of Freepool's own (load balancer, nginx) that add to X-Forwarded-For. "
        "With a number that is too large, clients choose their address themselves.",
    )
    people: PeopleSettings = Field(
        default=PeopleSettings(),
        description="Classes of users, invitations, and the cap on new accounts; docs/login.md.",
    )
    rate_limits: RateLimits = Field(
        default=RateLimits(),
        description="How often an address and a person may log in, start and ask; docs/operate.md.",
    )
    channels: ChannelSettings = Field(
        default=ChannelSettings(),
        description="How users are reached who have no page open: mail and webhooks; docs/channels.md.",
    )
    links: LinkSettings = Field(
        default=LinkSettings(), description="What open links may name beside public servers; docs/links.md."
    )
    terms: TermsSettings = Field(
        default=TermsSettings(), description="Texts of terms and privacy, and who must accept them; docs/terms.md."
    )
    environment: dict[str, str | None] = Field(
        default={},
        description="More variables of hub, desk, steward and proxy on one machine: a value, or null for the one that "
        "`freepool up` itself has.",
    )
    paid: PaidSettings | None = Field(default=None, description="Paid instances; off where unset.")

    @field_validator("public")
    @classmethod
    def _public_is_a_host(cls, public: str | None) -> str | None:
        """JupyterHub's and the desk's paths begin at the root of a host."""
        if public is None:
            return None
        try:
            url = urlsplit(public)
            is_host = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.username
        except ValueError:
            is_host = False
        if not is_host:
            raise ValueError("must be the address that browsers use, such as https://lab.example.org")
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError(
                f"a path is not supported: give Freepool a host name of its own, such as {url.scheme}://lab.example.org"
            )
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
    def _hosts_are_safe(self) -> Settings:
        if self.subdomain_host is None:
            return self
        if self.notebook_hosts is NotebookHosts.SHARED:
            raise ValueError("notebook_hosts: shared, but subdomain_host is set: remove one of them")
        why_not = insecure_subdomains(self.subdomain_host)
        if why_not:
            raise ValueError(f"subdomain_host: {why_not}")
        return self

    @model_validator(mode="after")
    def _one_host(self) -> Settings:
        if self.subdomain_host is not None and self.public_url.rstrip("/") != self.subdomain_host:
            raise ValueError("subdomain_host: must be the host of `public`, with its scheme and port")
        return self

    @model_validator(mode="after")
    def _require_an_origin_per_user(self) -> Settings:
        """On the desk's origin, a notebook's script can do what its user can, and a service worker can read along."""
        if self.paid is None or self.paid.demo or self.trusts_notebooks:
            return self
        if self.subdomain_host is None or not self.subdomain_host.startswith("https://"):
            raise ValueError(
                "paid: real money needs `public` to be https, and a host for each user's notebooks (notebook_hosts), "
                "so that no notebook can click for its user (or trust_notebooks: true; docs/paid.md says what that "
                "means)"
            )
        return self

    def webhook(self) -> str | None:
        """The administrator's webhook. Raises `SetupError` where its file cannot be read."""
        if self.notify_url_file is None:
            return self.notify_url
        try:
            url = self.notify_url_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                "The webhook's address in {path} cannot be read: {why}.",
                next_step="Write it there, or set notify_url.",
                path=self.notify_url_file,
                why=getattr(error, "strerror", None) or error,
            ) from None
        if not url.startswith(("http://", "https://")):
            raise SetupError(
                "notify_url_file: {path} has no address that begins with https://.", path=self.notify_url_file
            )
        return url

    @property
    def slots_dir(self) -> Path:
        """Folder in which the local backend keeps one folder per slot."""
        return self.state / "slots"

    @property
    def traffic_dir(self) -> Path:
        """Folder of the logs of instances' connections."""
        return self.state / "traffic"

    @property
    def ledger(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or self.secret("ledger-url")

    @property
    def hub_database(self) -> str:
        """SQLAlchemy URL of JupyterHub's own tables."""
        return self.ledger if self.shared_database else f"sqlite:///{self.state / 'jupyterhub.sqlite'}"

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
    def instance_hub_url(self) -> str:
        """Base URL of the hub for instances: on one machine through the proxy, as the hub itself has no port."""
        if self.sockets is None:
            return self.hub_url
        if self.kubernetes is not None:
            return f"http://{self.hub_host or host_in_url(self.address)}:{self.public_port}/hub/"
        return f"{self.local_url}hub/"

    @property
    def desk_url_of_instances(self) -> str:
        """Base URL of the desk for instances; empty where none is known: a hub of other software."""
        if self.instance_desk_url is None and self.sockets is not None:
            return f"{self.instance_hub_url.removesuffix('hub/')}services/desk/"
        return self.instance_desk_url or ""

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
    def is_demo(self) -> bool:
        """Whether the cloud is the demo cloud: every page about paid instances then says so."""
        return self.paid is not None and self.paid.demo

    @property
    def public_url(self) -> str:
        """Base URL that a browser uses, ending in a slash."""
        return (self.public or f"http://{host_in_url(self.address)}:{self.public_port}").rstrip("/") + "/"

    @property
    def trusts_notebooks(self) -> bool:
        """Whether the operator takes the risk that code in notebooks acts for whoever visits them."""
        return self.trust_notebooks or (self.paid is not None and self.paid.trust_notebooks)

    @property
    def guards_pages(self) -> bool:
        """Whether code in a notebook's page cannot act on the desk's pages, or is trusted not to.

        Otherwise the pages about money, administration and tokens are off.
        """
        return self.subdomain_host is not None or self.trusts_notebooks

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

    def secret(self, name: str) -> str:
        """The secret `name`, read from its own file (mode 0600) in the state folder.

        Raises `SetupError` when it is not there: secrets are made by the supervisor or mounted by the chart.
        """
        path = self.state / "secrets" / name
        try:
            return path.read_text().strip()
        except OSError as error:
            raise SetupError(
                "The secret {name} cannot be read: {why}.",
                next_step="Start with `freepool up`, which makes it, or mount it there.",
                name=name,
                why=error.strerror or error,
            ) from None


def load_settings(path: Path | None = None) -> Settings:
    """Read resolved settings from `path`, or from the file that FREEPOOL_SETTINGS names."""
    if path is None:
        named = os.environ.get(SETTINGS_VARIABLE)
        if not named:
            raise SetupError(
                "No settings are named.",
                next_step="Use `freepool up`, or set {variable} to a settings file.",
                variable=SETTINGS_VARIABLE,
            )
        path = Path(named)
    try:
        return Settings.model_validate(parse_yaml(path.read_text()))
    except OSError as error:
        raise SetupError("The settings {path} cannot be read: {why}.", path=path, why=error.strerror) from None
    except (yaml.YAMLError, ValidationError) as error:
        raise SetupError("The settings {path} are not valid: {why}", path=path, why=error) from None
