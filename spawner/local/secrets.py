"""Secrets of one installation: random, one file each, mode 0600, made once."""

from __future__ import annotations

import secrets
from pathlib import Path

NAMES = ("slots", "link", "proxy", "desk", "steward", "crypt-keys", "people", "channels", "metrics")


def make_secrets(state: Path) -> None:
    """Make those that are missing, in `state/secrets` (mode 0700)."""
    folder = state / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in NAMES:
        path = folder / name
        if not path.exists():
            write_secret(path, secrets.token_hex(32))


def write_secret(path: Path, text: str) -> None:
    """Write a file that only we may read."""
    path.touch(mode=0o600)
    path.write_text(text)
