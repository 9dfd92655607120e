"""The pages of paid instances without scripts: the user's way, and requests that must not create anything."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

import httpx
import pytest
from tornado.web import create_signed_value, decode_signed_value

from spawner.desk.paid import alarms, texts
from spawner.desk.paid.accounts import COOKIE
from spawner.desk.paid.oauth_proof import STATE
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import BindingState, ConsentState, OrderState
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.names import name_of
from spawner.pool.build import utc_now
from tests.cloud.steer import Steer
from tests.paid_desk.forms import INSTANCE_TYPE, Browser
from tests.stack import NO_TLS, Stack, eventually

Browse = Callable[..., Browser]
DESK = "/services/desk/"
EXPECTED = (303, 400, 403, 404, 405, 409)
"""Statuses of refused requests."""


def reads(stack: Stack, query: Callable[..., object], *args: object) -> object:
    return stack.ledger.read(query, *args)


def end(browser: Browser, order: str) -> None:
    """Delete the instance of a test."""
    browser.at(f"{DESK}paid/instances/{order}/delete")
    browser.press("Delete it for good")
    eventually(lambda: reads(browser.stack, orders.get, order).state is OrderState.GONE, seconds=90)  # type: ignore[attr-defined]


def test_from_the_link_to_the_receipt_without_a_script(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    ann.at(f"{DESK}paid/new/{binding}")
    order_of = [
        ann.page.text.index(one) for one in (INSTANCE_TYPE, "ecs.g6.xlarge", "ecs.g6.4xlarge", "ecs.gn6v-c8g1.2xlarge")
    ]
    assert order_of == sorted(order_of), "the cheapest is first"
    consent = ann.ask(binding, cap="1.5")
    assert f"account ending in {account[-4:]}" in ann.text
    assert "CNY 1.50 at most" in ann.text
    assert cloud.mutations(since=since) == [], "linking, reading and being asked create nothing"
    order = ann.agree()
    assert order == consent
    ann.wait(order, "Open JupyterLab")
    assert [call.params["InstanceName"] for call in cloud.calls(action="CreateInstance", since=since)] == [
        name_of(consent)
    ]
    ann.follow("Open JupyterLab")
    assert str(ann.page.url).startswith(cloud.endpoints.gates)

    ann.at(f"{DESK}paid/instances/{order}")
    ann.follow("Stop…")
    assert "To start it again you are asked again" in ann.text
    ann.press("Stop it")
    ann.wait(order, "Receipt", "Stopped", "You stopped it.", "by the cloud's own count", "of CNY 1.50 at most")
    ann.at(f"{DESK}paid/consents/{consent}.json")
    kept = ann.page.json()
    assert (kept["state"], kept["cap"], kept["account_id"]) == ("spent", "1.5", account)

    ann.at(f"{DESK}paid/instances/{order}")
    ann.follow("Start again…")
    ann.press("Read the terms")
    assert "start your stopped instance again" in ann.text
    assert ann.agree() == order
    ann.wait(order, "Open JupyterLab", "Its runs so far", "You stopped it.", "of CNY 1.50 at most")
    ann.at(f"{DESK}paid/record.json")
    record = ann.page.json()
    assert {record["demo"], kept["demo"]} == {True}
    assert [one["id"] for one in record["orders"]] == [order]
    assert "stopped" in {one["what"] for one in record["order_events"]}
    ann.at(f"{DESK}paid/accounts/{binding}/unlink")
    assert "This runs, and is stopped first" in ann.text
    ann.press("Stop what runs")
    ann.wait(order, "Stopped")
    assert reads(stack, bindings.get, binding).state is BindingState.ACTIVE  # type: ignore[attr-defined]
    end(ann, order)
    ann.at(f"{DESK}paid/accounts/{binding}/unlink")
    ann.press("Unlink")
    assert "The account is unlinked" in ann.text
    assert reads(stack, bindings.get, binding).state is BindingState.UNLINKED  # type: ignore[attr-defined]
    assert cloud.instances(account) == []


def begin(browser: Browser) -> tuple[str, str]:
    """Start to link an account. Returns the URL of the cloud's sign-in and the cookie."""
    browser.at(f"{DESK}paid")
    browser.press("Link")
    href = next(href for href, text in browser._read().links if text.startswith("Go on"))
    return href, next(cookie.value or "" for cookie in browser.client.cookies.jar if cookie.name == COOKIE)


