"""Each reason why a ledger cannot be used is reported with its cause and a remedy."""

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


def test_an_empty_database_is_to_be_migrated(url: str) -> None:
    error = refused(url)
    assert str(error) == "The database is not migrated to this version. Run `freepool migrate`."


def test_a_ledger_of_a_newer_freepool_is_refused_and_unchanged(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    assert "was written by a newer version of Freepool (9999 is unknown here)" in str(refused(url))
    with pytest.raises(LedgerUnusable, match="newer version of Freepool"):
        migrate(engine)
    engine.dispose()


def test_a_migrated_ledger_opens_and_migrating_again_keeps_its_rows(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    ledger = open_ledger(url)
    request(ledger)
    migrate(engine)
    check_version(engine)
    assert ledger.read(instances.get, "i1").state is InstanceState.STARTING
    ledger.close()
    engine.dispose()


def test_freepools_own_errors_pass_unchanged(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.ENDED)
    with pytest.raises(LostRace):
        ledger.write(instances.mark_ended, "i1", now=later(9))


def test_a_user_name_that_reads_like_a_database_error_is_none(ledger: Ledger) -> None:
    intend(ledger, "read-only full malformed")
    with pytest.raises(IntegrityError):
        intend(ledger, "read-only full malformed")


# SQLite


@pytest.fixture
def file(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A migrated ledger of several pages, some of which a test damages."""
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


def test_a_file_that_is_no_database_is_reported_as_damaged(tmp_path: Path) -> None:
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


def test_damage_in_the_middle_is_found_at_the_start(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(5 * PAGE)
        stream.write(os.urandom(8 * PAGE))
    assert "damaged" in _checked(sqlite(file)).message


def test_a_truncated_file_is_found_at_the_start(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(6 * PAGE)
    assert "damaged" in _checked(sqlite(file)).message


def test_damage_found_later_is_reported_as_damage(file: Path) -> None:
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
    assert str(error) == "The database file cannot be opened. Check that its folder exists and is writable."


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_an_in_memory_ledger_is_refused(url: str) -> None:
    with pytest.raises(LedgerUnusable, match=r"needs a file\. Use sqlite:////path"):
        make_engine(url)


@pytest.fixture
def read_only(file: Path) -> Iterator[Path]:
    """A ledger on a read-only mount, because permissions do not restrict root."""
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


def test_a_read_only_ledger_is_reported_as_read_only(read_only: Path) -> None:
    with pytest.raises(LedgerUnusable) as caught:
        request(open_ledger(sqlite(read_only)), "new", user="new")
    assert "writable" in caught.value.next_step


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MiB: half of it is the migrated ledger."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_reported_and_keeps_the_rows(small_disk: Path) -> None:
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

    with pytest.raises(LedgerUnusable, match=r"The disk that holds the database is full\. Free up some space"):
        fill()
    (small_disk / "filler").unlink()
    assert ledger.read(instances.get, "i1").state is InstanceState.STARTING
    request(ledger, "afterwards", user="afterwards")
    ledger.close()


def test_a_writer_that_waits_too_long_gets_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.ledger.engine.BUSY_SECONDS", 0.1)
    waiting, other = open_ledger(sqlite(file)), open_ledger(sqlite(file))
    with pytest.raises(LedgerUnusable, match="is not responding: database is locked"):
        waiting.write(lambda _: request(other, "new", user="new"))
    waiting.close()
    other.close()


# PostgreSQL


def test_an_unreachable_server_is_named_with_the_cause(tmp_path: Path) -> None:
    error = refused(f"postgresql+psycopg://freepool@/postgres?host={tmp_path}")
    assert error.message.startswith("The database is not responding: ")
    assert str(tmp_path) in error.message
    assert error.next_step == "Check that the database is running and reachable."


def test_a_missing_database_is_named(postgres: URL) -> None:
    url = postgres.set(database="nowhere").render_as_string(hide_password=False)
    assert 'database "nowhere" does not exist' in refused(url).message


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    assert "hunter2" not in str(refused(f"postgresql+psycopg://freepool:hunter2@/postgres?host={tmp_path}"))


def test_a_lost_connection_is_replaced(postgres: URL, postgres_url: str) -> None:
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


def test_a_connection_lost_during_a_transaction_is_an_unavailable_ledger(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(postgres_url)

    def cut(connection: object) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))  # type: ignore[attr-defined]

    with pytest.raises(LedgerUnusable, match="is not responding"):
        ledger.write(cut)
    request(ledger)
    ledger.close()
