"""A user who logs in by a provider accepts the terms before anything else, and arrives where they were going."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from spawner.ledger.people import terms
from tests.login.provider import Provider, client_with_cookies, log_in
from tests.stack import Stack, eventually

TARGET = "/services/desk/?image=light&x=%2Fopen"
PAGE = "/services/desk/terms/accept"


def form_of(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of the form of acceptance."""
    found = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text.split('class="legal-end"')[1])
    )
    return {name: value.replace("&amp;", "&") for name, value in found.items()}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A browser without scripts."""
    with client_with_cookies() as client:
        yield client


def test_the_terms_are_accepted_once_at_every_way_in(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    provider.account("reader-one", realm_access={"roles": ["learners"]})
    page = log_in(client, f"{stack.url}/hub/oauth_login", "reader-one")
    token = stack.user_token("reader-one")
    person = stack.person_of("reader-one")

    # Pages lead to the question, with where the user was going; JupyterHub's page of starts does, too.
    assert page.url.path == PAGE
    page = client.get(f"{stack.url}{TARGET}", follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, PAGE)
    spawn = client.get(f"{stack.url}/hub/spawn", follow_redirects=True)
    assert (spawn.url.path, spawn.url.params["next"]) == (PAGE, "/hub/spawn")
    assert "You can start notebooks when you have accepted them." in page.text
    assert form_of(page)["next"] == TARGET

    # Programs are told what to do: by the desk, and by JupyterHub's API.
    for answer in (
        stack.desk("GET", "api/state", token=token).json()["error"],
        stack.desk("POST", "api/instance", token=token, json={}).json()["error"],
    ):
        assert answer["code"] == "terms_not_accepted"
        assert f"Open {stack.settings.public_url.rstrip('/')}{PAGE} in your browser" in answer["next"]
    refused = stack.api("POST", "/users/reader-one/server", token=token)
    assert refused.status_code == 403
    assert "You have not accepted the current terms" in refused.json()["message"]
    assert not [one for one in stack.unended() if one.user_name == "reader-one"]

    # Both texts are open to everybody.
    for path in ("terms", "privacy"):
        assert httpx.get(f"{stack.url}/services/desk/{path}").status_code == 200

    # A form of other texts is shown again; the present one is written once, and leads on.
    stale = client.post(f"{stack.url}{PAGE}", data=form_of(page) | {"version": "older"})
    assert "The texts have just changed." in stale.text
    assert stack.ledger.read(terms.acceptances, at_most=9, person_id=person) == []
    done = client.post(f"{stack.url}{PAGE}", data=form_of(stale))
    assert (done.status_code, done.headers["Location"]) == (303, TARGET)
    (accepted,) = stack.ledger.read(terms.acceptances, at_most=9, person_id=person)
    assert (accepted.name, accepted.version, accepted.language) == ("reader-one", "test-1", "en")
    kept = stack.ledger.read(terms.texts_of, "test-1")
    assert kept is not None
    assert "all files in it are deleted" in kept["terms"]["en"]
    assert client.get(f"{stack.url}{TARGET}").status_code == 200
    assert "You accepted these texts on" in client.get(f"{stack.url}{PAGE}").text
    assert stack.desk("GET", "api/state", token=token).status_code == 200
    assert stack.api("POST", "/users/reader-one/server", token=token).status_code in (201, 202)
    stack.stop("reader-one")
    eventually(
        lambda: not [one for one in stack.unended() if one.user_name == "reader-one"], seconds=60, what="the end"
    )
