"""The stand-in cloud as one more sibling of `freepool up`, and the settings that make Freepool use it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

from spawner.demo_cloud.settings import PRINCIPAL, REGIONS, keys_in
from spawner.errors import SetupError
from spawner.local.preflight import require_free_port
from spawner.local.secrets import write_secret
from spawner.settings import LOOPBACK

FOLDER = "demo-cloud"
LABEL = "freepool-demo"
DOORS = 1 + len(REGIONS)
"""Ports in a row that it listens on: one for people, and one for each region."""
TRIES = 50


def demo_settings(state: Path) -> dict[str, Any]:
    """The section `paid` for a stand-in with its own keys, in this state folder. Nothing is started."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    keys = keys_in(folder)
    port = choose_ports(folder)
    secrets = state / "secrets"
    key = {"access_key_id": keys.access_key_id, "access_key_secret": keys.access_key_secret}
    write_secret(secrets / "dsw-key", json.dumps(key))
    write_secret(secrets / "oauth", keys.oauth_client_secret)
    main = f"http://{LOOPBACK}:{port}"
    doors = {region: f"{LOOPBACK}:{port + 1 + number}" for number, region in enumerate(REGIONS)}
    return {
        "demo": True,
        "label": LABEL,
        "poll_seconds": 2,  # the stand-in has no rate limit, and who watches need not wait
        "poll_soon_seconds": 0.3,
        "lease_seconds": 5,
        "oauth": {
            "client_id": keys.oauth_client_id,
            "secret_file": secrets / "oauth",
            "issuer": main,
            "authorize_url": f"{main}/oauth2/v1/auth",
            "token_url": f"{main}/v1/token",
            "userinfo_url": f"{main}/v1/userinfo",
        },
        "dsw": {
            "principal": PRINCIPAL,
            "key_file": str(secrets / "dsw-key"),
            "regions": {name: {"dsw": at, "workspaces": at, "image": "demo-image"} for name, at in doors.items()},
            "sts": f"{LOOPBACK}:{port}",
            "ram": f"{LOOPBACK}:{port}",
            "plain_http": True,
            "assumptions": {
                "role_link": f"{main}/ros/{{region}}/stacks/create?templateUrl={{template_url}}"
                "&stackName=freepool&parameters={parameters}",
                "console_link": f"{main}/console/{{account}}",
                "bill_link": f"{main}/console/{{account}}",
            },
        },
    }


def demo_command(state: Path) -> list[str]:
    """What runs it, after `demo_settings`."""
    folder = state / FOLDER
    port = (folder / "port").read_text()
    return [sys.executable, "-m", "spawner.cli", "demo-cloud", "--port", port, "--state", str(folder)]


def choose_ports(folder: Path) -> int:
    """The first of its ports in a row: the same ones again where they are free, so that open pages go on."""
    remembered = folder / "port"
    wanted = [remembered.read_text()] if remembered.exists() else []
    for port in [*map(int, wanted), *(_some_port() for _ in range(TRIES))]:
        try:
            for number in range(DOORS):
                require_free_port(port + number)
        except SetupError:
            continue
        remembered.write_text(str(port))
        return port
    raise SetupError("No {count} free ports in a row were found for the stand-in cloud.", count=DOORS)


def _some_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as made:
        return int(made.getsockname()[1])
