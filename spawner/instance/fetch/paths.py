"""Paths of the handlers about open links."""

from __future__ import annotations

OPEN = "/freepool/open"
"""At the slot's own address, for the desk."""
LINK = "freepool/link"
"""Below the server's address, for its user."""
