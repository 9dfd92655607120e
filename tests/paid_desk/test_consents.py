"""Consents on the desk's pages: each creates at most one instance, at the price that was shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from spawner.ledger.paid import consents
from spawner.ledger.paid.rows import ConsentState
from spawner.paid.names import name_of
from spawner.pool.build import utc_now
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, Browser, delete_instance
from tests.stack import NO_TLS, Stack


def test_after_a_change_of_the_price_the_user_is_asked_again_and_nothing_is_created(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    first = ann.ask(binding, instance_type="ecs.g6.xlarge")
    cloud.instance_type("ecs.g6.xlarge", price="1.5")
    try:
        answer = ann.press("Approve and start")
        assert answer.status_code == 409
        assert "has changed from CNY 1.30 to CNY 1.50 per hour" in ann.text
        assert "Price: CNY 1.50 per hour" in ann.text
        second = ann.form("Approve and start")[0].action
        assert first not in second
        assert stack.ledger.read(consents.get, first).state is ConsentState.WITHDRAWN
        cloud.instance_type("ecs.g6.xlarge", available=False)
        ann.press("Approve and start")
        assert "is sold out right now" in ann.text
        cloud.instance_type("ecs.g6.xlarge", price=None, available=True)
        ann.at(f"{DESK}paid/new/{binding}")
        assert "cannot be started without a known price" in ann.text
        assert ann.at(f"{DESK}paid/new/{binding}/cn-hangzhou/ecs.g6.xlarge").status_code == 409
    finally:
        cloud.instance_type("ecs.g6.xlarge", price="1.3", available=True)
    assert cloud.mutations(since=since) == []


def test_two_tabs_and_two_clicks_create_one_instance(browse: Browse, cloud: Steer, account: str) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    forms = {ann.ask(binding): ann.form("Approve and start")[0].fields for _ in range(2)}
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
    assert "Approve and start" not in ann.text
    delete_instance(ann, order)


def test_only_the_user_who_was_asked_can_consent(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    """Not another user, an administrator, an API token of the user, or another session of the user."""
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
    assert again.press("Approve and start").status_code == 409
    assert "another session" in again.text
    assert cloud.mutations(since=since) == []
    admin.client.close()
    again.client.close()


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
    assert ann.press("Approve and start").status_code == 409
    assert "This price is out of date." in ann.text
    assert consent not in ann.form("Approve and start")[0].action
    assert cloud.mutations(since=since) == []


def test_a_consent_that_no_steward_processed_in_time_creates_nothing(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """A new steward cannot know whether its predecessor has acted on an older consent."""
    since, ann = cloud.last(), browse()
    ann.ask(ann.link(account))
    stack.kill("steward")
    order = ann.agree()
    ann.wait(order, "The notebook could not be created in time", "Choose again")
    assert cloud.mutations(since=since) == []
    ann.follow("Choose again")
    ann.press("Review terms")
    again = ann.agree()
    ann.wait(again, "Open JupyterLab")
    delete_instance(ann, again)
