"""`freepool grant`, `refund` and `allowance` do what the pages do, and say what is left."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import insert

from spawner.cli import main
from spawner.ledger import Ledger
from spawner.ledger.people.rows import TrustClass
from spawner.ledger.people.tables import people
from spawner.ledger.time import allowance_use
from spawner.ledger.time.rows import EndSource
from spawner.ledger.time.tables import allowance_charges
from spawner.pool.build import utc_now
from tests.unit.test_cli_warm import ledger  # noqa: F401  (a fixture)

Say = Callable[..., str]


@pytest.fixture
def ann(ledger: Ledger) -> str:  # noqa: F811
    """A person with a charge of an hour for the run i1."""
    now = utc_now()
    person = {
        "id": "p1", "hub_name": "ann", "hub_id": 1, "hub_since": "x", "created_at": now, "issuer": None,
        "identity": None, "trust": TrustClass.NEW,
    }  # fmt: skip
    charge = {
        "instance_id": "i1", "person_id": "p1", "class_id": "gpu", "weight": 1.0, "began_at": now - timedelta(hours=1),
        "until": now, "end_source": EndSource.STOP, "seconds": 3600, "refunded": 0, "refund_reason": None,
        "charged_at": now,
    }  # fmt: skip
    ledger.write(lambda connection: connection.execute(insert(people).values(**person)))
    ledger.write(lambda connection: connection.execute(insert(allowance_charges).values(**charge)))
    return "p1"


@pytest.fixture
def freepool(ann: str, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command and returns what it printed; of one that fails the error."""

    def run(*words: str) -> str:
        with suppress(SystemExit):
            main(list(words))
        printed = capsys.readouterr()
        return printed.err or printed.out

    return run


def test_hours_are_given_and_taken_by_name_and_by_id(freepool: Say, ledger: Ledger) -> None:  # noqa: F811
    given = freepool("grant", "ann", "gpu", "2.5", "--reason", "a course")
    assert given.startswith("ann (p1): 2 h 30 min of gpu, until ")
    assert "00:00+08:00" in given.splitlines()[0]
    assert "left of 12 h 30 min" in given
    assert freepool("grant", "p1", "gpu", "-1", "--reason", "mistake").startswith("ann (p1): -1 h of gpu")
    taken, course = ledger.read(allowance_use.grants_of, "p1", at_most=9)
    assert (taken.seconds, course.seconds, course.made_by, course.reason) == (
        -3600,
        9000,
        getpass.getuser(),
        "a course",
    )


def test_hours_are_given_until_a_time(freepool: Say, ledger: Ledger) -> None:  # noqa: F811
    until = (utc_now() + timedelta(days=20)).astimezone().replace(tzinfo=None).isoformat(timespec="minutes")
    assert until.replace("T", " ") in freepool("grant", "ann", "gpu", "1", "--until", until, "--reason", "x")
    (grant,) = ledger.read(allowance_use.grants_of, "p1", at_most=9)
    assert grant.valid_until - grant.valid_from > timedelta(days=19)


def test_a_run_is_given_back_once(freepool: Say) -> None:
    assert freepool("refund", "i1", "--reason", "slow disk").startswith("ann (p1): 1 h of gpu given back, until ")
    assert "nothing left to give back" in freepool("refund", "i1", "--reason", "again")


def test_an_allowance_is_shown_with_its_grants(freepool: Say) -> None:
    assert "gpu: " in freepool("allowance", "ann")
    assert "No grants yet." in freepool("allowance", "ann")
    freepool("refund", "i1", "--reason", "slow disk")
    shown = freepool("allowance", "ann").splitlines()
    assert shown[0] == "ann (p1)"
    assert " used; new hours on " in shown[1]
    assert shown[2] == "Grants, the newest first:"
    assert "refund" in shown[3]
    assert shown[3].endswith("; slow disk")
    assert "for the run i1" in shown[3]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("grant", "bob", "gpu", "1"), "Unknown user: 'bob'."),
        (("grant", "ann", "tpu", "1"), "Unknown class of hours: 'tpu'. Available: gpu."),
        (("grant", "ann", "gpu", "many"), "'many' is not a valid number of hours."),
        (("grant", "ann", "gpu", "1", "--until", "soon"), "'soon' is not a valid time."),
        (("refund", "i9"), "No hours were charged for the run 'i9'."),
    ],
)
def test_mistakes_are_said(freepool: Say, words: tuple[str, ...], error: str) -> None:
    assert error in freepool(*words, "--reason", "x")
