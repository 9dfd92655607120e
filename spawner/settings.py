"""Settings of one installation: files, addresses, secrets. Each process reads them once at its start.

On one machine the supervisor writes the resolved settings into the state folder, and the hub, the desk and the
steward read that file. On a cluster they are a mounted file.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, model_validator

from spawner.address_settings import LOOPBACK, AddressSettings, socket_url
from spawner.app_settings import AppSettings
from spawner.bundle_settings import BundleSettings
from spawner.channel_settings import ChannelSettings
from spawner.errors import SetupError
from spawner.guard_settings import GuardSettings
from spawner.hub_settings import MAIN_HUB, HubSettings
from spawner.link_settings import LinkSettings
from spawner.login_settings import LoginSettings
from spawner.network_settings import InstanceNetwork
from spawner.origins import host_in_url
from spawner.paid_settings import PaidSettings
from spawner.people_settings import PeopleSettings
from spawner.pool_settings import Isolation, KubernetesPool
from spawner.rate_settings import RateLimits
from spawner.terms_settings import TermsSettings
from spawner.yaml_text import parse_yaml

__all__ = [
    "LARGEST_REQUEST",
    "LOOPBACK",
    "SETTINGS_VARIABLE",
    "TOKEN_VARIABLE",
    "Isolation",
    "KubernetesPool",
    "Settings",
    "load_settings",
    "socket_url",
]

SETTINGS_VARIABLE = "FREEPOOL_SETTINGS"
TOKEN_VARIABLE = "FREEPOOL_API_TOKEN"  # noqa: S105
"""The token of the service `automation`, for the hub."""
LARGEST_REQUEST = 1024 * 1024
"""Bytes of a request's body that hub and desk take. Uploads go to notebooks, and have no limit here."""


class Settings(AddressSettings):
    """One installation. Paths are absolute once resolved."""

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
    hubs: HubSettings = Field(
        default=HubSettings(), description="Several hubs that share one ledger and one pool; docs/scale.md."
    )
    slots: Path | None = Field(
        default=None,
        description="Folder of the slots on this machine. Default: in `state`. For tests: hubs without sandboxes can "
        "share one.",
    )
    kubernetes: KubernetesPool | None = Field(
        default=None, description="The cluster, where instances are pods; unset: instances run on this machine."
    )
    trust_notebooks: bool = Field(
        default=False,
        description="Offer paid instances, the administrator's pages and tokens although notebooks share the desk's "
        "origin, or pages come over plain http: what runs in a user's notebook can then click for its visitors.",
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
    apps: AppSettings = Field(
        default=AppSettings(), description="Apps on ports of notebooks, and links to them; docs/apps.md."
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

    @model_validator(mode="after")
    def _hubs_share_a_pool(self) -> Settings:
        """A steward ends instances whose slots it does not see, so the hubs of one ledger must see the same slots."""
        is_shared = self.kubernetes is not None or (self.slots is not None and self.isolation is Isolation.NONE)
        if self.hubs.has_others and not is_shared:
            raise ValueError(
                "hubs: several hubs need one pool for all of them, on Kubernetes. On one machine each `freepool up` "
                "has slots of its own, which reach its own hub only"
            )
        return self

    @model_validator(mode="after")
    def _hubs_have_hosts(self) -> Settings:
        """Browsers send a cookie to all ports of a host, so two hubs on one host would end each other's sessions."""
        hosts = [urlsplit(url).hostname for url in (self.public_url, *self.hubs.others.values())]
        for host in hosts:
            if hosts.count(host) > 1:
                raise ValueError(f"hubs: {host} is the host of two hubs: give each a host name of its own")
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
        return self.slots or self.state / "slots"

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
        """SQLAlchemy URL of JupyterHub's own tables. No two hubs share them: in one database each has a schema."""
        if not self.shared_database:
            return f"sqlite:///{self.state / 'jupyterhub.sqlite'}"
        return self.ledger if self.hub_schema is None else _in_schema(self.ledger, self.hub_schema)

    @property
    def hub_schema(self) -> str | None:
        """PostgreSQL's schema of JupyterHub's own tables in the ledger's database; None: the default one."""
        is_in_default = self.hubs.name == MAIN_HUB or not self.shared_database
        return None if is_in_default else f"hub_{self.hubs.name.replace('-', '_')}"

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
    def is_demo(self) -> bool:
        """Whether the cloud is the demo cloud: every page about paid instances then says so."""
        return self.paid is not None and self.paid.demo

    @property
    def trusts_notebooks(self) -> bool:
        """Whether the operator takes the risk that code in a notebook acts as the user who has it open."""
        return self.trust_notebooks or (self.paid is not None and self.paid.trust_notebooks)

    @property
    def guards_pages(self) -> bool:
        """Whether code in a notebook's page cannot act on the desk's pages, or is trusted not to.

        Otherwise the pages about money, administration and tokens are off.
        """
        return self.subdomain_host is not None or self.trusts_notebooks

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

    def secret_if_there(self, name: str) -> str | None:
        """As `secret`; None where there is none: what needs it is off."""
        return self.secret(name) if (self.state / "secrets" / name).exists() else None


def _in_schema(url: str, schema: str) -> str:
    """A PostgreSQL URL whose tables are in a schema."""
    from sqlalchemy import make_url  # noqa: PLC0415  (most programs need no database of JupyterHub's)

    made = make_url(url)
    given = made.query.get("options", ())
    options = [given] if isinstance(given, str) else [*given]
    made = made.update_query_dict({"options": " ".join([*options, f"-csearch_path={schema}"])})
    return made.render_as_string(hide_password=False)


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
