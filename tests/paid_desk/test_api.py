"""The same by JSON: described, whole, and good for looking and stopping. Nothing by it can be asked or agreed to."""

from __future__ import annotations

import re
from collections.abc import Callable

from spawner.desk.paid.routes import API
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OrderState
from tests.cloud.steer import Steer
from tests.paid_desk.forms import SHAPE, Browser
from tests.paid_desk.test_desk import end, reads
from tests.stack import Stack, eventually

Browse = Callable[..., Browser]


def test_every_route_is_described_and_nothing_else(stack: Stack, browse: Browse) -> None:
    document = browse().api("GET", "openapi.json").json()
    described = {re.sub(r"\{\w+\}", "1", path) for path in document["paths"] if "/paid" in path}
    patterns = [re.compile(route.patterns()[0]) for route in API]
    matched = {one.pattern: [p for p in described if one.fullmatch(p.removeprefix("/"))] for one in patterns}
    assert all(matched.values()), matched
    assert described == {path for found in matched.values() for path in found}


def test_a_script_may_look_and_stop_and_can_neither_ask_nor_agree_nor_delete(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    ann = browse()
    binding = ann.link(account)
    token = stack.user_token(ann.user)
    quotes = ann.api("GET", f"paid/quotes?account={binding}&cpu=4").json()["quotes"]
    assert next(one["instance_type"] for one in quotes if one["fits"] and one["buyable"]) == "ecs.g6.xlarge"
    assert ann.api("GET", f"paid/quotes?account={binding}&cpu=x").status_code == 400
    wish = {"account": binding, "region": "cn-hangzhou", "instance_type": SHAPE, "cap": "2", "currency": "CNY"}
    assert ann.api("POST", "paid/consents", json=wish).status_code == 405
    since = cloud.last()
    asked = ann.ask(binding, cap="2")
    word = ann.form("Start and be billed")[0].fields["word"]
    assert word not in ann.api("GET", f"paid/consents/{asked}").text + ann.api("GET", "paid").text
    for path in (f"paid/consents/{asked}/accept", f"paid/instances/{asked}/delete"):
        assert ann.api("POST", path, json={"word": word}).status_code == 404
    assert stack.desk("GET", f"paid/consents/{asked}", token=token).status_code == 403, "the page is no token's"
    consent = ann.api("GET", f"paid/consents/{asked}").json()
    assert (consent["state"], consent["price"], consent["cap"]) == ("offered", "0.65", "2")
    assert cloud.mutations(since=since) == []
    ann.agree()

    def seen() -> dict[str, object]:
        instances = stack.desk("GET", "api/state", token=token).json()["paid"]["instances"]
        return next(one for one in instances if one["id"] == consent["id"])

    eventually(lambda: seen()["state"] == "running" and seen()["timer"], seconds=90, what="the running instance")
    assert (seen()["cap"], seen()["currency"], seen()["can_stop"]) == ("2.00", "CNY", True)
    assert stack.desk("POST", f"api/paid/instances/{consent['id']}/stop", token=token, json={}).status_code == 200
    eventually(lambda: reads(stack, orders.get, consent["id"]).state is OrderState.STOPPED, seconds=60)  # type: ignore[attr-defined]
    notices = ann.api("GET", "paid").json()["notices"]
    assert [one["text"].split(".")[0] for one in notices] == ["Your ecs"]
    after = ann.api("POST", f"paid/notices/{notices[0]['seq']}/seen", json={}).json()
    assert after["notices"] == [], "and with it what came before"
    end(ann, consent["id"])
