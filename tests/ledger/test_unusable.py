"""A ledger that cannot be used says why and what to do, whatever it is that is wrong with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from spawner.errors import LedgerUnusable, LostRace
from spawner.ledger import InstanceState, Ledger, StartStep, open_ledger
from spawner.ledger.engine import check_sqlite_file, make_engine
from spawner.ledger.migrate import VERSION_TABLE, check_version, migrate
from spawner.ledger.pool import instances
from tests.ledger.rows import instance_in, intend, later, request

PAGE = 4096


def refused(url: str) -> LedgerUnusable:
    """The error of opening, which says what happened and what to do."""
    with pytest.raises(LedgerUnusable) as caught:
        open_ledger(url)
    assert caught.value.message
    assert caught.value.next_step
    return caught.value


# Either database


def test_an_empty_one_is_to_be_migrated(url: str) -> None:
    error = refused(url)
    assert str(error) == "The ledger is not migrated to this version. Run `freepool migrate`."


def test_one_of_a_newer_freepool_is_left_alone(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    assert "was written by a newer Freepool (its version 9999 is not known here)" in str(refused(url))
    with pytest.raises(LedgerUnusable, match="newer Freepool"):
        migrate(engine)
    engine.dispose()


def test_a_migrated_one_opens_and_migrating_again_keeps_what_is_there(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    ledger = open_ledger(url)
    request(ledger)
    migrate(engine)
    check_version(engine)
    assert ledger.read(instances.get, "i1").state is InstanceState.STARTING
    ledger.close()
    engine.dispose()


def test_errors_of_ours_pass_unchanged(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.ENDED)
    with pytest.raises(LostRace):
        ledger.write(instances.mark_ended, "i1", now=later(9))


def test_users_named_like_a_database_error_are_not_taken_for_one(ledger: Ledger) -> None:
    intend(ledger, "read-only full malformed")
    with pytest.raises(IntegrityError):
        intend(ledger, "read-only full malformed")


# SQLite


@pytest.fixture
def file(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A migrated ledger with enough in it to have pages that can be damaged."""
    path = tmp_path / "folder" / "ledger.sqlite"
    path.parent.mkdir()
    shutil.copy(migrated_sqlite, path)
    ledger = open_ledger(sqlite(path))

    def fill(connection: Connection) -> None:
        for number in range(300):
            instances.add_event(connection, f"i{number}", StartStep.REQUESTED, now=later(0), params={"x": "x" * 100})

    ledger.write(fill)
    ledger.close()
    return path


def sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("these are not the rows you are looking for\n" * 200)
    for look in (refused, _checked):
        error = look(sqlite(path))
        assert "damaged: file is not a database" in error.message
        assert "restore a backup" in error.next_step


def _checked(url: str) -> LedgerUnusable:
    with pytest.raises(LedgerUnusable) as caught:
        check_sqlite_file(url)
    return caught.value


def test_damage_in_the_middle_is_found_before_anything_starts(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(5 * PAGE)
        stream.write(os.urandom(8 * PAGE))
    assert "damaged" in _checked(sqlite(file)).message


def test_a_file_that_was_cut_off_is_found_before_anything_starts(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(6 * PAGE)
    assert "damaged" in _checked(sqlite(file)).message


def test_damage_that_is_met_later_is_called_so(file: Path) -> None:
    ledger = open_ledger(sqlite(file))
    with file.open("r+b") as stream:
        stream.seek(2 * PAGE)
        stream.write(os.urandom((file.stat().st_size // PAGE - 2) * PAGE))
    with pytest.raises(LedgerUnusable, match="damaged"):
        ledger.read(instances.events_of, "i1")
    ledger.close()


def test_a_good_file_and_a_missing_one_pass_the_check(file: Path, tmp_path: Path) -> None:
    check_sqlite_file(sqlite(file))
    check_sqlite_file(sqlite(tmp_path / "missing.sqlite"))
    assert not (tmp_path / "missing.sqlite").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(sqlite(tmp_path / "missing" / "ledger.sqlite"))
    assert str(error) == "The ledger's file cannot be opened. Check that its folder exists and is writable."


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_that_would_be_forgotten_is_refused(url: str) -> None:
    with pytest.raises(LedgerUnusable, match=r"needs a file\. Use sqlite:////path"):
        make_engine(url)


@pytest.fixture
def read_only(file: Path) -> Iterator[Path]:
    """The ledger where it can only be read: on a read-only mount for root, whom no permission stops."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", file.parent, file.parent], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", file.parent], check=True)
        yield file
        subprocess.run(["umount", file.parent], check=True)
    else:
        file.chmod(0o400)
        file.parent.chmod(0o500)
        yield file
        file.parent.chmod(0o700)


def test_a_file_that_can_only_be_read_is_called_so(read_only: Path) -> None:
    with pytest.raises(LedgerUnusable) as caught:
        request(open_ledger(sqlite(read_only)), "new", user="new")
    assert "writable" in caught.value.next_step


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_called_so_and_what_was_there_stays(small_disk: Path) -> None:
    url = sqlite(small_disk / "ledger.sqlite")
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    request(ledger)
    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - PAGE))

    def fill() -> None:
        for number in range(1000):
            request(ledger, f"n{number}", user=f"{'u' * 200}{number}")

    with pytest.raises(LedgerUnusable, match=r"The disk that holds the ledger is full\. Free some space"):
        fill()
    (small_disk / "filler").unlink()
    assert ledger.read(instances.get, "i1").state is InstanceState.STARTING
    request(ledger, "afterwards", user="afterwards")
    ledger.close()


def test_a_writer_that_waits_too_long_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.ledger.engine.BUSY_SECONDS", 0.1)
    one, other = open_ledger(sqlite(file)), open_ledger(sqlite(file))
    with pytest.raises(LedgerUnusable, match="does not answer: database is locked"):
        one.write(lambda _: request(other, "new", user="new"))
    one.close()
    other.close()


# PostgreSQL


def test_a_server_that_is_not_there_is_named_with_why(tmp_path: Path) -> None:
    error = refused(f"postgresql+psycopg://freepool@/postgres?host={tmp_path}")
    assert error.message.startswith("The ledger does not answer: ")
    assert str(tmp_path) in error.message
    assert error.next_step == "Check that the database runs and is reachable."


def test_a_database_that_is_not_there_is_named(postgres: URL) -> None:
    url = postgres.set(database="nowhere").render_as_string(hide_password=False)
    assert 'database "nowhere" does not exist' in refused(url).message


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    assert "hunter2" not in str(refused(f"postgresql+psycopg://freepool:hunter2@/postgres?host={tmp_path}"))


def test_a_connection_that_was_cut_is_made_again(postgres: URL, postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(postgres_url)
    request(ledger)
    other = make_engine(postgres.render_as_string(hide_password=False))
    with other.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": make_url(postgres_url).database},
        )
    other.dispose()
    assert ledger.read(instances.get, "i1").state is InstanceState.STARTING
    ledger.close()


def test_a_connection_that_is_cut_in_the_middle_is_a_ledger_that_does_not_answer(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(postgres_url)

    def cut(connection: object) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))  # type: ignore[attr-defined]

    with pytest.raises(LedgerUnusable, match="does not answer"):
        ledger.write(cut)
    request(ledger)
    ledger.close()
