"""A real OpenID Connect provider on loopback, and people who log in with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from spawner.local import preflight
from tests.stack import NO_TLS

SCRIPT = Path(__file__).parent / "server.mjs"
CLIENT = "freepool-tests"
SECRET = "the-secret-of-the-client"


@dataclass
class Provider:
    """The running provider. Everything that differs from the default is put back by `reset`."""

    issuer: str
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def renewals(self) -> int:
        """How often tokens have been renewed."""
        return int(httpx.post(f"{self.issuer}/control", json={}, verify=NO_TLS).json()["renewals"])

    def control(self, **changes: Any) -> None:
        """`mode` is ok, away, slow, rubbish, list or broken; access tokens are good for `token_seconds`."""
        httpx.post(f"{self.issuer}/control", json=changes, verify=NO_TLS).raise_for_status()

    def account(self, subject: str, **claims: Any) -> None:
        """Make an account, or change it. By default its name is its subject."""
        self.accounts[subject] = {"preferred_username": subject} | claims
        self.control(accounts=self.accounts)

    def forget(self, subject: str) -> None:
        """Delete the account."""
        del self.accounts[subject]
        self.control(accounts=self.accounts)

    def reset(self) -> None:
        """As it was at first; accounts stay."""
        self.control(mode="ok", token_seconds=3600)


@contextmanager
def running_provider(port: int, callback: str, *others: str) -> Iterator[Provider]:
    """Start it; end it afterwards. `others`: callbacks of further hubs."""
    client = {
        "id": CLIENT,
        "secret": SECRET,
        "callbacks": [callback, *others],
        "back": callback.replace("oauth_callback", "login"),
        "port": port,
    }
    node, _ = preflight.proxy_command()
    modules = Path(sys.prefix) / "provider" / "node_modules"
    process = subprocess.Popen(
        [node, "--no-warnings", str(SCRIPT), str(modules), json.dumps(client)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer, "the provider did not start: make .venv/.dev installs it"
        yield Provider(issuer)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def client_with_cookies() -> httpx.Client:
    """As a browser, without scripts."""
    return httpx.Client(verify=NO_TLS, timeout=60, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})


def log_in(client: httpx.Client, start: str, account: str) -> httpx.Response:
    """Go through the provider's pages as `account`. Returns the last page."""
    answer = client.get(start, follow_redirects=True)
    while (form := re.search('<form method="post">', answer.text)) and "/interaction/" in str(answer.url):
        data = {"account": account} if "account" in answer.text[form.start() :] else {"agree": "1"}
        answer = client.post(urljoin(str(answer.url), ""), data=data, follow_redirects=True)
    return answer
