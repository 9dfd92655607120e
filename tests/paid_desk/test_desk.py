"""A paid instance on the desk's pages, without scripts: from linking the account to the receipt."""

from __future__ import annotations

import pytest

from spawner.ledger.paid import bindings
from spawner.ledger.paid.rows import BindingState
from spawner.paid.names import name_of
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, delete_instance
from tests.stack import Stack


def test_from_the_link_to_the_receipt_without_a_script(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    ann.at(f"{DESK}paid/new/{binding}")
    positions = [
        ann.page.text.index(instance_type)
        for instance_type in (INSTANCE_TYPE, "ecs.g6.xlarge", "ecs.g6.4xlarge", "ecs.gn6v-c8g1.2xlarge")
    ]
    assert positions == sorted(positions), "the cheapest is first"
    consent = ann.ask(binding, cap="1.5")
    assert f"account (ending in {account[-4:]}" in ann.text
    assert "Limits: CNY 1.50 and" in ann.text
    assert cloud.mutations(since=since) == [], "linking, reading and an offer create nothing"
    order = ann.agree()
    assert order == consent
    assert "Spending limit CNY 1.5" in ann.text
    assert "Cost of this session" not in ann.text, "nothing runs yet"
    ann.wait(order, "Open JupyterLab", "Charges have started.")
    assert [call.params["InstanceName"] for call in cloud.calls(action="CreateInstance", since=since)] == [
        name_of(consent)
    ]
    ann.follow("Open JupyterLab")
    assert str(ann.page.url).startswith(cloud.endpoints.gates)

    ann.at(f"{DESK}paid/instances/{order}")
    ann.follow("Stop…")
    assert "Starting it again requires a new approval" in ann.text
    ann.press("Stop notebook")
    assert "Charges have started." not in ann.text, "it is being stopped"
    ann.wait(order, "Receipt", "Stopped", "Stopped by you.", "as reported by the cloud", "limit CNY 1.50")
    ann.at(f"{DESK}paid/consents/{consent}.json")
    receipt = ann.page.json()
    assert (receipt["state"], receipt["cap"], receipt["account_id"]) == ("spent", "1.5", account)

    ann.at(f"{DESK}paid/instances/{order}")
    ann.follow("Start again…")
    ann.press("Review terms")
    assert "start your stopped notebook again" in ann.text
    assert ann.agree() == order
    ann.wait(order, "Open JupyterLab", "Sessions", "Stopped by you.", "limit CNY 1.50")
    ann.at(f"{DESK}paid/record.json")
    record = ann.page.json()
    assert {record["demo"], receipt["demo"]} == {True}
    assert [entry["id"] for entry in record["orders"]] == [order]
    assert "stopped" in {event["what"] for event in record["order_events"]}
    ann.at(f"{DESK}paid/accounts/{binding}/unlink")
    assert "Running notebooks, stopped first" in ann.text
    ann.press("Stop running notebooks")
    ann.wait(order, "Stopped")
    assert stack.ledger.read(bindings.get, binding).state is BindingState.ACTIVE
    delete_instance(ann, order)
    ann.at(f"{DESK}paid/accounts/{binding}/unlink")
    ann.press("Unlink")
    assert "Account unlinked" in ann.text
    assert stack.ledger.read(bindings.get, binding).state is BindingState.UNLINKED
    assert cloud.instances(account) == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_of_the_demo_says_that_no_money_is_real(browse: Browse, account: str, language: str) -> None:
    ann = browse(language=language)
    notice = {"en": "No real money is charged", "zh-CN": "不会产生真实费用"}[language]
    for path in ("", "paid", "paid/consents", "paid/nothing"):
        ann.at(DESK + path)
        assert notice in ann.text, path
