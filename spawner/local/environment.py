"""Which variables of its own environment `freepool up` passes on to the programs that it starts.

Not all of them: a shell's environment holds much that must not reach programs that serve strangers, or that would
change what they do by accident.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spawner.catalog import FILE_VARIABLES, Catalog
from spawner.errors import SetupError
from spawner.login_settings import LOOPBACK, VARIABLES
from spawner.settings import SETTINGS_VARIABLE, TOKEN_VARIABLE, Settings

ALWAYS = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "COVERAGE_PROCESS_START"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    | {name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())}
)
"""What every program gets: the system's, certificates, and the way out of a company's network."""
FOR_HUB = frozenset(
    {TOKEN_VARIABLE, "JUPYTERHUB_CRYPT_KEY", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_CALLBACK_URL"}
    | {name for pair in VARIABLES.values() for name in pair}
    | {"GITHUB_URL", "GITHUB_HOST", "GITHUB_HTTP", "LOGIN_SERVICE", "HOSTED_DOMAIN"}
)
"""What only the hub gets: secrets and settings of logins."""
PROBABLY_MEANT = re.compile("(JUPYTERHUB|OAUTH2?|GITHUB|GITLAB|GOOGLE|OIDC|AZUREAD?|CONFIGPROXY|PGSSL)_[A-Z0-9_]+")
"""Variables that somebody has probably set for one of the programs."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OURS = frozenset({SETTINGS_VARIABLE, TOKEN_VARIABLE, "TMPDIR", "PYTHONUNBUFFERED", "CONFIGPROXY_AUTH_TOKEN"})
VISIBLE = ("/etc/ssl", "/etc/pki", "/usr/share", "/usr/local/share")
"""Folders for certificates and the like that a sandbox shows, read-only."""
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
TOKEN = re.compile("[!-~]{8,64}")
"""A token for automation. With another length JupyterHub does not start."""


def for_programs(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """What every program gets. Raises `SetupError`."""
    found = {name: value for name, value in environment.items() if name in ALWAYS}
    for name, value in settings.environment.items():
        if name in OURS or not NAME.fullmatch(name):
            raise SetupError(
                "environment: {name} cannot be set there.",
                next_step="Freepool sets it itself." if name in OURS else "Letters, digits and _ make a name.",
                name=name,
            )
        if value is None and name not in environment:
            raise SetupError(
                "environment: {name} is to be passed on, and is not set here.",
                next_step="Set it before `freepool up`, or give it a value in the settings.",
                name=name,
            )
        found[name] = environment[name] if value is None else value
    if any(found.get(name) for name in PROXIES):
        # The programs talk to each other on this machine.
        for name in ("NO_PROXY", "no_proxy"):
            exempt = [item for item in found.get(name, "").split(",") if item]
            found[name] = ",".join([*exempt, *(host for host in sorted(LOOPBACK) if host not in exempt)])
    return found


def for_hub(environment: Mapping[str, str]) -> dict[str, str]:
    """What the hub gets besides. Raises `SetupError` for a token that JupyterHub or a header cannot hold."""
    token = environment.get(TOKEN_VARIABLE, "")
    if token and not TOKEN.fullmatch(token):
        raise SetupError(
            "{name} cannot be used: it must have 8 to 64 letters, digits or signs, without spaces.",
            next_step="Make one with openssl rand -hex 32.",
            name=TOKEN_VARIABLE,
        )
    return {name: value for name, value in environment.items() if name in FOR_HUB and value}


def check_files(catalog: Catalog) -> None:
    """Raise unless instances of this machine see the files that the catalog's variables name."""
    for name in sorted(FILE_VARIABLES.intersection(catalog.environment)):
        path = Path(catalog.environment[name])
        if not path.is_file() or not any(path.resolve().is_relative_to(folder) for folder in VISIBLE):
            raise SetupError(
                "environment in the catalog: {name} names {path}, which instances do not see.",
                next_step="Put the file below {folders}.",
                name=name,
                path=path,
                folders=", ".join(VISIBLE),
            )


def left_out(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Variables that are set here, look as if they were meant for a program, and reach none."""
    known = ALWAYS | FOR_HUB | OURS | set(settings.environment)
    return sorted(name for name in environment if name not in known and PROBABLY_MEANT.fullmatch(name))
