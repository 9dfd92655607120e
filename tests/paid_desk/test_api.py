"""The JSON API of paid instances: scripts can read and stop, but not ask for consent, consent or delete."""

from __future__ import annotations

import re

from spawner.desk.paid.routes import API
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OrderState
from tests.cloud.steer import Steer
from tests.paid_desk.forms import INSTANCE_TYPE, Browse, delete_instance
from tests.stack import Stack, eventually


def test_the_document_has_every_route_of_the_api(stack: Stack, browse: Browse) -> None:
    document = browse().api("GET", "openapi.json").json()
    described = {re.sub(r"\{\w+\}", "1", path) for path in document["paths"] if "/paid" in path}
    patterns = [re.compile(route.patterns()[0]) for route in API]
    matched = {
        pattern.pattern: [p for p in described if pattern.fullmatch(p.removeprefix("/"))] for pattern in patterns
    }
    assert all(matched.values()), matched
    assert described == {path for found in matched.values() for path in found}


def test_a_script_can_read_and_stop_but_not_ask_consent_or_delete(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    ann = browse()
    binding = ann.link(account)
    token = stack.user_token(ann.user)
    quotes = ann.api("GET", f"paid/quotes?account={binding}&cpu=4").json()["quotes"]
    assert next(quote["instance_type"] for quote in quotes if quote["fits"] and quote["buyable"]) == "ecs.g6.xlarge"
    assert ann.api("GET", f"paid/quotes?account={binding}&cpu=x").status_code == 400
    terms = {"account": binding, "region": "cn-hangzhou", "instance_type": INSTANCE_TYPE, "cap": "2", "currency": "CNY"}
    assert ann.api("POST", "paid/consents", json=terms).status_code == 405
    since = cloud.last()
    asked = ann.ask(binding, cap="2")
    word = ann.form("Approve and start")[0].fields["word"]
    assert word not in ann.api("GET", f"paid/consents/{asked}").text + ann.api("GET", "paid").text
    for path in (f"paid/consents/{asked}/accept", f"paid/instances/{asked}/delete"):
        assert ann.api("POST", path, json={"word": word}).status_code == 404
    assert stack.desk("GET", f"paid/consents/{asked}", token=token).status_code == 403, "a page is not sent to a token"
    consent = ann.api("GET", f"paid/consents/{asked}").json()
    assert (consent["state"], consent["price"], consent["cap"]) == ("offered", "0.65", "2")
    assert cloud.mutations(since=since) == []
    ann.agree()

    def shown() -> dict[str, object]:
        instances = stack.desk("GET", "api/state", token=token).json()["paid"]["instances"]
        return next(instance for instance in instances if instance["id"] == consent["id"])

    eventually(lambda: shown()["state"] == "running" and shown()["timer"], seconds=90, what="the running instance")
    assert (shown()["cap"], shown()["currency"], shown()["can_stop"]) == ("2.00", "CNY", True)
    assert stack.desk("POST", f"api/paid/instances/{consent['id']}/stop", token=token, json={}).status_code == 200
    eventually(lambda: stack.ledger.read(orders.get, consent["id"]).state is OrderState.STOPPED, seconds=60)
    notices = ann.api("GET", "paid").json()["notices"]
    assert [notice["text"].split(".")[0] for notice in notices] == ["Your ecs"]
    after = ann.api("POST", f"paid/notices/{notices[0]['seq']}/seen", json={}).json()
    assert after["notices"] == [], "the older notices of the instance are dismissed, too"
    delete_instance(ann, consent["id"])
