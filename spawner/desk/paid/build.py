"""Builds `PaidParts`. Imported only where clouds are configured: it needs an OAuth library."""

from __future__ import annotations

import hashlib

from spawner.desk.context import Desk
from spawner.desk.paid.context import PaidParts
from spawner.desk.paid.oauth_proof import OAuthProof
from spawner.desk.paid.role import RoleGuide
from spawner.paid.build import check, make_paid
from spawner.paid_settings import PaidSettings


def make_paid_parts(desk: Desk, settings: PaidSettings) -> PaidParts:
    """Raises `SetupError` where a cloud's section of the settings is not valid."""
    here = f"{desk.settings.public_url.rstrip('/')}{desk.base}paid"
    parts = PaidParts(make_paid(settings, desk.ledger))
    dsw = check(settings)
    if dsw is not None:
        parts.role_guide = RoleGuide(dsw, template_url=f"{here}/role-template.json")
    if settings.oauth is not None and dsw is not None:
        token = desk.settings.secret("desk")
        key = hashlib.sha256(f"freepool desk linking {token}".encode()).digest()
        parts.proof = OAuthProof(settings.oauth, redirect_uri=f"{here}/linked", key=key)
    return parts
