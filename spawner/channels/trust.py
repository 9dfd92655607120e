"""Whose certificates are trusted."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

from spawner.errors import SetupError


@cache
def trusted_by(ca_file: Path | None) -> ssl.SSLContext:
    """A client's context: the system's authorities, and those in a file. Raises `SetupError`."""
    context = ssl.create_default_context()
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SetupError(
            "The certificates in {path} cannot be read: {why}.",
            next_step="Name a file of PEM certificates in channels.ca_file.",
            path=ca_file,
            why=error.strerror or error,
        ) from None
    return context
