"""Paid notebooks with the running platform: hub, proxy, desk, steward and the demo cloud."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from spawner.errors import Banned
from spawner.ledger.paid import audit, consents, orders
from spawner.ledger.paid.rows import Consent, ConsentState, Order, OrderState, StopReason
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.paid.names import name_of
from spawner.paid.orders.service import START_TOKEN
from spawner.pool.build import new_id, utc_now
from tests.cloud.steer import QUICK, STANDSTILL, Steer
from tests.hub.paid import KILLED, Person, Platform
from tests.stack import Stack, eventually

PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def platform(demo_stack: Stack, cloud_beside: Steer) -> Platform:
    """One platform for all tests of this module; each test has its own users."""
    return Platform(demo_stack, cloud_beside, demo_stack.ledger)


def progress_of(person: Person, server: str) -> list[str]:
    """Messages of JupyterHub's progress API until the server is ready or has failed."""
    url = f"{person.platform.stack.url}/hub/api/users/{person.name}/servers/{server}/progress"
    said = []
    with person.platform.stack.http.stream(
        "GET", url, headers={"Authorization": f"token {person.token}"}, timeout=60
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                said.append(json.loads(line[6:]))
                if said[-1].get("ready") or said[-1].get("failed"):
                    break
    return [line.get("message", "") for line in said]


def test_a_paid_notebook_from_consent_to_deletion(platform: Platform) -> None:
    stack, since = platform.stack, platform.cloud.last()
    ann, bob = Person(platform, "ann"), Person(platform, "bob")
    consent = ann.agree("paid-1")
    assert platform.cloud.mutations(since=since) == []

    with ann.clicking(consent):
        ann.appears("paid-1")
        said = progress_of(ann, "paid-1")
    assert "Order received" in said
    assert any(line.startswith("Cloud status: ") for line in said)
    order = ann.wait_running("paid-1")
    assert (order.consent_id, order.name) == (consent.id, name_of(consent.id))
    assert platform.creates(since) == [order.name]
    server = eventually(lambda: (ann.server("paid-1") or {}).get("ready") and ann.server("paid-1"))
    one_time_token = ann.one_time_token(consent)
    assert one_time_token not in json.dumps(server)
    database = sqlite3.connect(stack.state / "jupyterhub.sqlite")
    assert [row for row in database.execute("SELECT user_options FROM spawners") if START_TOKEN in str(row)] == []
    assert [row for row in database.execute("SELECT note FROM api_tokens") if "paid-1" in str(row)] == []
    database.close()

    with ann.browser() as browser:
        page = browser.get(f"{stack.url}/user/ann/paid-1/lab/tree/x.ipynb")
        assert page.status_code == 200
        assert str(page.url).startswith(platform.cloud.endpoints.gates)
        asked, opened, entered = page.history[-3:]
        assert urlsplit(str(asked.url)).path == "/user/ann/paid-1/lab/tree/x.ipynb"
        assert opened.status_code == 303
        assert opened.headers["Cache-Control"] == "no-store"
        assert opened.headers["Referrer-Policy"] == "no-referrer"
        minted = opened.headers["Location"]
        assert browser.get(opened.url).history[0].headers["Location"] != minted, "each click has a way in of its own"
    token = httpx.URL(minted).params["token"]
    assert entered.url == minted

    only_its_user_opens_a_notebook(platform, ann, bob)
    leaks = [
        log.name
        for log in (stack.state / "logs").iterdir()
        if token in log.read_text() or one_time_token in log.read_text()
    ]
    assert leaks == []
    assert token.encode() not in b"".join(path.read_bytes() for path in stack.state.glob("*.sqlite*"))

    assert ann.stop("paid-1").status_code in (202, 204)
    ann.wait_state("paid-1", OrderState.STOPPED)
    assert [row["status"] for row in ann.billed()] == ["Stopped"]
    eventually(lambda: ann.server("paid-1") is None, what="the hub's end of it")
    assert ann.start(consent).status_code == 403, "a yes is for one run"

    again = ann.agree("paid-1", order=ann.order("paid-1"))
    only_its_user_spends_a_consent(platform, ann, bob, again)
    assert ann.start(again).status_code in (201, 202)
    assert ann.wait_running("paid-1").id == order.id
    ann.delete("paid-1")
    ann.wait_state("paid-1", OrderState.GONE)
    eventually(lambda: ann.server("paid-1") is None, seconds=30, what="the hub's end of it")
    assert platform.creates(since) == [order.name]
    assert ann.billed() == []


def only_its_user_spends_a_consent(platform: Platform, ann: Person, bob: Person, consent: Consent) -> None:
    """A leaked token is refused to other users and administrators."""
    leaked = {"user_options": {START_TOKEN: ann.one_time_token(consent)}}
    for thief in (bob.token, platform.stack.user_token(stack_admin(platform)), platform.stack.token):
        assert ann.post("paid-1", token=thief, json=leaked).status_code in (403, 404)
    assert platform.ledger.read(consents.get, consent.id).state is ConsentState.ACCEPTED
    assert [row["status"] for row in ann.billed()] == ["Stopped"]
    with ann.browser() as browser:
        page = browser.get(f"{platform.stack.url}/services/desk/paid", headers=PERSON).text
    assert "In progress" in page


def only_its_user_opens_a_notebook(platform: Platform, ann: Person, bob: Person) -> None:
    """Neither the proxy's route, the desk, her API token nor an administrator's share opens it."""
    stack = platform.stack
    minted_before = len(platform.cloud.calls(action="GetToken"))
    share = stack.api("POST", "/shares/ann/paid-1", json={"user": "bob"})
    assert share.status_code == 200, share.text
    for other in (bob, Person(platform, stack_admin(platform))):
        with other.browser() as browser:
            for path in (
                "user/ann/paid-1/lab",
                "services/desk/paid/open/paid-1?of=ann",
                "services/desk/paid/open/paid-1",
            ):
                assert browser.get(f"{stack.url}/{path}").status_code == 404, (other.name, path)
    assert stack.desk("GET", "paid/open/paid-1", token=ann.token).status_code == 404
    assert len(platform.cloud.calls(action="GetToken")) == minted_before


def stack_admin(platform: Platform) -> str:
    """Name of the administrator of `freepool up`."""
    user = httpx.URL(platform.stack.link).params["user"]
    assert platform.stack.api("GET", f"/users/{user}").json()["admin"]
    return str(user)


def test_two_hundred_forged_starts_create_nothing(platform: Platform) -> None:
    """An accepted consent is spent only with its own one-time token by its own user."""
    stack = platform.stack
    ann, eve = Person(platform, "anna"), Person(platform, "eve")
    consent, other = ann.agree("paid-7"), eve.agree("paid-7")
    since = platform.cloud.last()
    admin_name = stack_admin(platform)
    admin = stack.user_token(admin_name)
    leaked = {"user_options": {START_TOKEN: ann.one_time_token(consent)}}
    guesses = [
        None,
        {},
        {START_TOKEN: ""},
        {START_TOKEN: consent.id},
        {START_TOKEN: eve.one_time_token(other)},
        {START_TOKEN: [ann.one_time_token(consent)]},
        {"consent": consent.id, "i_agree": True, "paid": "yes"},
    ]
    hers = f"/hub/api/users/anna/servers/{consent.server_name}"
    attempts = [
        *(
            ("POST", hers, token, {"user_options": guess})
            for token in (ann.token, eve.token, admin, stack.token)
            for guess in guesses
        ),
        *(("POST", hers, token, leaked) for token in (eve.token, admin, stack.token)),
        *(("PUT", hers, token, leaked) for token in (eve.token, admin)),
        *(("POST", f"/hub/api/users/anna/servers/{name}", ann.token, leaked) for name in ("paid-8", "paid-", "other")),
        ("POST", "/hub/api/users/anna/server", eve.token, leaked),
        *(
            (
                "GET",
                f"/hub/spawn/anna/paid-7?opt-{START_TOKEN}={eve.one_time_token(other)}&{START_TOKEN}=x",
                token,
                None,
            )
            for token in (eve.token, admin, ann.token)
        ),
        *(
            ("GET", f"/user/anna/paid-7/{path}", admin, None)
            for path in ("lab", "api/status", "api/kernels", "%2e%2e/x")
        ),
        ("POST", "/user/anna/paid-7/api/kernels", ann.token, {}),
        ("GET", "/services/desk/paid/open/paid-7?of=anna", admin, None),
    ]
    answers = asyncio.run(send_all(platform, list(itertools.islice(itertools.cycle(attempts), 200))))
    assert len(answers) == 200
    assert {answer.status_code for answer in answers} <= {200, 201, 202, 302, 303, 400, 403, 404, 405, 409, 429}
    assert not any(b"Traceback" in answer.content for answer in answers)

    with Person(platform, admin_name).browser() as browser:
        page = browser.get(f"{stack.url}/hub/spawn/anna/paid-7?opt-{START_TOKEN}={ann.one_time_token(consent)}")
        assert page.status_code in (403, 200)
    with ann.browser() as browser:  # a link in a mail: it holds no valid one-time token
        browser.get(f"{stack.url}/hub/spawn/anna/paid-7?opt-{START_TOKEN}=x")
    assert platform.ledger.read(orders.of_person, ann.person_id) == []
    assert platform.ledger.read(orders.of_person, platform.stack.person_of("eve")) == []
    assert platform.ledger.read(consents.get, consent.id).state is ConsentState.ACCEPTED
    assert platform.cloud.mutations(since=since) == []

    # Two valid starts at once create one instance.
    eventually(lambda: not (ann.server("paid-7") or {}).get("pending"), what="an idle server")
    twice = asyncio.run(send_all(platform, [("POST", hers, ann.token, leaked)] * 2))
    assert {answer.status_code for answer in twice} <= {201, 202, 400}
    order = ann.wait_running("paid-7")
    assert platform.creates(since) == [order.name]
    ann.delete("paid-7")
    ann.wait_state("paid-7", OrderState.GONE)


async def send_all(platform: Platform, requests: list[tuple[str, str, str, object]]) -> list[httpx.Response]:
    """Send requests, eight at a time."""
    limit = asyncio.Semaphore(8)
    async with httpx.AsyncClient(base_url=platform.stack.url, timeout=120) as client:

        async def send(method: str, path: str, token: str, body: object) -> httpx.Response:
            async with limit:
                return await client.request(method, path, headers={"Authorization": f"token {token}"}, json=body)

        return list(await asyncio.gather(*(send(*request) for request in requests)))


def test_kills_at_every_step_lose_nothing_and_create_nothing_twice(platform: Platform) -> None:
    ann, since = Person(platform, "annette"), platform.cloud.last()
    consent, unspent = ann.agree("paid-1"), ann.agree("paid-2")

    # The cloud creates the instance and delays its answer: the kill comes before the row is updated.
    platform.cloud.fault("CreateInstance", "hang_after", seconds=4)
    with ann.clicking(consent):
        ann.appears("paid-1")
        eventually(ann.billed, what="the instance")
        assert ann.order("paid-1").state is OrderState.CREATING
        platform.kill(*KILLED)
    ann.wait("paid-1", lambda order: order.remote_id is not None, what="the adoption of it")
    assert platform.ledger.read(consents.get, unspent.id).state is ConsentState.ACCEPTED
    answer = ann.start(unspent)
    assert (answer.status_code, "start over" in answer.text) == (500, True), "it is from before the steward began"
    platform.kill("steward")
    ann.wait_running("paid-1")
    platform.kill("hub", "desk")
    eventually(lambda: (ann.server("paid-1") or {}).get("ready"), seconds=40, what="the hub's adoption")
    with ann.browser() as browser:
        page = browser.get(f"{platform.stack.url}/user/annette/paid-1/lab")
        assert str(page.url).startswith(platform.cloud.endpoints.gates)
    assert ann.start(consent).status_code in (201, 400), "the click, sent again"
    assert ann.order("paid-1").stop_wanted_at is None

    assert ann.stop("paid-1").status_code in (202, 204)
    assert ann.order("paid-1").stop_wanted_at is not None, "the request is written before anything else"
    platform.kill(*KILLED)
    ann.wait_state("paid-1", OrderState.STOPPED)
    ann.delete("paid-1")
    platform.kill("steward")
    ann.wait_state("paid-1", OrderState.GONE)
    assert set(platform.creates(since)) == {name_of(consent.id)}
    made = [row for row in platform.cloud.instances(past=True) if row["name"] == name_of(consent.id)]
    assert len(made) == 1
    assert ann.billed() == []
    assert ann.server("paid-1") is None


def test_a_cancelled_start_stops_its_order(platform: Platform) -> None:
    """JupyterHub cancels a start on a stop by the user or an administrator, or when the user is blocked."""
    ann, since = Person(platform, "annabel"), platform.cloud.last()
    consent = ann.agree("paid-2")
    platform.cloud.quirk(pace=STANDSTILL | {"stop": 0.3})
    try:
        with ann.clicking(consent):
            ann.appears("paid-2")
            ann.wait("paid-2", lambda order: order.auto_stop_set_at is not None, what="the timer")
            assert platform.stack.api("DELETE", "/users/annabel/servers/paid-2").status_code in (202, 204)
        order = ann.wait_state("paid-2", OrderState.STOPPED)
    finally:
        platform.cloud.quirk(pace=QUICK)
    assert order.reason == "hub"
    assert platform.creates(since) == [name_of(consent.id)]
    ann.delete("paid-2")
    ann.wait_state("paid-2", OrderState.GONE)


def test_a_ledger_from_an_old_backup_creates_nothing_and_recovers_orders(platform: Platform, tmp_path: Path) -> None:
    """In the backup the consent is unspent, while its instance runs."""
    ann, since = Person(platform, "annika"), platform.cloud.last()
    consent = ann.agree("paid-3")
    live, backup = sqlite3.connect(platform.stack.state / "ledger.sqlite"), sqlite3.connect(tmp_path / "backup.sqlite")
    live.backup(backup)
    assert ann.start(consent).status_code in (201, 202)
    before = ann.wait_running("paid-3")

    platform.cloud.clear_faults()
    backup.backup(live)
    assert platform.ledger.read(consents.get, consent.id).state is ConsentState.ACCEPTED
    platform.kill(*KILLED)
    found = eventually(lambda: the_order(platform, before), seconds=60, what="what runs")
    assert found.state is OrderState.RECOVERED
    notices = platform.ledger.read(audit.notices_of, ann.person_id)
    assert "recovered" in {notice.kind for notice in notices}
    for _ in range(3):
        assert ann.start(consent).status_code in (201, 202, 400, 403, 409)
    assert platform.creates(since) == [before.name]
    assert [row["name"] for row in ann.billed()] == [before.name]

    platform.ledger.write(orders.want_delete, found.id, by="annika", now=before.created_at)
    eventually(lambda: ann.billed() == [], seconds=60, what="its end")
    for connection in (live, backup):
        connection.close()


def the_order(platform: Platform, before: Order) -> Order | None:
    """The order of the instance that runs in the cloud."""
    orders_of_user = platform.ledger.read(orders.of_person, before.person_id)
    return next((order for order in orders_of_user if order.remote_id == before.remote_id), None)


def test_named_servers_of_the_pool_are_refused_with_a_message(platform: Platform) -> None:
    platform.stack.add_user("named")
    answer = platform.stack.api("POST", "/users/named/servers/second", token=platform.stack.user_token("named"))
    assert answer.status_code == 403
    assert "not available here" in answer.json()["message"]
    assert not is_running_anywhere(platform, "named")


def is_running_anywhere(platform: Platform, user: str) -> bool:
    return any(instance.user_name == user for instance in platform.stack.unended())


def test_who_takes_a_name_over_gets_nothing_of_the_accounts_and_instances_of_the_former_one(platform: Platform) -> None:
    """The former one is renamed while a paid instance runs, and keeps account, instance, receipts and stop."""
    stack, ann = platform.stack, Person(platform, "annette-1")
    consent = ann.agree("paid-1")
    assert ann.start(consent).status_code in (201, 202)
    order = ann.wait_running("paid-1")
    unspent = ann.agree("paid-2")
    answer = stack.api("PATCH", f"/users/{ann.name}", json={"name": "annette-2"})
    assert answer.status_code == 200
    taker = Person(platform, ann.name)  # makes the user, and links an account of its own
    assert taker.person_id != ann.person_id
    state = stack.desk("GET", "api/paid", token=taker.token).json()
    assert [account["ending"] for account in state["accounts"]] == [taker.account[-4:]]
    assert (state["instances"], state["history"], state["notices"]) == ([], [], [])
    for path in (f"api/paid/instances/{order.id}/stop", f"api/paid/consents/{unspent.id}/withdraw"):
        assert stack.desk("POST", path, token=taker.token, json={}).status_code in (403, 404), path
    leaked = {"user_options": {START_TOKEN: ann.one_time_token(unspent)}}
    assert taker.post("paid-2", token=taker.token, json=leaked).status_code == 403
    assert platform.ledger.read(consents.get, unspent.id).state is ConsentState.ACCEPTED
    assert taker.stop("paid-1").status_code in (404, 204)
    assert ann.order("paid-1").stop_wanted_at is None, "a stop of the name's server stops nothing of the former one's"

    ann.name = "annette-2"
    own = stack.desk("GET", "api/paid", token=ann.token).json()
    assert [account["ending"] for account in own["accounts"]] == [ann.account[-4:]]
    assert {instance["id"] for instance in own["instances"]} >= {order.id}
    assert ann.stop("paid-1").status_code in (202, 204)
    ann.wait_state("paid-1", OrderState.STOPPED)
    ann.delete("paid-1")
    ann.wait_state("paid-1", OrderState.GONE)
    assert ann.billed() == []


def test_a_ban_stops_a_paid_instance_and_deletes_nothing(platform: Platform) -> None:
    """Its owner still reaches stop, delete, receipts and the account, and agrees to nothing new."""
    stack, ann = platform.stack, Person(platform, "annabella")
    consent = ann.agree("paid-1")
    assert ann.start(consent).status_code in (201, 202)
    order = ann.wait_running("paid-1")
    unspent = ann.agree("paid-2")
    ban = Ban(new_id(), ann.person_id, BanCode.OTHER, "", "", "mail us", "root", utc_now(), None)
    with ann.browser() as browser:
        platform.ledger.write(bans.put, ban)
        desk = f"{stack.url}/services/desk/"
        page = browser.get(desk)
        assert page.status_code == 403
        assert "The ban is permanent. You can appeal: mail us" in page.text
        assert "/services/desk/paid" in page.text
        for path in ("paid", f"paid/instances/{order.id}", f"paid/instances/{order.id}/delete", "paid/record.json"):
            assert browser.get(f"{desk}{path}", headers=PERSON).status_code == 200, path
        stopped = ann.wait_state("paid-1", OrderState.STOPPED)
        assert (stopped.reason, stopped.delete_wanted_at) == (StopReason.BLOCKED, None)
        assert [row["status"] for row in ann.billed()] == ["Stopped"], "the disk is there"
        assert ann.start(unspent).status_code == 403
        assert platform.ledger.read(consents.get, unspent.id).state is ConsentState.ACCEPTED
        with pytest.raises(Banned):
            ann.agree("paid-3")
        assert stack.desk("GET", "api/paid", token=ann.token).status_code == 403, "a token is good for nothing"
        (xsrf,) = set(re.findall(r'name="_xsrf" value="([^"]+)"', page.text))
        for path in ("paid/link", f"paid/consents/{unspent.id}/start", f"paid/consents/{unspent.id}/accept"):
            assert browser.post(f"{desk}{path}", data={"_xsrf": xsrf}, headers=PERSON).status_code == 403, path
        receipt = browser.get(f"{desk}paid/instances/{order.id}", headers=PERSON)
        assert "The ban is permanent. You can appeal: mail us" in receipt.text
        assert "Start again" not in receipt.text
        path = f"{desk}paid/instances/{order.id}/delete"
        assert browser.post(path, data={"_xsrf": xsrf}, headers=PERSON).status_code == 200
    ann.wait_state("paid-1", OrderState.GONE)
    assert ann.billed() == []
