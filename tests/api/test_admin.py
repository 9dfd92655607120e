"""What operators may see and change, that nobody else may, and what is said about mistakes."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spawner.pool.build import utc_now
from tests.api.conftest import Caller
from tests.api.test_requests import error_of
from tests.stack import Stack, eventually

CHANGES = ("floor", "pause", "resume", "drain", "drain/end", "plan", "unplan")
TEMPLATE = {"flavor": "cpu-basic", "image": "light"}
PLAN = TEMPLATE | {"name": "course", "slots": 2, "begins": "2026-01-05T09:00+08:00", "ends": "2026-01-05T11:00+08:00"}


def board(operator: Caller, flavor: str = "cpu-basic") -> dict[str, Any]:
    """One flavor as the page has it."""
    found: dict[str, Any] = {one["id"]: one for one in operator.get("api/admin").json()["flavors"]}[flavor]
    return found


def test_others_are_refused_in_words(caller: Caller) -> None:
    answers = [caller.get("api/admin"), caller.get("api/admin/events")]
    answers += [caller.post(f"api/admin/{path}", json={}) for path in CHANGES]
    for answer in answers:
        error = error_of(answer, 403)
        assert (error["code"], error["message"]) == ("not_allowed", "This page is for administrators.")
    page = caller.get("admin")
    assert page.status_code == 403
    assert "This page is for administrators." in page.text
    assert "此页面仅供管理员使用。" in caller.get("admin", headers={"Accept-Language": "zh-CN"}).text


def test_nobody_is_served_without_a_token(shared_stack: Stack) -> None:
    for path in ("api/admin", "metrics"):
        answer = shared_stack.http.get(f"{shared_stack.url}/services/desk/{path}", timeout=30)
        assert error_of(answer, 403)["code"] == "signed_out"


def test_the_page_says_what_there_is(operator: Caller) -> None:
    operator.stack.wait_warm()
    state = operator.get("api/admin").json()
    assert (state["steward"], state["drain"], state["plans"], state["ignored"]) == (True, None, [], [])
    basic = board(operator)
    assert basic["slots"]["warm"] == 1
    (target,) = basic["targets"]
    assert (target["image"], target["target"], target["why"]) == ("light", 1, "The catalog keeps at least so many.")
    assert board(operator, "gpu-24g")["reason"] == "This machine's pool has no GPU."
    assert len(basic["day"]["hours"]) == 24


def test_a_floor_brings_slots_and_is_shown_with_who_set_it(operator: Caller) -> None:
    answer = operator.post("api/admin/floor", json=TEMPLATE | {"slots": 2})
    assert answer.status_code == 200
    operator.stack.wait_warm(2)
    (target,) = board(operator)["targets"]
    assert (target["floor"]["slots"], target["floor"]["by"]) == (2, operator.user)
    assert (target["target"], target["why"]) == (2, "An operator has set this floor.")
    operator.post("api/admin/floor", json=TEMPLATE | {"slots": None})
    eventually(lambda: board(operator)["slots"]["warm"] == 1, what="one slot fewer")


def test_a_paused_flavor_is_given_to_nobody(operator: Caller, caller: Caller) -> None:
    operator.post("api/admin/pause", json={"flavor": "cpu-large"})
    assert board(operator, "cpu-large")["paused"]["by"] == operator.user
    assert error_of(caller.post("api/instance", json={"flavor": "cpu-large"}), 503)["code"] == "paused"
    operator.post("api/admin/resume", json={"flavor": "cpu-large"})
    assert board(operator, "cpu-large")["paused"] is None


def test_maintenance_begins_and_ends(operator: Caller, caller: Caller) -> None:
    state = operator.post("api/admin/drain", json={"reason": "new disks"}).json()
    assert (state["drain"]["by"], state["drain"]["reason"]) == (operator.user, "new disks")
    error = error_of(caller.post("api/instance"), 503)
    assert (error["code"], error["details"]) == ("maintenance", "new disks")
    assert operator.post("api/admin/drain/end").json()["drain"] is None


def test_a_plan_is_added_and_removed(operator: Caller) -> None:
    (plan,) = operator.post("api/admin/plan", json=_soon()).json()["plans"]
    assert (plan["name"], plan["state"], plan["by"]) == ("course", "coming", operator.user)
    assert operator.post("api/admin/unplan", json={"name": "course"}).json()["plans"] == []


def _soon() -> dict[str, Any]:
    now = utc_now()
    times = {"begins": now + timedelta(hours=5), "ends": now + timedelta(hours=7)}
    return PLAN | {name: moment.isoformat() for name, moment in times.items()}


def test_the_urls_and_fields_of_version_0_1_are_still_served(operator: Caller) -> None:
    page = operator.get("operator?a=b", follow_redirects=False)
    assert (page.status_code, page.headers["Location"]) == (308, "/services/desk/admin?a=b")
    page = operator.post("operator/paid/pause", follow_redirects=False)
    assert (page.status_code, page.headers["Location"]) == (308, "/services/desk/admin/paid/pause")
    assert operator.post("api/operator/pause", json={"flavor": "cpu-large"}).status_code == 200
    state = operator.get("api/operator").json()
    assert state.keys() == operator.get("api/admin").json().keys()
    for flavor in state["flavors"]:
        assert flavor["slots"]["lent"] == flavor["slots"]["assigned"]
        assert flavor["users"] == flavor["user_namespaces"]


MISTAKES: list[tuple[str, Any, str, str]] = [
    ("floor", TEMPLATE, "slots is missing.", "Say it, too."),
    ("floor", TEMPLATE | {"slots": "3"}, "'3' is no number of slots.", "Give a whole number up to 1000."),
    ("floor", TEMPLATE | {"slots": 21}, "Of cpu-basic there can be 20 at most.", "Choose a smaller number, or raise"),
    ("floor", TEMPLATE | {"slots": 1, "flavor": "x"}, "There is no flavor called 'x'.", "Choose one of: cpu-basic, "),
    ("pause", {"flavor": 7}, "7 is no flavor.", "Send it in another form."),
    ("pause", {"flavour": "cpu-basic"}, "flavor is missing.", "Say it, too."),
    ("drain", {"at": "2026-11-23T09:00"}, "'2026-11-23T09:00' is no time.", "Write date, time and zone, such as"),
    ("drain", {"at": "2020-11-23T09:00+00:00"}, "2020-11-23 09:00+00:00 is more than a year away.", "Check the year."),
    ("drain", {"reason": "x" * 201}, "The reason cannot be taken.", "Write at most 200 characters."),
    ("drain", {"when": 1}, "'when' is not an option.", "The options are: at, reason."),
    ("plan", PLAN | {"name": "My Course"}, "'My Course' is no name for a plan.", "Use up to 40 small letters"),
    ("plan", PLAN | {"ends": "tomorrow"}, "'tomorrow' is no time.", "Write date, time and zone"),
    ("unplan", {"name": "x"}, "There is no plan called 'x'.", "Choose one of: (none)."),
    ("unplan", [], "The request cannot be read: ", "Send a JSON object."),
]


@pytest.mark.parametrize(("path", "body", "message", "following"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_said_with_what_to_do(
    operator: Caller, path: str, body: Any, message: str, following: str
) -> None:
    error = error_of(operator.post(f"api/admin/{path}", json=body), 400)
    assert error["code"] == "bad_option"
    assert error["message"].startswith(message)
    assert error["next"].startswith(following)


def test_what_is_not_json_is_refused(operator: Caller) -> None:
    assert error_of(operator.post("api/admin/pause", content=b"flavor=x"), 400)["next"] == "Send a JSON object."
    assert error_of(operator.post("api/admin/pause", content=b'{"flavor": "' + b"x" * 5000), 400)["message"] == (
        "The request is too large."
    )


def test_a_mistake_is_said_in_chinese_to_who_reads_it(operator: Caller) -> None:
    answer = operator.post("api/admin/unplan", json={"name": "x"}, headers={"Accept-Language": "zh-CN"})
    assert error_of(answer, 400)["message"] == "没有名为 'x' 的计划。"


def test_the_stream_tells_of_a_change(operator: Caller) -> None:
    url = f"{operator.stack.url}/services/desk/api/admin/events"
    with operator.stack.http.stream(
        "GET", url, headers={"Authorization": f"token {operator.token}"}, timeout=30
    ) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: {"))
        assert '"paused":{' not in next(lines)
        operator.post("api/admin/pause", json={"flavor": "cpu-large"})
        assert any('"paused":{"by"' in line for line in lines)


def metrics(answer: httpx.Response) -> set[str]:
    """Names of what was exported."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {family.name for family in text_string_to_metric_families(answer.text)}


