"""Options, secrets and endpoints of the demo cloud."""

from __future__ import annotations

import argparse
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

REGIONS = ("cn-hangzhou", "cn-shanghai")
PLATFORM = "1000000000000001"
PRINCIPAL = f"acs:ram::{PLATFORM}:user/freepool"
ACCOUNTS = (("2000000000001234", "Ada"), ("2000000000005678", "李雷"))
"""Customers that exist from the start: id and name."""
NOTE = "A stand-in for Alibaba Cloud. Nothing here costs anything, and none of these secrets opens anything real."


@dataclass(frozen=True)
class Keys:
    """Secrets of this demo cloud, generated at its first start."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    oauth_client_id: str
    oauth_client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Options:
    """`port` 0: any free port. `public`: base URL for browsers, if it differs from the address."""

    port: int = 0
    address: str = "127.0.0.1"
    regions: tuple[str, ...] = REGIONS
    speed: float = 1.0
    start: datetime | None = None
    keys: Keys | None = None
    public: str | None = None


@dataclass(frozen=True)
class Endpoints:
    """`main`: base URL of console, OAuth and control commands. `sts` and `regions`: `host:port` of the API. `gates`:
    base URL of instances."""

    main: str
    sts: str
    regions: dict[str, str]
    gates: str
    principal: str = PRINCIPAL
    accounts: tuple[tuple[str, str], ...] = ACCOUNTS


def new_keys() -> Keys:
    """Random secrets."""
    return Keys(
        access_key_id=f"LTAI5tDEMO{secrets.token_hex(7)}",
        access_key_secret=secrets.token_hex(15),
        oauth_client_id=str(secrets.randbelow(9 * 10**18) + 10**18),
        oauth_client_secret=secrets.token_urlsafe(32),
    )


def keys_in(folder: Path) -> Keys:
    """The secrets of an earlier start, so that Freepool's settings stay valid; else new ones, which are saved."""
    file = folder / "demo-cloud-keys.json"
    if file.exists():
        return Keys(**json.loads(file.read_text()))
    keys = new_keys()
    write(file, asdict(keys))
    return keys


def write(file: Path, data: object) -> None:
    """Write JSON atomically, readable only by the file's owner."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(data, indent=1, ensure_ascii=False))
    draft.replace(file)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options."""
    parser.add_argument("--port", type=int, default=8090, help="regions listen on the next ports; 0: any free ports")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--public", help="base URL that browsers use")
    parser.add_argument("--regions", default=",".join(REGIONS))
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds per real second; 0 stops the clock")
    parser.add_argument("--state", type=Path, default=Path(), help="folder for the keys and demo-cloud.json")
