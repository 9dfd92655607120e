"""A login with a subject, as OAuth gives one: JupyterHub's users come and go, and the person stays.

The hub is real; its authenticator takes a name and a subject from JupyterHub's own form, and hands them on in the shape
in which OAuthenticator does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from spawner.ledger import InstanceState
from spawner.ledger.people import forgetting, people
from spawner.ledger.people.rows import BanCode, Person
from spawner.ledger.pool import instances
from spawner.pool.admin.people import BanChange, ban
from spawner.pool.build import new_id, utc_now
from tests.hub.queue_users import lean_pool_of
from tests.stack import PROJECT, Stack, eventually, running_stack, write_catalog

FORM = """
from jupyterhub.auth import Authenticator


class Form(Authenticator):
    user_auth_state_key = "form_user"
    authorize_url = "https://login.example.org/authorize"

    async def authenticate(self, handler, data):
        subject = data["password"]
        user = {"sub": subject, "groups": ["staff"]} if subject else {}
        return {"name": data["username"], "auth_state": {"form_user": user}}


c.JupyterHub.authenticator_class = Form
c.Authenticator.allow_all = True
"""


@pytest.fixture(scope="module")
def stack(lean: Path) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    hub_config = folder / "jupyterhub_config.py"
    hub_config.write_text((PROJECT / "hub_config" / "jupyterhub_config.py").read_text() + FORM)
    settings = folder / "local.yaml"
    settings.write_text(yaml.safe_dump(yaml.safe_load(lean.read_text()) | {"hub_config": str(hub_config)}))
    catalog = write_catalog(folder / "catalog.yaml", lean_pool_of(4))
    try:
        with running_stack(folder / "state", catalog=catalog, settings=settings) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Browser:
    """A browser that has logged in."""

    stack: Stack
    client: httpx.Client
    answer: httpx.Response

    @property
    def name(self) -> str:
        """The user's name, as the desk shows it."""
        state = self.client.get(f"{self.stack.url}/services/desk/api/state")
        assert state.status_code == 200, state.text
        return str(state.json()["user"]["name"])

    @property
    def person(self) -> Person:
        name = self.name
        return self.stack.ledger.read(people.get, self.stack.person_of(name))


CLIENTS: list[httpx.Client] = []


@pytest.fixture(autouse=True)
def _close_browsers() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def log_in(stack: Stack, name: str, subject: str) -> Browser:
    client = httpx.Client(follow_redirects=True, timeout=60)
    CLIENTS.append(client)
    client.get(f"{stack.url}/hub/login")
    form = {"username": name, "password": subject, "_xsrf": client.cookies.get("_xsrf", path="/hub/") or ""}
    return Browser(stack, client, client.post(f"{stack.url}/hub/login", data=form))


def delete(stack: Stack, name: str) -> None:
    assert stack.api("DELETE", f"/users/{name}").status_code == 204


def test_who_is_deleted_and_comes_back_is_the_same_person_with_what_was_used(stack: Stack) -> None:
    first = log_in(stack, "ann", "subject-ann").person
    assert (first.issuer, first.hub_name) == ("https://login.example.org", "ann")
    assert first.identity is not None
    assert "subject-ann" not in first.identity
    stack.run("ann")
    assert stack.stop("ann").status_code in (202, 204)
    delete(stack, "ann")
    eventually(lambda: stack.ledger.read(people.get, first.id).hub_id is None, what="the deletion in the ledger")
    back = log_in(stack, "ann", "subject-ann").person
    assert (back.id, back.identity) == (first.id, first.identity)
    assert back.hub_since != first.hub_since
    used = stack.ledger.read(instances.used_since, back.id, first.created_at, now=utc_now())
    assert used.total_seconds() > 0
    delete(stack, "ann")
    assert log_in(stack, "anna", "subject-ann").person.id == first.id, "under another name, too"
    delete(stack, "anna")
    assert log_in(stack, "anna", "subject-of-another").person.id != first.id


def test_a_renamed_user_logs_in_under_the_new_name_and_finds_what_runs(stack: Stack) -> None:
    first = log_in(stack, "bob", "subject-bob").person
    stack.run("bob")
    assert stack.api("PATCH", "/users/bob", json={"name": "bobby"}).status_code == 200
    browser = log_in(stack, "bob", "subject-bob")
    assert browser.name == "bobby"
    assert browser.person.id == first.id
    assert stack.api("GET", "/users/bob").status_code == 404, "the login has made no second user"
    (row,) = stack.ledger.read(instances.unended, first.id)
    assert row.state is InstanceState.RUNNING
    taker = log_in(stack, "bob", "subject-of-the-taker")
    assert taker.name == "bob"
    assert taker.person.id != first.id
    assert taker.client.get(f"{stack.url}/services/desk/api/state").json()["instance"] is None
    assert stack.stop("bobby").status_code in (202, 204)


def test_a_name_whose_user_is_another_account_is_refused_in_words(stack: Stack) -> None:
    first = log_in(stack, "cat", "subject-cat").person
    refused = log_in(stack, "cat", "subject-of-a-third")
    assert refused.answer.status_code == 403
    assert "The name cat is already used by another account" in refused.answer.text
    assert "用户名 cat 已被另一个账号使用" in refused.answer.text
    desk = refused.client.get(f"{stack.url}/services/desk/sign-in", follow_redirects=True)
    assert "/hub/login" in str(desk.url), "nobody is logged in"
    assert stack.ledger.read(people.get, first.id) == first


def test_a_user_from_before_the_login_had_subjects_stays_who_they_are(stack: Stack) -> None:
    before = log_in(stack, "dan", "").person
    assert before.identity is None
    after = log_in(stack, "dan", "subject-dan").person
    assert after.id == before.id
    assert after.identity is not None


def test_a_ban_survives_a_deletion_and_a_new_name_and_is_not_the_names(stack: Stack) -> None:
    first = log_in(stack, "eve", "subject-eve").person
    change = BanChange(code=BanCode.SPAM, for_good=True)
    stack.ledger.write(ban, first.id, change, by="root", now=utc_now(), new_id=new_id)
    delete(stack, "eve")
    eventually(lambda: stack.ledger.read(people.get, first.id).hub_id is None, what="the deletion in the ledger")
    for name in ("eve", "eva"):
        back = log_in(stack, name, "subject-eve")
        assert back.answer.status_code == 403
        assert "it was used to send spam" in back.answer.text
        delete(stack, name)
    taker = log_in(stack, "eve", "subject-of-another-eve")
    assert taker.person.id != first.id
    eventually(lambda: stack.ledger.read(people.get, first.id).hub_id is None, what="the deletion in the ledger")
    stack.ledger.write(forgetting.forget, first.id, now=utc_now())
    again = log_in(stack, "evi", "subject-eve")
    assert again.answer.status_code == 403, "a ban outlives forgetting, where the login has a subject"
