"""Hours through a real hub, desk and steward: set aside, charged, refused as JSON in both languages."""

from __future__ import annotations

import json
from datetime import timedelta

from spawner.catalog import load_catalog
from spawner.ledger import Instance
from spawner.ledger.time import charges, grants
from spawner.ledger.time import holds as rows
from spawner.ledger.time.rows import Grant, GrantSource
from spawner.pool.build import new_id, utc_now
from spawner.refusals import REFUSAL_HEADER
from tests.stack import PROJECT, Stack, eventually

HOUR = 3600


def give_week(stack: Stack, person_id: str, seconds: int) -> Grant:
    """Write a week of so many seconds, as a first start would have written it before the catalog was changed."""
    week = load_catalog(PROJECT / "hub_config" / "catalog.yaml").allowances.week(utc_now())
    grant = Grant(
        id=new_id(), person_id=person_id, class_id="cpu", seconds=seconds, valid_from=week.start,
        valid_until=week.end, source=GrantSource.POLICY, reference=None, reason="", made_by="test", made_at=utc_now(),
    )  # fmt: skip
    stack.ledger.write(grants.write, grant)
    return grant


def test_a_run_sets_its_session_aside_and_is_charged_when_it_ends(shared_stack: Stack) -> None:
    stack, name = shared_stack, "hours-ann"
    stack.add_user(name)
    stack.run(name, flavor="cpu-large")
    person, instance = stack.person_of(name), next(one for one in stack.unended() if one.user_name == name)
    hold = stack.ledger.read(rows.get, instance.id)
    assert hold is not None
    assert (hold.seconds, hold.released_at) == (2 * HOUR, None)
    assert stack.api("PATCH", f"/users/{name}", json={"name": "hours-anna"}).status_code == 200  # renamed while it runs
    assert stack.stop("hours-anna").status_code in (202, 204)
    charge = stack.ledger.read(charges.get, instance.id)
    assert charge is not None
    assert (charge.person_id, charge.began_at) == (person, instance.usable_at)
    assert 0 <= charge.seconds < 120
    [week] = stack.ledger.read(grants.since, person, utc_now())
    assert (week.seconds, week.source) == (100 * HOUR, GrantSource.POLICY)


def test_without_hours_every_way_to_start_is_refused_with_the_same_facts(shared_stack: Stack) -> None:
    stack, name = shared_stack, "hours-bob"
    stack.add_user(name)
    token = stack.user_token(name)
    assert stack.desk("GET", "api/state", token=token).status_code == 200  # the desk writes the person
    grant = give_week(stack, stack.person_of(name), 299)
    facts = {
        "class": "cpu", "left_seconds": 299, "held_seconds": 0, "resets_at": grant.valid_until.isoformat(),
        "free_flavors": ["cpu-basic"],
    }  # fmt: skip
    resets = f"{grant.valid_until + timedelta(hours=8):%Y-%m-%d %H:%M} (Asia/Shanghai)"
    large = {"flavor": "cpu-large"}
    for path in ("api/instance", "api/ticket"):
        answer = stack.desk("POST", path, token=token, json=large)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["facts"]) == (403, "no_hours", facts)
        assert error["message"] == "Your hours for CPU large are used up for this week."
        assert error["next"] == f"You get new hours on {resets}. Without a limit: CPU."
    chinese = stack.desk("POST", "api/instance", token=token, json=large, headers={"Accept-Language": "zh-CN"}).json()
    assert chinese["error"]["message"] == "你本周的 CPU 大内存型 时长已用完。"
    assert chinese["error"]["next"] == f"时长将于 {resets} 重置。不限时长的机器规格：CPU 基础型。"
    answer = stack.api("POST", f"/users/{name}/server", token=token, json=large)
    refusal = json.loads(answer.headers[REFUSAL_HEADER])
    assert (answer.status_code, refusal["code"], refusal["facts"]) == (403, "no_hours", facts)
    assert answer.json()["message"].startswith("Your hours for cpu-large are used up for this week.")
    assert not [one for one in stack.unended() if one.user_name == name]
    stack.run(name)  # the default flavor is unlimited
    assert stack.stop(name).status_code in (202, 204)


def test_with_little_left_a_notebook_ends_when_that_is_used(shared_stack: Stack) -> None:
    stack, name = shared_stack, "hours-cid"
    stack.add_user(name)
    assert stack.desk("GET", "api/state", token=stack.user_token(name)).status_code == 200
    give_week(stack, stack.person_of(name), 600)
    stack.run(name, flavor="cpu-large")
    instance = next(one for one in stack.unended() if one.user_name == name)
    assert instance.usable_at is not None
    assert instance.ends_at == instance.usable_at + timedelta(minutes=10)
    again = stack.desk("POST", "api/instance/restart", token=stack.user_token(name), json={})
    assert again.status_code == 202, again.text

    def restarted() -> Instance | None:
        running = (one for one in stack.unended() if one.user_name == name and one.state == "running")
        return next((one for one in running if one.id != instance.id), None)

    eventually(restarted, seconds=60, what="the restart")
    second = restarted()
    assert second is not None
    assert second.usable_at is not None
    assert second.ends_at is not None
    charge = stack.ledger.read(charges.get, instance.id)
    assert charge is not None
    assert second.ends_at - second.usable_at == timedelta(seconds=600 - charge.seconds)
    assert stack.stop(name).status_code in (202, 204)