def test_an_administrator_reads_metrics(operator: Caller) -> None:
    assert "freepool_slots" in metrics(operator.get("metrics"))


def test_a_person_does_not(caller: Caller) -> None:
    error = error_of(caller.get("metrics"), 403)
    assert error["message"] == "This token may not read metrics."
    assert error["next"] == "Give it a role with the scopes read:metrics and access:services!service=desk."


def test_a_service_with_the_scope_does(shared_stack: Stack) -> None:
    """The automation service is an administrator of JupyterHub, whose scopes are all there are."""
    assert "freepool_steward_lease_seconds" in metrics(shared_stack.desk("GET", "metrics", token=shared_stack.token))


def test_a_token_with_nothing_but_the_two_scopes_reads_metrics_and_nothing_else(shared_stack: Stack) -> None:
    user = f"scraper-{secrets.token_hex(3)}"
    assert shared_stack.api("POST", f"/users/{user}", json={"admin": True}).status_code == 201
    scopes = ["read:metrics", "access:services!service=desk"]
    made = shared_stack.api("POST", f"/users/{user}/tokens", json={"scopes": scopes})
    token = made.json()["token"]
    assert "freepool_slots" in metrics(shared_stack.desk("GET", "metrics", token=token))
    assert error_of(shared_stack.desk("GET", "api/admin", token=token), 403)["code"] == "not_allowed"


def test_a_token_without_access_to_the_desk_is_told_so(shared_stack: Stack, caller: Caller) -> None:
    made = shared_stack.api("POST", f"/users/{caller.user}/tokens", json={"scopes": ["read:users!user"]})
    for path in ("metrics", "api/state"):
        error = error_of(shared_stack.desk("GET", path, token=made.json()["token"]), 403)
        assert error["message"] == "This token may not use the desk."
