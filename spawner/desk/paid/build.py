"""Giving the desk its part of the paid path, where clouds are configured: only here an OAuth client is imported."""

from __future__ import annotations

import hashlib

from spawner.desk.http import Desk
from spawner.desk.paid.account_proof import AccountProof
from spawner.desk.paid.role import RoleGuide
from spawner.paid.build import check, make_paid
from spawner.settings import PaidSettings


def add_paid(desk: Desk, settings: PaidSettings) -> None:
    """Raises `SetupError` where a cloud's section is not valid."""
    here = f"{desk.settings.public_url.rstrip('/')}{desk.base}paid"
    desk.paid = make_paid(settings, desk.ledger)
    dsw = check(settings)
    if dsw is not None:
        desk.role_guide = RoleGuide(dsw, template_url=f"{here}/role-template.json")
    if settings.oauth is not None and dsw is not None:
        token = desk.settings.secret("desk")
        key = hashlib.sha256(f"freepool desk linking {token}".encode()).digest()
        desk.linking = AccountProof(settings.oauth, redirect_uri=f"{here}/linked", key=key)
