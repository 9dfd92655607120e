"""The pages of paid instances without scripts: the user's way from the link to the receipt."""

from __future__ import annotations

import pytest

from spawner.ledger.paid import bindings
from spawner.ledger.paid.rows import BindingState
from spawner.paid.names import name_of
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, end, reads
from tests.stack import Stack


def test_from_the_link_to_the_receipt_without_a_script(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    since, ann = cloud.last(), browse()
    binding = ann.link(account)
    ann.at(f"{DESK}paid/new/{binding}")
    order_of = [
        ann.page.text.index(instance_type)
        for instance_type in (INSTANCE_TYPE, "ecs.g6.xlarge", "ecs.g6.4xlarge", "ecs.gn6v-c8g1.2xlarge")
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
    assert [entry["id"] for entry in record["orders"]] == [order]
    assert "stopped" in {event["what"] for event in record["order_events"]}
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


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_of_the_demo_says_so(browse: Browse, account: str, language: str) -> None:
    ann = browse(language=language)
    said = {"en": "no money is real", "zh-CN": "不涉及真实费用"}[language]
    for path in ("", "paid", "paid/consents", "paid/nothing"):
        ann.at(DESK + path)
        assert said in ann.text, path
