"""The administrator's API: permissions, commands, errors, and the metrics."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spawner.pool.build import utc_now
from tests.alerts.programs import promtool
from tests.api.conftest import Caller
from tests.api.test_requests import error_of
from tests.stack import Stack, eventually

CHANGES = ("floor", "pause", "resume", "drain", "drain/end", "plan", "unplan")
TEMPLATE = {"flavor": "cpu-basic", "image": "light"}
PLAN = TEMPLATE | {"name": "course", "slots": 2, "begins": "2026-01-05T09:00+08:00", "ends": "2026-01-05T11:00+08:00"}


def board(admin: Caller, flavor: str = "cpu-basic") -> dict[str, Any]:
    """One flavor as the page shows it."""
    flavors: dict[str, Any] = {one["id"]: one for one in admin.get("api/admin").json()["flavors"]}
    return dict(flavors[flavor])


def test_users_who_are_no_administrators_are_refused(caller: Caller) -> None:
    answers = [caller.get("api/admin"), caller.get("api/admin/events")]
    answers += [caller.post(f"api/admin/{path}", json={}) for path in CHANGES]
    for answer in answers:
        error = error_of(answer, 403)
        assert (error["code"], error["message"]) == ("not_allowed", "This page is for administrators.")
    page = caller.get("admin")
    assert page.status_code == 403
    assert "This page is for administrators." in page.text
    assert "此页面仅供管理员使用。" in caller.get("admin", headers={"Accept-Language": "zh-CN"}).text


def test_a_request_without_a_token_is_refused(shared_stack: Stack) -> None:
    for path in ("api/admin", "metrics"):
        answer = shared_stack.http.get(f"{shared_stack.url}/services/desk/{path}", timeout=30)
        assert error_of(answer, 403)["code"] == "signed_out"


def test_the_state_shows_slots_targets_and_the_last_day(admin: Caller) -> None:
    admin.stack.wait_warm()
    state = admin.get("api/admin").json()
    assert (state["steward"], state["drain"], state["plans"], state["ignored"]) == (True, None, [], [])
    basic = board(admin)
    assert basic["slots"]["warm"] == 1
    (target,) = basic["targets"]
    assert (target["image"], target["target"], target["why"]) == ("light", 1, "Minimum set in the catalog.")
    assert board(admin, "gpu-24g")["reason"] == "This server has no GPU."
    assert len(basic["day"]["hours"]) == 24


def test_a_floor_creates_slots_and_is_shown_with_the_administrator_who_set_it(admin: Caller) -> None:
    answer = admin.post("api/admin/floor", json=TEMPLATE | {"slots": 2})
    assert answer.status_code == 200
    admin.stack.wait_warm(2)
    (target,) = board(admin)["targets"]
    assert (target["floor"]["slots"], target["floor"]["by"]) == (2, admin.user)
    assert (target["target"], target["why"]) == (2, "Minimum set by an administrator.")
    admin.post("api/admin/floor", json=TEMPLATE | {"slots": None})
    eventually(lambda: board(admin)["slots"]["warm"] == 1, what="one slot fewer")


def test_a_paused_flavor_is_refused(admin: Caller, caller: Caller) -> None:
    admin.post("api/admin/pause", json={"flavor": "cpu-large"})
    assert board(admin, "cpu-large")["paused"]["by"] == admin.user
    assert error_of(caller.post("api/instance", json={"flavor": "cpu-large"}), 503)["code"] == "paused"
    admin.post("api/admin/resume", json={"flavor": "cpu-large"})
    assert board(admin, "cpu-large")["paused"] is None


def test_maintenance_begins_and_ends(admin: Caller, caller: Caller) -> None:
    state = admin.post("api/admin/drain", json={"reason": "new disks"}).json()
    assert (state["drain"]["by"], state["drain"]["reason"]) == (admin.user, "new disks")
    error = error_of(caller.post("api/instance"), 503)
    assert (error["code"], error["details"]) == ("maintenance", "new disks")
    said = {(flavor["text"], flavor["is_free"]) for flavor in caller.get("api/free").json()["flavors"]}
    assert said == {("The platform is under maintenance.", False)}, "the landing page tells why nothing is free"
    assert admin.post("api/admin/drain/end").json()["drain"] is None


def test_a_plan_is_added_and_removed(admin: Caller) -> None:
    (plan,) = admin.post("api/admin/plan", json=_soon()).json()["plans"]
    assert (plan["name"], plan["state"], plan["by"]) == ("course", "coming", admin.user)
    assert admin.post("api/admin/unplan", json={"name": "course"}).json()["plans"] == []


def _soon() -> dict[str, Any]:
    now = utc_now()
    times = {"begins": now + timedelta(hours=5), "ends": now + timedelta(hours=7)}
    return PLAN | {name: time.isoformat() for name, time in times.items()}


def test_the_urls_and_fields_of_version_0_1_are_still_served(admin: Caller) -> None:
    page = admin.get("operator?a=b", follow_redirects=False)
    assert (page.status_code, page.headers["Location"]) == (308, "/services/desk/admin?a=b")
    page = admin.post("operator/paid/pause", follow_redirects=False)
    assert (page.status_code, page.headers["Location"]) == (308, "/services/desk/admin/paid/pause")
    assert admin.post("api/operator/pause", json={"flavor": "cpu-large"}).status_code == 200
    state = admin.get("api/operator").json()
    assert state.keys() == admin.get("api/admin").json().keys()
    for flavor in state["flavors"]:
        assert flavor["slots"]["lent"] == flavor["slots"]["assigned"]
        assert flavor["users"] == flavor["user_namespaces"]


MISTAKES: list[tuple[str, Any, str, str]] = [
    ("floor", TEMPLATE, "slots is missing.", "Add it and send again."),
    ("floor", TEMPLATE | {"slots": "3"}, "'3' is not a valid number of notebooks.", "Enter a whole number up to 1000."),
    ("floor", TEMPLATE | {"slots": 21}, "The limit for cpu-basic is 20.", "Choose a smaller number, or raise"),
    ("floor", TEMPLATE | {"slots": 1, "flavor": "x"}, "Unknown flavor: 'x'.", "Available: cpu-basic, "),
    ("pause", {"flavor": 7}, "7 is not a valid flavor.", "Check the format and send it again."),
    ("pause", {"flavour": "cpu-basic"}, "flavor is missing.", "Add it and send again."),
    (
        "drain",
        {"at": "2026-11-23T09:00"},
        "'2026-11-23T09:00' is not a valid time.",
        "Use date, time, and time zone, for example",
    ),
    ("drain", {"at": "2020-11-23T09:00+00:00"}, "2020-11-23 09:00+00:00 is more than a year away.", "Check the year."),
    ("drain", {"reason": "x" * 201}, "The reason is not valid.", "Use at most 200 characters."),
    ("drain", {"when": 1}, "Unknown option: 'when'.", "Available options: at, reason."),
    ("plan", PLAN | {"name": "My Course"}, "'My Course' is not a valid plan name.", "Use up to 40 lowercase letters"),
    ("plan", PLAN | {"ends": "tomorrow"}, "'tomorrow' is not a valid time.", "Use date, time, and time zone"),
    ("unplan", {"name": "x"}, "Unknown plan: 'x'.", "Available: (none)."),
    ("unplan", [], "Invalid request: ", "Send a JSON object."),
]


@pytest.mark.parametrize(("path", "body", "message", "following"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_refused_with_its_next_step(
    admin: Caller, path: str, body: Any, message: str, following: str
) -> None:
    error = error_of(admin.post(f"api/admin/{path}", json=body), 400)
    assert error["code"] == "bad_option"
    assert error["message"].startswith(message)
    assert error["next"].startswith(following)


def test_a_body_that_is_not_json_is_refused(admin: Caller) -> None:
    assert error_of(admin.post("api/admin/pause", content=b"flavor=x"), 400)["next"] == "Send a JSON object."
    assert error_of(admin.post("api/admin/pause", content=b'{"flavor": "' + b"x" * 5000), 400)["message"] == (
        "The request is too large."
    )


def test_a_mistake_is_refused_in_the_language_of_the_request(admin: Caller) -> None:
    answer = admin.post("api/admin/unplan", json={"name": "x"}, headers={"Accept-Language": "zh-CN"})
    assert error_of(answer, 400)["message"] == "未知的计划：'x'。"


def test_the_stream_sends_a_change(admin: Caller) -> None:
    url = f"{admin.stack.url}/services/desk/api/admin/events"
    with admin.stack.http.stream("GET", url, headers={"Authorization": f"token {admin.token}"}, timeout=30) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: {"))
        assert '"paused":{' not in next(lines)
        admin.post("api/admin/pause", json={"flavor": "cpu-large"})
        assert any('"paused":{"by"' in line for line in lines)


def metrics(answer: httpx.Response) -> set[str]:
    """Names of the exported metrics."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {family.name for family in text_string_to_metric_families(answer.text)}


