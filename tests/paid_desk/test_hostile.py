"""Attempts to create a paid instance without the user's consent: restarts, scripts, another user of the same name."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import httpx

from spawner.ledger import leases
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import ConsentState
from spawner.paid.orders.reconciler import LEASE
from spawner.paid.orders.service import START_TOKEN, start_token
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, Browser, delete_instance
from tests.stack import Stack, eventually

SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"}
TERMS = {"cap": "5", "currency": "CNY", "hours": "2", "idle": "30"}


def reconciler(stack: Stack) -> object:
    """The last holder of the reconciler's lease."""
    return stack.ledger.read(partial(leases.holder_of, name=LEASE, now=datetime.min.replace(tzinfo=UTC)))


def kill_all(stack: Stack) -> None:
    """Kill hub, desk and steward, and wait for new ones. A new steward ignores consents older than itself."""
    before = reconciler(stack)
    for name in ("hub", "desk", "steward"):
        stack.kill(name)

    def answers() -> bool:
        try:
            paths = ("hub/health", "services/desk/health")
            return all(stack.http.get(f"{stack.url}/{path}", timeout=5).status_code == 200 for path in paths)
        except httpx.HTTPError:
            return False

    eventually(answers, seconds=60, what="the platform")
    eventually(lambda: reconciler(stack) != before, seconds=60, what="another steward")


