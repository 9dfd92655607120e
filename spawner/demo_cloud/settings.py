"""What a stand-in starts with, and where it can be reached."""

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
    """Secrets of this stand-in, made up at its first start."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    oauth_client_id: str
    oauth_client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Options:
    """`port` 0 is any free one. `public` is the base URL that browsers use, if not the address itself."""

    port: int = 0
    address: str = "127.0.0.1"
    regions: tuple[str, ...] = REGIONS
    speed: float = 1.0
    start: datetime | None = None
    keys: Keys | None = None
    public: str | None = None


@dataclass(frozen=True)
class Endpoints:
    """Host and port of every door; `main` is a base URL, for people, OAuth and whoever steers."""

    main: str
    sts: str
    regions: dict[str, str]
    gates: str
    principal: str = PRINCIPAL
    accounts: tuple[tuple[str, str], ...] = ACCOUNTS


def new_keys() -> Keys:
    """Fresh ones."""
    return Keys(
        access_key_id=f"LTAI5tDEMO{secrets.token_hex(7)}",
        access_key_secret=secrets.token_hex(15),
        oauth_client_id=str(secrets.randbelow(9 * 10**18) + 10**18),
        oauth_client_secret=secrets.token_urlsafe(32),
    )


def keys_in(folder: Path) -> Keys:
    """Those of an earlier start, so that who is configured with them need not be told again; else new ones."""
    file = folder / "demo-cloud-keys.json"
    if file.exists():
        return Keys(**json.loads(file.read_text()))
    keys = new_keys()
    write(file, asdict(keys))
    return keys


def write(file: Path, data: object) -> None:
    """As JSON, for its owner's eyes only, all at once."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(data, indent=1, ensure_ascii=False))
    draft.replace(file)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be chosen on a command line."""
    parser.add_argument("--port", type=int, default=8090, help="regions listen on the ports after it; 0: any free ones")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--public", help="base URL that browsers use")
    parser.add_argument("--regions", default=",".join(REGIONS))
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds per real second; 0 stands still")
    parser.add_argument("--state", type=Path, default=Path(), help="folder for its keys and demo-cloud.json")
