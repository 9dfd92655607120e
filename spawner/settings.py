"""Settings of one installation: files, addresses, secrets. Each process reads them once at its start.

On one machine the supervisor writes the resolved settings into the state folder, and the hub, the desk and the
steward read that file. On a cluster they are a mounted file.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spawner.errors import SetupError
from spawner.login_settings import LoginSettings

SETTINGS_VARIABLE = "FREEPOOL_SETTINGS"
TOKEN_VARIABLE = "FREEPOOL_API_TOKEN"  # noqa: S105
"""The token of the service `automation`, for the hub."""


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


class OAuthSettings(BaseModel):
    """The OAuth client with which users prove that a cloud account is theirs. The defaults are Alibaba Cloud's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    secret_file: Path = Field(description="File with the client's secret, and nothing else.")
    issuer: str = "https://oauth.aliyun.com"
    authorize_url: str = "https://signin.aliyun.com/oauth2/v1/auth"
    token_url: str = "https://oauth.aliyun.com/v1/token"  # noqa: S105
    userinfo_url: str = "https://oauth.aliyun.com/v1/userinfo"

    def secret(self) -> str:
        """The client's secret as it is now. Raises `SetupError`."""
        try:
            return self.secret_file.read_text().strip()
        except (OSError, ValueError):
            raise SetupError(
                "The secret of the cloud's sign-in in {path} cannot be read.", path=self.secret_file
            ) from None


class PaidSettings(BaseModel):
    """Paid instances. Each cloud's section is read by its package in `spawner.paid.providers`.

    A cloud without a section is off, and its SDK is not imported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(
        pattern="^[a-z0-9-]{8,40}$",
        description="Marks this installation's instances in the clouds. Chosen once: what carries another label is "
        "not looked for.",
    )
    demo: bool = Field(default=False, description="Whether the cloud is a stand-in, and no money is real.")
    trust_notebooks: bool = Field(
        default=False,
        description="Offer real money although notebooks share the desk's own origin, or pages come over plain http: "
        "what runs in a person's notebook can then click for them.",
    )
    poll_seconds: float = Field(
        default=30,
        ge=0.1,
        le=300,
        description="Seconds between looks at an instance that runs; its cap allows for them.",
    )
    poll_soon_seconds: float = Field(
        default=5,
        ge=0.1,
        le=60,
        description="Seconds between looks at an instance that is being made, started or stopped.",
    )
    lease_seconds: float = Field(
        default=30,
        ge=3,
        le=300,
        description="Seconds after a steward was killed until another one takes its orders over.",
    )
    oauth: OAuthSettings | None = Field(default=None, description="Needed for linking Alibaba Cloud accounts.")
    dsw: dict[str, Any] | None = Field(default=None, description="PAI-DSW: providers/dsw/settings.py.")
    sagemaker: dict[str, Any] | None = Field(default=None, description="Not offered yet.")

    @model_validator(mode="after")
    def _some_cloud(self) -> PaidSettings:
        if self.sagemaker is not None:
            raise ValueError("sagemaker is not offered yet: nothing proves whose an AWS account is")
        if self.dsw is None:
            raise ValueError("name a cloud, or leave the section out")
        return self

    @model_validator(mode="after")
    def _demo_is_no_cloud(self) -> PaidSettings:
        """A page that says "no money is real" must be right."""
        if self.demo != bool((self.dsw or {}).get("plain_http")):
            raise ValueError("demo and dsw.plain_http go together: both for a stand-in on this machine, else neither")
        return self


class Settings(BaseModel):
    """One installation. Ports are TCP ports on `address`; paths are absolute once resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: Path
    state: Path
    images: Path = Field(
        default=Path("images"), description="Folder whose subfolders are the local images (Python environments)."
    )
    examples: Path = Field(description="Folder of the example notebooks.")
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
    public: str | None = Field(default=None, description="Base URL that browsers use. Default: address and port.")
    subdomain_host: str | None = Field(
        default=None,
        pattern="^https?://[^/]+$",
        description="JupyterHub's setting of this name: each person's notebooks then have a host, and so an origin, of "
        "their own below this one.",
    )
    public_port: int = Field(default=8000, ge=1, le=65535)
    hub_port: int = Field(default=0, ge=0, le=65535)
    proxy_api_port: int = Field(default=0, ge=0, le=65535)
    desk_port: int = Field(default=0, ge=0, le=65535)
    isolation: Isolation = Isolation.BUBBLEWRAP
    notify_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Webhook: gets a POST when a queued user's turn has come.",
    )

    login: LoginSettings = Field(default=LoginSettings(), description="How people log in. Default: by links.")
    environment: dict[str, str | None] = Field(
        default={},
        description="More variables of hub, desk, steward and proxy on one machine: a value, or null for the one that "
        "`freepool up` itself has.",
    )
    paid: PaidSettings | None = Field(default=None, description="Paid instances; off where unset.")

    @model_validator(mode="after")
    def _one_host(self) -> Settings:
        if self.subdomain_host is not None and self.public_url.rstrip("/") != self.subdomain_host:
            raise ValueError("subdomain_host: must be the host of `public`, with its scheme and port")
        return self

    @model_validator(mode="after")
    def _require_an_origin_per_user(self) -> Settings:
        """On the desk's origin, a notebook's script can do what its user can, and a service worker can read along."""
        if self.paid is None or self.paid.demo or self.paid.trust_notebooks:
            return self
        if self.subdomain_host is None or not self.subdomain_host.startswith("https://"):
            raise ValueError(
                "paid: real money needs `public` to be https, and `subdomain_host` to be the same host, so that no "
                "notebook can click for its person (or paid.trust_notebooks: true; docs/paid.md says what that means)"
            )
        return self

    @property
    def slots_dir(self) -> Path:
        """Folder in which the local backend keeps one folder per slot."""
        return self.state / "slots"

    @property
    def ledger(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or self.secret("ledger-url")

    @property
    def hub_database(self) -> str:
        """SQLAlchemy URL of JupyterHub's own tables."""
        return self.ledger if self.shared_database else f"sqlite:///{self.state / 'jupyterhub.sqlite'}"

    @property
    def hub_url(self) -> str:
        """Base URL of the hub process itself, without the proxy."""
        return f"http://{self.hub_host or self.address}:{self.hub_port}/hub/"

    @property
    def hub_api_url(self) -> str:
        """Base URL of JupyterHub's REST API as siblings and instances reach it."""
        return f"{self.hub_url}api"

    @property
    def proxy_api_url(self) -> str:
        """URL of the proxy's API."""
        return f"http://{self.proxy_host or self.address}:{self.proxy_api_port}"

    @property
    def desk_url(self) -> str:
        """URL of the desk process itself, without the proxy."""
        return f"http://{self.desk_host or self.address}:{self.desk_port}"

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
        return (self.public or f"http://{self.address}:{self.public_port}").rstrip("/") + "/"

    @property
    def is_secure(self) -> bool:
        """Whether browsers send Fetch Metadata headers: they do over https, and to loopback addresses."""
        url = urlsplit(self.public_url)
        return url.scheme == "https" or url.hostname in ("localhost", "127.0.0.1", "::1")

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
        return Settings.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise SetupError("The settings {path} cannot be read: {why}.", path=path, why=error.strerror) from None
    except (yaml.YAMLError, ValidationError) as error:
        raise SetupError("The settings {path} are not valid: {why}", path=path, why=error) from None