def test_linking_reading_prices_and_being_asked_create_nothing_in_the_cloud(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """Not even for a script with the user's cookie and XSRF token, as a notebook of the same origin can have."""
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    kill_all(stack)
    for name in ("first", "second"):
        stack.add_user(name)
        stack.desk("POST", "api/instance", token=stack.user_token(name), json={"flavor": "cpu-large"})
    ticket = stack.desk("GET", "api/ticket", token=stack.user_token("second")).json()["ticket"]
    assert ticket is not None, "the pool is full, and the second user is queued"

    ann.at(f"{DESK}paid/consents/{consent}")
    form = ann.form("Approve and start")[0].fields
    token, word = form["_xsrf"], form["word"]
    here = f"{stack.url}{DESK}"
    ask = f"paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}"
    terms = {"account": binding, "region": "cn-hangzhou", "instance_type": INSTANCE_TYPE, "cap": "2", "currency": "CNY"}
    by_form = {
        "Sec-Fetch-Site": "same-origin",
        "Origin": stack.url,
    }  # a script can submit a form, but then the user sees the page
    own = SCRIPT | {"X-XSRFToken": token}
    attempts: list[tuple[str, str, dict[str, str], dict[str, object]]] = [
        ("GET", f"paid/consents/{consent}", own, {}),
        ("GET", f"paid/consents/{consent}", SCRIPT | {"Sec-Fetch-Mode": "no-cors"}, {}),
        ("GET", f"paid/consents/{consent}", FRAME, {}),
        ("GET", f"paid/consents/{consent}", {"Sec-Fetch-Mode": "", "Sec-Fetch-Dest": ""}, {}),
        ("GET", ask, own, {}),
        ("POST", ask, own, {"data": TERMS | {"_xsrf": token}}),
        ("POST", ask, FRAME, {"data": TERMS | {"_xsrf": token}}),
        ("POST", "api/paid/consents", own, {"json": terms}),
        ("POST", f"api/paid/consents/{consent}/accept", own, {"json": {}}),
        ("POST", f"api/paid/consents/{consent}/accept", own, {"json": {"word": word}}),
        ("POST", f"paid/consents/{consent}/accept", own, {"data": {"_xsrf": token, "word": word}}),
        ("POST", f"paid/consents/{consent}/accept", FRAME, {"data": {"_xsrf": token, "word": word}}),
        ("POST", f"paid/consents/{consent}/accept", by_form, {"data": {"_xsrf": token}}),
        ("POST", f"paid/consents/{consent}/accept", by_form, {"data": {"_xsrf": token, "word": consent}}),
        ("POST", f"paid/consents/{consent}/accept", by_form, {"data": {"_xsrf": token, "word": word[:-1]}}),
        ("POST", f"paid/consents/{consent}/start", own, {"data": {"_xsrf": token}}),
        ("GET", f"paid/consents/{consent}/accept?_xsrf={token}&word={word}", {}, {}),
    ]
    for number in range(200):
        method, path, headers, body = attempts[number % len(attempts)]
        body = {**body, "follow_redirects": False}
        answer = ann.client.request(method, here + path, headers=headers, **body)  # type: ignore[arg-type]
        to_sign_in = answer.status_code == 302 and "/oauth2/authorize" in answer.headers["Location"]
        assert to_sign_in or answer.status_code in (403, 404, 405), (method, path, headers, answer.status_code)
        assert word not in answer.text
        assert token not in answer.text or headers == own
    assert stack.ledger.read(orders.of_person, stack.person_of(ann.user)) == []
    assert stack.ledger.read(consents.get, consent).state is ConsentState.OFFERED
    kill_all(stack)
    assert cloud.mutations(since=since) == []
    for path in ("", "static/shared/logo.svg", "static/none.svg", "oauth_callback", "paid", f"paid/consents/{consent}"):
        policy = ann.client.get(here + path, follow_redirects=False).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy, path
    for path in ("", "paid", f"paid/consents/{consent}"):
        assert ann.client.get(here + path).headers["Cross-Origin-Opener-Policy"] == "noopener-allow-popups", path
    stack.leave_line("second")
    stack.stop("first")


def test_another_user_of_the_same_name_sees_and_starts_nothing(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """An administrator has renamed one user and given the name to another."""
    ann, eve = browse(), browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    since = cloud.last()
    for name, new in ((ann.user, f"{ann.user}-before"), (eve.user, ann.user)):
        assert stack.api("PATCH", f"/users/{name}", json={"name": new}).status_code == 200
    new_user = Browser(stack, ann.user)
    try:
        assert "No account linked" in new_user.text
        for path in (f"paid/accounts/{binding}", f"paid/consents/{consent}", f"paid/new/{binding}"):
            assert new_user.at(DESK + path).status_code == 404, path
        assert new_user.api("GET", "paid").json()["accounts"] == []
        assert new_user.api("GET", "paid/consents").json()["consents"] == []
        assert consent not in new_user.at(f"{DESK}paid/record.json").text
        word = start_token(stack.settings.secret("desk"), consent)
        started = stack.api(
            "POST", f"/users/{ann.user}/servers/paid-1", token=stack.user_token(ann.user),
            json={"user_options": {START_TOKEN: word}},
        )  # fmt: skip
        assert started.status_code == 403
    finally:
        new_user.client.close()
    assert cloud.mutations(since=since) == []


def test_no_page_and_no_metric_holds_a_secret(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    """Neither the platform's keys nor the external id of a role."""
    ann = browse()
    binding = ann.link(account)
    ann.ask(binding)
    order = ann.agree()
    ann.wait(order, "Open JupyterLab")
    external_id = stack.ledger.read(bindings.get, binding).external_id
    key = stack.settings.secret("desk")
    secrets = {
        "the platform's key": cloud.keys.access_key_secret,
        "the sign-in's secret": cloud.keys.oauth_client_secret,
        "the desk's token": key,
        "a start token": start_token(key, order),
        "an external ID": external_id,
    }
    pages = (
        "", "paid", "paid/consents", f"paid/consents/{order}", f"paid/consents/{order}.json", "paid/record.json",
        f"paid/instances/{order}", f"paid/instances/{order}/stop", f"paid/instances/{order}/delete",
        f"paid/accounts/{binding}/unlink", f"paid/new/{binding}", f"paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}",
        "paid/role-template.json", "paid/nothing", "api/paid", "api/state", "api/paid/consents",
        f"api/paid/quotes?account={binding}", "api/openapi.json",
    )  # fmt: skip
    admin_pages = (
        "admin",
        "admin/paid",
        "admin/paid/audit.jsonl",
        "api/admin",
        "api/admin/paid",
        "metrics",
    )
    admin = Browser(stack, httpx.URL(stack.link).params["user"])
    try:
        loads = [(ann, page) for page in pages] + [(admin, page) for page in (*admin_pages, *pages)]
        for browser, page in loads:
            text = browser.at(DESK + page).text
            leaks = [what for what, secret in secrets.items() if secret in text]
            assert leaks == [], (browser.user, page)
        assert "freepool_paid_orders" in admin.at(f"{DESK}metrics").text
        assert external_id in ann.at(f"{DESK}paid/accounts/{binding}").text, "on the user's own page, to be copied"
    finally:
        admin.client.close()
    delete_instance(ann, order)


def test_an_account_with_an_open_role_is_blocked_until_the_next_good_check(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    ann = browse()
    binding = ann.link(account)
    linked = stack.ledger.read(bindings.get, binding)
    cloud.role(None, account=account, name=linked.role.rpartition("/")[2])  # type: ignore[union-attr]
    ann.at(f"{DESK}paid/accounts/{binding}")
    ann.press("Check")
    assert "too open" in ann.text
    assert stack.ledger.read(bindings.get, binding).state == "blocked"
    assert "found a problem" in ann.client.get(f"{stack.url}{DESK}paid").text
    ann.at(f"{DESK}paid/new/{binding}")
    assert "/paid/accounts/" in str(ann.page.url), "no prices while it is blocked"
    cloud.role(linked.external_id, account=account, name=linked.role.rpartition("/")[2])  # type: ignore[union-attr]
    ann.press("Check")
    assert "Everything is set up" in ann.text
    assert stack.ledger.read(bindings.get, binding).state == "active"
