"""The history by API, as files and as a page: one's own rows, page by page."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, insert

from spawner.ledger import EndReason, InstanceState
from spawner.ledger.pool.tables import instances
from spawner.ledger.time.rows import EndSource, GrantSource
from spawner.ledger.time.tables import allowance_charges, allowance_grants
from spawner.pool.build import new_id, utc_now
from tests.api.conftest import Caller
from tests.api.test_requests import error_of
from tests.stack import Stack

RUNS = 120
HOUR = timedelta(hours=1)
START = timedelta(minutes=2)
HOSTILE = '=HYPERLINK("http://x.test")<script>'


def past_runs(stack: Stack, person_id: str, count: int, *, user: str = "ann") -> list[str]:
    """Write runs that have ended and were charged, the newest first. Each third was given back."""
    ids, began = [new_id() for _ in range(count)], utc_now() - timedelta(minutes=5)

    def write(connection: Connection) -> None:
        for number, instance_id in enumerate(ids):
            at = began - number * HOUR
            is_lost = number % 3 == 0
            connection.execute(
                insert(instances).values(
                    id=instance_id, person_id=person_id, user_name=user, server_name="", flavor="gpu-24g",
                    image="torch", state=InstanceState.ENDED, hub_epoch="1", requested_at=at - START, usable_at=at,
                    ends_at=at + HOUR, stopping_at=at + HOUR / 2, ended_at=at + HOUR,
                    reason=EndReason.LOST if is_lost else EndReason.STOPPED,
                )
            )  # fmt: skip
            connection.execute(
                insert(allowance_charges).values(
                    instance_id=instance_id, person_id=person_id, class_id="gpu", weight=1.0, began_at=at,
                    until=at + HOUR / 2, end_source=EndSource.STOP, seconds=1800, refunded=1800 if is_lost else 0,
                    refund_reason="lost" if is_lost else None, charged_at=at + HOUR,
                )
            )  # fmt: skip
        connection.execute(
            insert(allowance_grants).values(
                id=new_id(), person_id=person_id, class_id="gpu", seconds=7200, valid_from=began,
                valid_until=began + HOUR, source=GrantSource.ADMIN, reference=None, reason=HOSTILE, made_by="root",
                made_at=began,
            )
        )  # fmt: skip

    stack.ledger.write(write)
    return ids


def remove_runs(stack: Stack, person_id: str) -> None:
    """Delete them again: the stack is shared."""

    def remove(connection: Connection) -> None:
        for table in (instances, allowance_charges, allowance_grants):
            connection.execute(delete(table).where(table.c.person_id == person_id))

    stack.ledger.write(remove)


def person_of(caller: Caller) -> str:
    """The caller's id. The ledger has it after their first request."""
    assert caller.get("api/history").status_code == 200
    return caller.stack.person_of(caller.user)


@pytest.fixture
def runs(caller: Caller) -> Iterator[list[str]]:
    """Ids of many past runs of the caller, the newest first."""
    person_id = person_of(caller)
    yield past_runs(caller.stack, person_id, RUNS, user=HOSTILE)
    remove_runs(caller.stack, person_id)


def test_pages_have_every_run_once_newest_first(caller: Caller, runs: list[str]) -> None:
    seen, sizes, cursor = [], [], ""
    while True:
        page = caller.get("api/history", params={"cursor": cursor} if cursor else {}).json()
        seen += [run["id"] for run in page["runs"]]
        sizes.append(len(page["runs"]))
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == runs
    assert sizes == [50, 50, 20]


def test_a_run_says_why_it_ended_and_what_it_used(caller: Caller, runs: list[str]) -> None:
    lost, stopped, *_ = caller.get("api/history", headers={"Accept-Language": "zh-CN"}).json()["runs"]
    assert (lost["reason"], lost["reason_text"]) == ("lost", "平台故障")
    assert lost["use"] == {
        "class": "gpu", "class_title": "GPU", "weight": 1.0, "charged_seconds": 1800, "refunded_seconds": 1800,
        "held_seconds": 0, "refund_reasons": ["平台故障"],
    }  # fmt: skip
    assert (stopped["reason_text"], stopped["use"]["refunded_seconds"]) == ("由你停止", 0)
    (grant,) = caller.get("api/history/hours").json()["grants"]
    assert (grant["class"], grant["seconds"], grant["by"], grant["reason"]) == ("gpu", 7200, "root", HOSTILE)


def test_nobody_reads_the_history_of_another_person(caller: Caller, runs: list[str]) -> None:
    stack, other = caller.stack, f"other-{secrets.token_hex(3)}"
    stack.add_user(other)
    them = Caller(stack, other, stack.user_token(other))
    assert them.get("api/history").json() == {"runs": [], "next": None}
    assert them.get("api/history/hours").json() == {"grants": []}
    cursor = caller.get("api/history").json()["next"]
    assert them.get("api/history", params={"cursor": cursor}).json()["runs"] == []
    assert runs[0] not in them.get("history.csv").text
    assert stack.http.get(f"{stack.url}/services/desk/api/history").status_code == 403


def test_the_file_has_all_runs_and_nothing_that_a_spreadsheet_would_run(caller: Caller, runs: list[str]) -> None:
    answer = caller.get("history.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="freepool-history.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row["id"] for row in rows] == runs
    assert {row["user"] for row in rows} == {"'" + HOSTILE}
    given = caller.get("history-hours.csv").content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(given, newline=""))
    assert (row["seconds"], row["reason"]) == ("7200", "'" + HOSTILE)


def test_the_page_shows_texts_of_people_as_texts(caller: Caller, runs: list[str]) -> None:
    page = caller.get("history")
    assert page.status_code == 200
    assert "<script>" not in page.text.replace('<script type="module"', "")
    assert "&lt;script&gt;" in page.text
    assert page.text.count("A problem on our side") >= 17


def test_the_page_counts_a_run_from_the_time_at_which_it_could_be_used(caller: Caller, runs: list[str]) -> None:
    newest = caller.get("api/history").json()["runs"][0]
    usable, requested = (datetime.fromisoformat(newest[name]).isoformat() for name in ("usable_at", "requested_at"))
    page = caller.get("history").text
    assert usable in page
    assert requested not in page


@pytest.mark.parametrize("cursor", ["x", "1.", "12", "-1.a"])
def test_a_wrong_cursor_is_refused_with_words(caller: Caller, cursor: str) -> None:
    error = error_of(caller.get("api/history", params={"cursor": cursor}), 400)
    assert error["message"] == "This page of the history does not exist."
    page = caller.get("history", params={"cursor": cursor})
    assert (page.status_code, "Start with the newest runs." in page.text) == (400, True)


def test_a_cursor_before_the_first_run_gives_an_empty_page(caller: Caller) -> None:
    assert caller.get("api/history", params={"cursor": "1.a"}).json() == {"runs": [], "next": None}
