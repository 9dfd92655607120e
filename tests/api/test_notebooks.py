"""What administrators do in a day: see who runs what, stop and write to it, announce, and see what was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from spawner.ledger import EndReason
from spawner.ledger.people import terms
from spawner.ledger.people.tables import terms_acceptances, terms_texts
from spawner.ledger.pool import instances
from spawner.ledger.pool.end_texts import english
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind
from spawner.pool.build import new_id, utc_now
from tests.api.conftest import Caller
from tests.api.test_requests import error_of
from tests.stack import eventually

CHINESE = {"Accept-Language": "zh-CN"}


@pytest.fixture
def running(caller: Caller) -> dict[str, Any]:
    """The caller's notebook."""
    assert caller.post("api/instance", json={}).status_code in (200, 201, 202)
    return caller.wait_running()


def test_a_notebook_is_found_told_something_and_stopped(admin: Caller, caller: Caller, running: dict[str, Any]) -> None:
    def found(text: str) -> list[dict[str, Any]]:
        return list(admin.get("api/admin/notebooks", params={"q": text}).json()["notebooks"])

    (one,) = found(caller.user[4:].upper())
    assert (one["name"], one["state"], one["flavor"]) == (caller.user, "running", "cpu-basic")
    assert [row["id"] for row in found(one["id"][:12])] == [one["id"]]
    assert found("nobody-has-this-name") == []

    page = admin.get("admin/notebooks", params={"q": caller.user}).text
    assert f'href="/services/desk/admin/people/{one["person"]}"' in page
    assert f'href="/services/desk/admin/notebooks/{one["id"]}/stop"' in page
    assert "<rect" in page, "it ran, so the picture has a bar"
    assert "正在运行" in admin.get("admin/notebooks", headers=CHINESE).text

    # A message is shown where its reader works.
    words = "Please save {your} work <b>now</b>"
    told = admin.post("admin/notebooks/message", data={"instance": one["id"], "text": words}, follow_redirects=False)
    assert told.headers["Location"].endswith("/admin/notebooks?told=1")
    (shown,) = [n for n in caller.get("api/session").json()["notices"] if n["kind"] == "message"]
    assert (shown["title"], shown["text"]) == ("Message from an administrator", words)
    (row,) = caller.stack.ledger.read(notices.of_instance, one["id"])
    assert (row.kind, row.params) == (NoticeKind.MESSAGE, {"text": words, "by": admin.user})
    assert error_of(admin.post("api/admin/notebooks/message", json={"text": " "}), 400)["code"] == "bad_option"

    # A stop says first what it does; the user reads who did it.
    assert "All files in it are deleted" in admin.get(f"admin/notebooks/{one['id']}/stop").text
    assert admin.post("api/admin/notebooks/stop", json={"instance": one["id"]}).status_code == 200
    ended = eventually(
        lambda: (last := caller.get("api/state").json()["last"]) and last["text"], seconds=60, what="the end"
    )
    assert ended == english(EndReason.ADMINISTRATOR)
    last = caller.stack.ledger.read(instances.get, one["id"])
    assert (last.reason, last.detail) == (EndReason.ADMINISTRATOR, f"by {admin.user}")
    again = error_of(admin.post("api/admin/notebooks/stop", json={"instance": one["id"]}), 409)
    assert again["message"] == "This notebook is no longer running."


def test_users_see_and_stop_no_notebook_of_others(caller: Caller) -> None:
    for path in ("admin/notebooks", "admin/announcement", "admin/terms", "admin/notebooks/i1/stop"):
        assert caller.get(path).status_code == 403
    for path in ("notebooks/stop", "notebooks/message", "announce", "announce/end"):
        assert error_of(caller.post(f"api/admin/{path}", json={}), 403)["code"] == "not_allowed"


def test_an_announcement_is_on_every_page_in_its_time_and_language(admin: Caller, caller: Caller) -> None:
    def public(path: str, **headers: str) -> str:
        return httpx.get(f"{admin.stack.url}{path}", headers=headers, follow_redirects=True).text

    now = utc_now()
    later, ends = (now + timedelta(hours=hours) for hours in (1, 2))
    words = {"en": "Closed on <Friday>", "zh": "周五<关闭>"}
    change = words | {"ends": ends.isoformat()}
    assert admin.post("api/admin/announce", json=change | {"begins": later.isoformat()}).status_code == 200
    assert "Closed on" not in public("/services/desk/")
    assert admin.get("api/announcement").json() == {"announcement": None}
    assert "Shown from" in admin.get("admin/announcement").text

    assert admin.post("api/admin/announce", json=change).status_code == 200
    for path in ("/services/desk/", "/services/desk/terms", "/hub/login"):
        assert "Closed on &lt;Friday&gt;" in public(path), path
        assert "周五&lt;关闭&gt;" in public(path, **CHINESE), path
    assert "Closed on &lt;Friday&gt;" in caller.get("").text
    assert caller.get("api/announcement", headers=CHINESE).json()["announcement"]["text"] == words["zh"]

    # The form is in the reader's zone, and takes the announcement back.
    form = {"en": "Open again", "zh": "", "begins": "", "ends": f"{later:%Y-%m-%dT%H:%M}"}
    assert admin.post("admin/announcement", data=form, follow_redirects=False).status_code == 303
    assert "Open again" in public("/services/desk/", **CHINESE), "one language is enough"
    refused = admin.post("admin/announcement", data=form | {"ends": "yesterday"})
    assert refused.status_code == 400
    assert "Open again" in refused.text
    assert admin.post("admin/announcement", data={"end": "1"}, follow_redirects=False).status_code == 303
    assert "Open again" not in public("/services/desk/")
    past = error_of(admin.post("api/admin/announce", json=words | {"ends": now.isoformat()}), 400)
    assert "before anybody sees it" in past["message"]
    empty = error_of(admin.post("api/admin/announce", json={"ends": ends.isoformat()}), 400)
    assert empty["message"] == "The announcement has no text."


@pytest.fixture
def accepted(caller: Caller) -> Iterator[str]:
    """The caller has accepted a version with this name."""
    ledger, version = caller.stack.ledger, f"v-{new_id()[:8]}"
    caller.get("api/state")
    person = caller.stack.person_of(caller.user)
    texts = {"terms": {"en": "Be <kind>.", "zh": ""}}
    ledger.write(terms.accept, person, version, texts, language="en", now=utc_now(), new_id=new_id())
    yield version
    for table in (terms_acceptances, terms_texts):
        ledger.write(lambda connection, table=table: connection.execute(table.delete()))


def test_administrators_see_who_accepted_what_and_what_it_said(admin: Caller, caller: Caller, accepted: str) -> None:
    page = admin.get("admin/terms", params={"version": accepted}).text
    assert caller.user in page
    assert "Be &lt;kind&gt;." in page
    assert accepted in admin.get(f"admin/people/{caller.stack.person_of(caller.user)}").text
    assert "目前不要求用户接受" in admin.get("admin/terms", headers=CHINESE).text
