"""Login by an OpenID Connect provider, with invitations: a stack of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.screenshots.shoot import Shoot
from tests.login.provider import CLIENT, SECRET, running_provider
from tests.stack import Stack, free_port, local_settings, running_stack


@contextmanager
def stack_with_provider() -> Iterator[Stack]:
    """A Freepool that admits one group of the provider's accounts."""
    folder, port = Path(tempfile.mkdtemp(prefix="freepool-")), free_port()
    (folder / "client-secret").write_text(SECRET)
    login = {
        "kind": "oidc", "name": "Example University", "issuer": f"http://127.0.0.1:{port}", "client_id": CLIENT,
        "client_secret_file": "client-secret", "groups_claim": "groups", "allowed_groups": ["learners"],
        "scopes": ["openid", "profile", "groups"],
    }  # fmt: skip
    people = {"invitation_only": True, "limits": {"new": {"session_minutes": 60}}}
    try:
        settings = local_settings(folder / "local.yaml", login=login, people=people)
        with (
            running_stack(folder / "s", settings=settings) as stack,
            running_provider(port, stack.settings.login_callback) as provider,
        ):
            provider.account("ann", groups=["learners"])
            provider.account("eve", groups=["others"])
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shoot_login(shoot: Shoot) -> None:
    """The landing and login pages, an account that is not admitted, and one that needs an invitation."""
    for account, name in (("eve", "provider-refused"), ("ann", "provider-invitation")):
        with shoot.visitor("carol") as visitor:
            page, _ = visitor.visit("/")
            page.locator("main h1").wait_for()
            if account == "eve":
                shoot.take(page, "provider-landing")
            page, _ = visitor.visit("/hub/login")
            page.locator("main h1").wait_for()
            if account == "eve":
                shoot.take(page, "provider-login")
            page.locator("main a[href*=oauth_login]").first.click()
            page.locator("input[name=account]").fill(account)
            page.locator("button:not([name])").click()
            page.locator("button:not([name])").click()  # the provider's question about consent
            page.locator("main h1").wait_for()
            shoot.take(page, name)