def set_cookie(browser: Browser, value: str) -> None:
    """Replace the cookie of the sign-in."""
    for cookie in [cookie for cookie in browser.client.cookies.jar if cookie.name == COOKIE]:
        browser.client.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
    browser.client.cookies.set(COOKIE, value, domain="127.0.0.1", path=f"{DESK}paid/linked")


def test_a_sign_in_at_the_cloud_counts_once_and_only_for_the_user_who_started_it(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """A request with the valid cookie of another sign-in is refused before the code is exchanged."""
    since, ann, eve = cloud.last(), browse(), browse()
    href, kept = begin(ann)
    ann.at(href)
    form = next(one for one in ann._read().forms if one.fields.get("account") == account)
    name, value, _ = form.buttons[0]
    url = urljoin(str(ann.page.url), form.action)
    agreed = ann.client.post(url, data=form.fields | {name: value}, follow_redirects=False)
    back = agreed.headers["Location"]
    assert "/paid/linked?" in back
    asked = cloud.calls(action="Authorize", since=since)
    assert {call.params["pkce"] for call in asked} == {"S256"}

    _, eves = begin(eve)
    _, other = begin(ann)
    key = hashlib.sha256(f"freepool desk linking {stack.settings.secret('desk')}".encode()).digest()

    def old(signed: str) -> str:
        told = decode_signed_value(key, STATE, signed.strip('"'))
        assert told is not None
        hour_ago = time.time() - 3600
        return create_signed_value(key, STATE, told, clock=lambda: hour_ago).decode()

    parts = httpx.URL(back)
    expired = str(parts.copy_set_param("state", old(parts.params["state"])))
    attempts = (
        (eve, back, eves), (eve, back, kept), (ann, back, other), (ann, back, ""), (ann, expired, kept),
        (ann, back, old(kept)), (ann, str(parts.copy_remove_param("state")), kept), (ann, f"{back}x", other),
    )  # fmt: skip
    for browser, path, cookie in attempts:
        set_cookie(browser, cookie)
        answer = browser.at(path)
        assert answer.status_code == 403, (browser.user, path)
        assert "begun in another window" in browser.text
    assert cloud.calls(action="Token", since=since) == [], "no code was exchanged"
    assert (
        reads(stack, bindings.of_person, stack.person_of(ann.user))
        == reads(stack, bindings.of_person, stack.person_of(eve.user))
        == []
    )
    set_cookie(ann, kept)
    assert "/paid/accounts/" in str(ann.at(back).url), "the user's own cookie is accepted"
    assert [call.params["pkce"] for call in cloud.calls(action="Token", since=since)] == ["S256"]
    set_cookie(ann, kept)
    assert ann.at(back).status_code == 403, "a sign-in is used once"
    assert len(reads(stack, bindings.of_person, stack.person_of(ann.user))) == 1  # type: ignore[arg-type]
    assert "code=" not in stack.log("desk")


def test_a_role_that_is_too_open_is_refused(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    ann = browse()
    binding = ann.link(account, role=False)
    external_id = reads(stack, bindings.get, binding).external_id  # type: ignore[attr-defined]
    ann.press("Check")
    assert "does not let Freepool in" in ann.text
    assert external_id not in ann.client.get(f"{stack.url}{DESK}paid/role-template.json").text
    cloud.role(None, account=account, name="mine")
    ann.press("Check", role="mine")
    assert "too open" in ann.text
    assert reads(stack, bindings.get, binding).state is BindingState.PROVEN  # type: ignore[attr-defined]
    assert ann.at(f"{DESK}paid/new/{binding}").status_code == 200
    assert "/paid/accounts/" in str(ann.page.url), "no prices before it is linked"


def test_the_user_chooses_between_two_workspaces(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    cloud.account(account, workspaces={"101": "lab", "102": "course"})
    ann = browse(language="zh-CN")
    binding = link_in_chinese(ann, account)
    ann.press("检查")
    assert "请选择创建实例所用的工作空间" in ann.text
    ann.press("检查", **{"workspace-cn-hangzhou": "102", "workspace-cn-shanghai": "101"})
    assert "一切正常" in ann.text
    found = reads(stack, bindings.get, binding)
    assert found.workspaces == {"cn-hangzhou": "102", "cn-shanghai": "101"}  # type: ignore[attr-defined]


def link_in_chinese(ann: Browser, account: str) -> str:
    ann.at(f"{DESK}paid")
    ann.press("关联")
    ann.follow("继续")
    form = next(one for one in ann._read().forms if one.fields.get("account") == account)
    name, value, _ = form.buttons[0]
    ann.page = ann.client.post(urljoin(str(ann.page.url), form.action), data=form.fields | {name: value})
    here = str(ann.page.url)
    ann.follow("在云平台创建角色")
    form = next(one for one in ann._read().forms if one.buttons and one.buttons[0][1] == account)
    ann.client.post(str(ann.page.url), data=form.fields | {"account": account})
    ann.at(here)
    return here.rpartition("/")[2]


def test_after_a_change_of_the_price_the_user_is_asked_again_and_nothing_is_created(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    first = ann.ask(binding, instance_type="ecs.g6.xlarge")
    cloud.instance_type("ecs.g6.xlarge", price="1.5")
    try:
        answer = ann.press("Start and be billed")
        assert answer.status_code == 409
        assert "has changed from CNY 1.30 to CNY 1.50 an hour" in ann.text
        assert "It costs CNY 1.50 an hour" in ann.text
        second = ann.form("Start and be billed")[0].action
        assert first not in second
        assert reads(stack, consents.get, first).state is ConsentState.WITHDRAWN  # type: ignore[attr-defined]
        cloud.instance_type("ecs.g6.xlarge", available=False)
        ann.press("Start and be billed")
        assert "is not available just now" in ann.text
        cloud.instance_type("ecs.g6.xlarge", price=None, available=True)
        ann.at(f"{DESK}paid/new/{binding}")
        assert "nothing is started at an unknown price" in ann.text
        assert ann.at(f"{DESK}paid/new/{binding}/cn-hangzhou/ecs.g6.xlarge").status_code == 409
    finally:
        cloud.instance_type("ecs.g6.xlarge", price="1.3", available=True)
    assert cloud.mutations(since=since) == []


def test_two_tabs_and_two_clicks_create_one_instance(browse: Browse, cloud: Steer, account: str) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    forms = {ann.ask(binding): ann.form("Start and be billed")[0].fields for _ in range(2)}
    consent_ids = list(forms)

    def click(consent: str) -> httpx.Response:
        url = f"{ann.stack.url}{DESK}paid/consents/{consent}/accept"
        headers = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": ann.stack.url}
        with httpx.Client(cookies=ann.client.cookies, timeout=60, headers=headers, verify=NO_TLS) as tab:
            return tab.post(url, data=forms[consent])

    with ThreadPoolExecutor(4) as tabs:
        answers = list(tabs.map(click, consent_ids * 2))
    assert {answer.status_code for answer in answers} <= {303, 409}, [answer.text[:300] for answer in answers]
    made = {call.params["InstanceName"] for call in cloud.calls(action="CreateInstance", since=since)}
    started = {answer.headers["Location"].rpartition("/")[2] for answer in answers if answer.status_code == 303}
    assert len(started) == 1
    (order,) = started
    ann.wait(order, "Open JupyterLab")
    assert made <= {name_of(order)}
    assert [row["name"] for row in cloud.instances(account)] == [name_of(order)]
    ann.at(f"{DESK}paid/consents/{order}")
    assert "Start and be billed" not in ann.text
    end(ann, order)


def test_only_the_user_who_was_asked_can_consent(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    """Not another user, an administrator, an API token of the user, or another session of theirs."""
    ann, eve = browse(), browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    since = cloud.last()
    admin = Browser(stack, httpx.URL(stack.link).params["user"])
    paths = (
        f"paid/accounts/{binding}", f"paid/accounts/{binding}/unlink", f"paid/new/{binding}",
        f"paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}", f"paid/consents/{consent}", f"paid/consents/{consent}.json",
    )  # fmt: skip
    posts = (
        f"paid/accounts/{binding}", f"paid/accounts/{binding}/unlink",
        f"paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}", f"paid/consents/{consent}/accept",
        f"paid/consents/{consent}/start", f"paid/consents/{consent}/withdraw",
    )  # fmt: skip
    for other in (eve, admin):
        for path in paths:
            assert other.at(DESK + path).status_code == 404, (other.user, path)
        other.at(f"{DESK}paid")
        xsrf = other.form("Link")[0].fields["_xsrf"]
        for path in posts:
            answer = other.client.post(f"{stack.url}{DESK}{path}", data={"_xsrf": xsrf, "role": "x"})
            assert answer.status_code == 404, (other.user, path)
        assert other.api("POST", f"paid/consents/{consent}/withdraw", json={}).status_code == 404

    token = stack.user_token(ann.user)
    assert stack.desk("POST", f"paid/consents/{consent}/accept", token=token, json={}).status_code == 403
    assert stack.desk("GET", "api/paid", token=token).json()["accounts"][0]["id"] == binding
    again = Browser(stack, ann.user)  # the same user in a new session, which was not asked
    again.at(f"{DESK}paid/consents/{consent}")
    assert again.press("Start and be billed").status_code == 409
    assert "another session" in again.text
    assert cloud.mutations(since=since) == []
    admin.client.close()
    again.client.close()


def test_two_hundred_forged_requests_create_nothing(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    ann, eve = browse(), browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    since = cloud.last()
    yes = f"{DESK}paid/consents/{consent}/accept"
    api = f"{DESK}api/paid/consents/{consent}/accept"
    ask = f"{DESK}paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}"
    terms = {"cap": "5", "currency": "CNY", "hours": "2", "idle": "30"}
    good = ann.form("Start and be billed")[0].fields["_xsrf"]
    eves = eve.form("Link")[0].fields["_xsrf"]
    cross = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    script = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}
    tries: list[tuple[Browser, str, str, dict[str, str], dict[str, str]]] = [
        (ann, "GET", yes, {}, {}),
        (ann, "GET", f"{yes}?_xsrf={good}&yes=1", {}, {}),
        (ann, "GET", f"{api}?_xsrf={good}", {}, {}),
        (ann, "PUT", yes, {"_xsrf": good}, {}),
        (ann, "HEAD", yes, {}, {}),
        (ann, "POST", yes, {}, {}),
        (ann, "POST", yes, {"_xsrf": ""}, {}),
        (ann, "POST", yes, {"_xsrf": "wrong"}, {}),
        (ann, "POST", yes, {"_xsrf": eves}, {}),
        (ann, "POST", yes, {}, cross),
        (ann, "POST", yes, {}, script),
        (ann, "POST", api, {}, {}),
        (ann, "POST", api, {}, {"X-XSRFToken": eves}),
        (ann, "POST", yes, {"_xsrf": good}, {"Sec-Fetch-Mode": "cors"}),
        (eve, "POST", yes, {"_xsrf": good}, {}),
        (eve, "POST", yes, {"_xsrf": eves}, {}),
        (eve, "POST", ask, terms | {"_xsrf": eves}, {}),
        (ann, "POST", f"{DESK}paid/consents/{'0' * 32}/accept", {"_xsrf": good}, {}),
        (ann, "POST", f"{DESK}paid/consents/{consent}/start", {"_xsrf": good}, {}),
        (ann, "POST", ask, terms | {"_xsrf": good, "cap": "-1"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": good, "cap": "NaN"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": good, "currency": "USD"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": good, "hours": "1e9"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": good, "idle": "x"}, {}),
        (ann, "POST", ask.replace(INSTANCE_TYPE, "ecs.none"), terms | {"_xsrf": good}, {}),
        (ann, "POST", ask.replace("hangzhou", "beijing"), terms | {"_xsrf": good}, {}),
        (ann, "GET", f"{DESK}paid/instances/{consent}", {}, {}),
        (ann, "POST", f"{DESK}paid/instances/{consent}/delete", {"_xsrf": good}, {}),
    ]

    async def send() -> list[httpx.Response]:
        limit = asyncio.Semaphore(4)
        clients = {
            one.user: httpx.AsyncClient(base_url=stack.url, cookies=one.client.cookies, timeout=60)
            for one in (ann, eve)
        }

        async def one(
            who: Browser, method: str, path: str, form: dict[str, str], headers: dict[str, str]
        ) -> httpx.Response:
            async with limit:
                sent = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"} | headers
                body = {"data": form} if method in ("POST", "PUT") else {}
                return await clients[who.user].request(method, path, headers=sent, **body)  # type: ignore[arg-type]

        answers = await asyncio.gather(*(one(*attempt) for attempt in itertools.islice(itertools.cycle(tries), 200)))
        for client in clients.values():
            await client.aclose()
        return list(answers)

    answers = asyncio.run(send())
    assert len(answers) == 200
    odd = {(str(one.request.url), one.status_code) for one in answers if one.status_code not in EXPECTED}
    assert odd == set()
    assert not any(b"Traceback" in answer.content for answer in answers)
    assert reads(stack, orders.of_person, stack.person_of(ann.user)) == []
    assert reads(stack, consents.get, consent).state is ConsentState.OFFERED  # type: ignore[attr-defined]
    assert cloud.mutations(since=since) == []


def test_an_administrator_sees_all_instances_opens_none_and_can_pause_them(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    ann = browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    order = ann.agree()
    ann.wait(order, "Open JupyterLab")
    assert ann.at(f"{DESK}admin/paid").status_code == 403
    assert ann.at(f"{DESK}admin/paid/audit.jsonl").status_code == 403
    admin = Browser(stack, httpx.URL(stack.link).params["user"])
    try:
        admin.at(f"{DESK}admin/paid")
        assert ann.user in admin.text
        assert "/paid/open/" not in admin.page.text
        assert account not in admin.page.text, "only the last digits are shown"
        admin.press("No new paid instances")
        assert "Nobody can make or start any" in admin.text
        ann.at(f"{DESK}paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}")
        assert ann.press("Read the terms").status_code == 503
        assert "No new paid instances can be made just now" in ann.text
        admin.at(f"{DESK}admin/paid/audit.jsonl")
        lines = [json.loads(line) for line in admin.page.text.splitlines()]
        assert {line["record"] for line in lines} == {"binding", "consent", "order", "event", "notice"}
        assert all(line["demo"] for line in lines)
        assert any(line.get("what") == "no_new" and line["by"] == admin.user for line in lines)
        keys = [(line["record"], line.get("seq") or line["id"]) for line in lines]
        assert len(keys) == len(set(keys))
        assert any(line["record"] == "consent" and line["id"] == consent for line in lines)
        secret = reads(stack, bindings.get, binding).external_id  # type: ignore[attr-defined]
        assert secret not in admin.page.text
        admin.at(f"{DESK}metrics")
        assert 'freepool_paid_orders{state="active"} 1.0' in admin.page.text
        assert "freepool_paid_paused 1.0" in admin.page.text
    finally:
        stack.ledger.write(admin_settings.clear, NO_NEW)
    end(ann, order)
    admin.client.close()


def test_an_instance_in_a_removed_region_shows_where_to_stop_it(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """It has no buttons there. Once the region is in the settings again, the page is as before."""
    ann, admin = browse(), Browser(stack, httpx.URL(stack.link).params["user"])
    binding = ann.link(account)
    ann.ask(binding)
    order = ann.agree()
    ann.wait(order, "Open JupyterLab")
    path = stack.state / "settings.json"
    before = path.read_text()
    less = json.loads(before)
    del less["paid"]["dsw"]["regions"]["cn-hangzhou"]
    open_path = f"{DESK}paid/open/{reads(stack, orders.get, order).server_name}"  # type: ignore[attr-defined]
    try:
        path.write_text(json.dumps(less))
        restart(stack)
        since = cloud.last()
        for where in ("paid", f"paid/instances/{order}"):
            ann.at(DESK + where)
            assert texts.OUT_OF_REACH in ann.text
            assert "Open JupyterLab" not in ann.text
            with pytest.raises(AssertionError, match="no button 'Stop"):
                ann.form("Stop")
        ann.at(open_path)
        assert texts.OUT_OF_REACH in ann.text
        admin.at(f"{DESK}admin/paid")
        assert alarms.KINDS["switched_off"] in admin.text
        admin.at(f"{DESK}metrics")
        assert 'freepool_paid_alarms{kind="switched_off"} 1.0' in admin.page.text
        assert cloud.mutations(since=since) == []
    finally:
        path.write_text(before)
        restart(stack)
    ann.at(f"{DESK}paid/instances/{order}")
    assert "Open JupyterLab" in ann.text
    end(ann, order)
    admin.client.close()


def restart(stack: Stack) -> None:
    """Restart desk and steward, as after a change of the settings."""
    for name in ("desk", "steward"):
        stack.kill(name)
    eventually(lambda: stack.http.get(f"{stack.url}{DESK}health").status_code == 200, seconds=60, what="the desk")


def test_after_an_expired_price_the_user_is_asked_again(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    from datetime import timedelta

    from sqlalchemy import update

    from spawner.ledger.paid.tables import consents as rows

    since, ann = cloud.last(), browse()
    consent = ann.ask(ann.link(account))
    past = utc_now() - timedelta(seconds=1)
    stack.ledger.write(lambda c: c.execute(update(rows).where(rows.c.id == consent).values(expires_at=past)))
    assert ann.press("Start and be billed").status_code == 409
    assert "This price is too old." in ann.text
    assert consent not in ann.form("Start and be billed")[0].action
    assert cloud.mutations(since=since) == []


def test_a_consent_that_no_steward_processed_in_time_creates_nothing(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """A new steward cannot know whether the one before it has acted on an older consent."""
    since, ann = cloud.last(), browse()
    ann.ask(ann.link(account))
    stack.kill("steward")
    order = ann.agree()
    ann.wait(order, "It could not be made in time", "Choose it once more")
    assert cloud.mutations(since=since) == []
    ann.follow("Choose it once more")
    ann.press("Read the terms")
    again = ann.agree()
    ann.wait(again, "Open JupyterLab")
    end(ann, again)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_of_the_demo_says_so(browse: Browse, account: str, language: str) -> None:
    ann = browse(language=language)
    said = {"en": "no money is real", "zh-CN": "不涉及真实费用"}[language]
    for path in ("", "paid", "paid/consents", "paid/nothing"):
        ann.at(DESK + path)
        assert said in ann.text, path
