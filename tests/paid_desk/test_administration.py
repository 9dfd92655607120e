"""The administrator's pages of paid instances, and the effects of the settings on users' pages."""

from __future__ import annotations

import json

import httpx
import pytest

from spawner.desk.paid import alarms, texts
from spawner.ledger.paid import bindings, orders
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, Browser, delete_instance
from tests.stack import Stack, eventually


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
        admin.press("Turn off new paid notebooks")
        assert "Creating and starting is turned off for everyone" in admin.text
        ann.at(f"{DESK}paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}")
        assert ann.press("Review terms").status_code == 503
        assert "New paid notebooks cannot be created right now" in ann.text
        admin.at(f"{DESK}admin/paid/audit.jsonl")
        lines = [json.loads(line) for line in admin.page.text.splitlines()]
        assert {line["record"] for line in lines} == {"binding", "consent", "order", "event", "notice"}
        assert all(line["demo"] for line in lines)
        assert any(line.get("what") == "no_new" and line["by"] == admin.user for line in lines)
        keys = [(line["record"], line.get("seq") or line["id"]) for line in lines]
        assert len(keys) == len(set(keys))
        assert any(line["record"] == "consent" and line["id"] == consent for line in lines)
        secret = stack.ledger.read(bindings.get, binding).external_id
        assert secret not in admin.page.text
        admin.at(f"{DESK}metrics")
        assert 'freepool_paid_orders{state="active"} 1.0' in admin.page.text
        assert "freepool_paid_paused 1.0" in admin.page.text
    finally:
        stack.ledger.write(admin_settings.clear, NO_NEW)
    delete_instance(ann, order)
    admin.client.close()


def test_an_instance_in_a_removed_region_shows_where_to_stop_it(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """The page has no buttons until the region is in the settings again."""
    ann, admin = browse(), Browser(stack, httpx.URL(stack.link).params["user"])
    binding = ann.link(account)
    ann.ask(binding)
    order = ann.agree()
    ann.wait(order, "Open JupyterLab")
    path = stack.state / "settings.json"
    before = path.read_text()
    less = json.loads(before)
    del less["paid"]["dsw"]["regions"]["cn-hangzhou"]
    open_path = f"{DESK}paid/open/{stack.ledger.read(orders.get, order).server_name}"
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
    delete_instance(ann, order)
    admin.client.close()


def restart(stack: Stack) -> None:
    """Restart desk and steward, as after a change of the settings."""
    for name in ("desk", "steward"):
        stack.kill(name)
    eventually(lambda: stack.http.get(f"{stack.url}{DESK}health").status_code == 200, seconds=60, what="the desk")