def test_an_administrator_reads_metrics(admin: Caller) -> None:
    assert "freepool_slots" in metrics(admin.get("metrics"))


def test_a_user_does_not_read_metrics(caller: Caller) -> None:
    error = error_of(caller.get("metrics"), 403)
    assert error["message"] == "This token cannot read metrics."
    assert error["next"] == "Give it a role with the scopes read:metrics and access:services!service=desk."


def test_a_service_with_the_scope_reads_metrics(shared_stack: Stack) -> None:
    """The automation service is an administrator, so it has every scope."""
    assert "freepool_steward_lease_seconds" in metrics(shared_stack.desk("GET", "metrics", token=shared_stack.token))


def test_an_administrators_token_for_metrics_reads_nothing_else(shared_stack: Stack) -> None:
    user = f"scraper-{secrets.token_hex(3)}"
    assert shared_stack.api("POST", f"/users/{user}", json={"admin": True}).status_code == 201
    scopes = ["read:metrics", "access:services!service=desk"]
    made = shared_stack.api("POST", f"/users/{user}/tokens", json={"scopes": scopes})
    token = made.json()["token"]
    assert "freepool_slots" in metrics(shared_stack.desk("GET", "metrics", token=token))
    assert error_of(shared_stack.desk("GET", "api/admin", token=token), 403)["code"] == "not_allowed"


def test_the_platforms_own_token_reads_metrics_and_nothing_else(shared_stack: Stack) -> None:
    token = shared_stack.settings.secret("metrics")
    answer = shared_stack.desk("GET", "metrics", token=token)
    assert {"freepool_slots", "freepool_state_free_bytes"} <= metrics(answer)
    promtool("check", "metrics", given=answer.text)
    for part in ("hub", "proxy", "database"):
        assert f'freepool_part_up{{part="{part}"}} 1.0' in answer.text
    assert error_of(shared_stack.desk("GET", "api/admin", token=token), 403)["code"] == "signed_out"
    assert shared_stack.api("GET", "/users", token=token).status_code == 403
    assert shared_stack.desk("GET", "metrics", token=token[:-1]).status_code == 403


def test_a_token_without_access_to_the_desk_is_refused_with_the_missing_scope(
    shared_stack: Stack, caller: Caller
) -> None:
    made = shared_stack.api("POST", f"/users/{caller.user}/tokens", json={"scopes": ["read:users!user"]})
    for path in ("metrics", "api/state"):
        error = error_of(shared_stack.desk("GET", path, token=made.json()["token"]), 403)
        assert error["message"] == "This token has no access to this service."
