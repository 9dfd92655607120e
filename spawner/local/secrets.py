"""Secrets of one installation: random, one file each, mode 0600, made once."""

from __future__ import annotations

import secrets
from pathlib import Path

NAMES = ("slots", "link", "proxy", "desk", "steward")


def make_secrets(state: Path) -> None:
    """Make those that are missing, in `state/secrets` (mode 0700)."""
    folder = state / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in NAMES:
        path = folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
