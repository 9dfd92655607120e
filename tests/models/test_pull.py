"""`freepool models`: what is pulled is checked, goes on after a break, and is never half-visible."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from spawner import cli_models
from spawner.catalog import Catalog, Model, Source
from spawner.cli_parser import build_parser
from spawner.errors import FreepoolError, SetupError
from spawner.instance.model_links import link_models, stamp
from spawner.models.hubs import Hub
from spawner.models.pull import Pulled, pull
from spawner.models.store import Pull, Store, expected_seconds
from tests.models.stand_in import StandIn, stand_in
from tests.unit import make

FIRST = {"config.json": b'{"layers": 1}', "model.safetensors": bytes(range(256)) * 4096, "sub/vocab.txt": b"a"}
SECOND = {**FIRST, "config.json": b'{"layers": 2, "more": 1}'}


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with stand_in(Qwen__Tiny1={"master": dict(FIRST), "v1": dict(FIRST), "main": dict(FIRST)}) as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def model(**changes: Any) -> Model:
    fields = {"id": "tiny", "source": "modelscope", "repository": "Qwen/Tiny1", "size": "1MiB", "licence": "Apache-2.0"}
    return Model.model_validate(fields | changes)


def pulled(one: Model, store: Store, hub: StandIn) -> Pulled:
    ticks = itertools.count()

    async def do() -> Pulled:
        async with aiohttp.ClientSession() as session:
            where = Hub.of(one.source, session, hub.environment())
            now = datetime(2026, 11, 1, tzinfo=UTC)
            return await pull(one, store, where, now=now, clock=lambda: float(next(ticks)), pause=0)

    with store.locked():
        return asyncio.run(do())


def contents(store: Store) -> dict[str, bytes]:
    folder = store.files("tiny")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("source", list(Source))
def test_a_pulled_model_is_whole_and_readable_by_all_and_written_by_nobody(
    source: Source, store: Store, hub: StandIn
) -> None:
    one = model(source=source)
    assert not store.has(one)
    done = pulled(one, store, hub)
    assert (contents(store), done.is_new, done.size) == (FIRST, True, sum(map(len, FIRST.values())))
    assert store.has(one)
    assert store.damage("tiny") == []
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.files("tiny").rglob("*") if path.is_file()}
    assert modes == {0o444}
    assert all(path.stat().st_mode & 0o005 for path in (store.folder, *store.files("tiny").parents[:2]))
    again = pulled(one, store, hub)
    assert (again.is_new, again.bytes) == (False, 0)
    assert sorted(hub.contents_asked()) == sorted(FIRST), "nothing is downloaded twice"


def test_only_the_files_that_are_needed_are_pulled(store: Store, hub: StandIn) -> None:
    pulled(model(files=["*.json", "sub/*"]), store, hub)
    assert contents(store).keys() == {"config.json", "sub/vocab.txt"}
    with pytest.raises(SetupError, match=r"No file of Qwen/Tiny1 matches \*\.gguf"):
        pulled(model(files=["*.gguf"]), store, hub)


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("source", list(Source))
def test_a_download_goes_on_where_it_broke_off(source: Source, resumes: bool, store: Store, hub: StandIn) -> None:
    hub.breaks, hub.resumes = [300_000, 500_000], resumes
    pulled(model(source=source), store, hub)
    assert contents(store) == FIRST
    assert hub.breaks == []
    if resumes:
        assert any(" from " in line for line in hub.contents_asked())


def test_nothing_is_visible_before_everything_is_there_and_a_later_pull_goes_on(store: Store, hub: StandIn) -> None:
    hub.breaks = [100_000, *[0] * 20]
    with pytest.raises(SetupError, match=r"broke off: .* it goes on where it was"):
        pulled(model(), store, hub)
    assert not store.has(model())
    assert stamp(store.folder) == ()
    assert store.part_bytes("tiny") >= 100_000
    assert cli_models.state_of(model(), store, frozenset()).startswith("broke off at")
    hub.breaks, hub.asked = [], []
    pulled(model(), store, hub)
    assert contents(store) == FIRST
    assert "model.safetensors from 100000" in hub.contents_asked()  # a smaller one may have been stopped, too


def test_a_file_that_is_not_what_the_hub_says_is_never_shown(store: Store, hub: StandIn) -> None:
    hub.damaged = {"model.safetensors"}
    with pytest.raises(SetupError, match=r"model\.safetensors of Qwen/Tiny1 is not what .* says it is"):
        pulled(model(), store, hub)
    assert not store.has(model())
    hub.damaged = set()
    pulled(model(), store, hub)
    assert contents(store) == FIRST


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "a\\b", "a\nb", ""])
@pytest.mark.parametrize("source", list(Source))
def test_a_hub_cannot_write_outside_the_folder(source: Source, path: str, store: Store, hub: StandIn) -> None:
    for files in hub.repositories["Qwen/Tiny1"].revisions.values():
        files[path] = b"mine"
    with pytest.raises(SetupError, match="not understood"):
        pulled(model(source=source), store, hub)
    assert not (store.folder.parent / "outside").exists()


def test_a_newer_revision_replaces_at_once_downloads_what_is_new_and_keeps_the_one_in_use(
    store: Store, hub: StandIn
) -> None:
    pulled(model(), store, hub)
    old = store.files("tiny").resolve()
    hub.repositories["Qwen/Tiny1"].revisions["master"] = dict(SECOND)
    hub.asked = []
    pulled(model(), store, hub)
    assert contents(store) == SECOND
    assert hub.contents_asked() == ["config.json"]
    assert (old / "config.json").read_bytes() == FIRST["config.json"], "notebooks that run have links to it"
    hub.repositories["Qwen/Tiny1"].revisions["master"] = {**SECOND, "config.json": b"{}"}
    pulled(model(), store, hub)
    assert not old.exists()


def test_damage_is_found_and_mended_by_a_new_pull(store: Store, hub: StandIn) -> None:
    pulled(model(), store, hub)
    path = store.files("tiny") / "config.json"
    path.chmod(0o644)
    path.write_bytes(b"x" * len(FIRST["config.json"]))
    assert store.damage("tiny") == ["config.json"]
    hub.repositories["Qwen/Tiny1"].revisions["master"]["new.txt"] = b"new"
    pulled(model(), store, hub)
    assert store.damage("tiny") == []
    store.remove("tiny")
    assert not store.has(model())
    assert not any(path.is_file() for path in store.folder.glob("tiny/**/*"))


def test_a_full_disk_and_an_absent_hub_are_said_with_what_to_do(
    store: Store, hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: argparse.Namespace(free=1000))
    with pytest.raises(SetupError, match=r"has 0 MB free, and 1 MB are needed\. Make room"):
        pulled(model(), store, hub)
    hub.url = "http://127.0.0.1:9"
    with pytest.raises(SetupError, match=r"does not answer: .*Check the network .* MODELSCOPE_ENDPOINT"):
        pulled(model(), store, hub)


def test_an_unknown_repository_or_revision_is_said(store: Store, hub: StandIn) -> None:
    for changes in ({"repository": "Qwen/Other"}, {"revision": "v9"}):
        with pytest.raises(SetupError, match=r"has no Qwen/\w+ with the revision \w+.*Check both names"):
            pulled(model(**changes), store, hub)


def test_two_commands_do_not_change_the_folder_at_once(store: Store) -> None:
    with store.locked(), pytest.raises(SetupError, match="Another `freepool models`"), store.locked():
        pass


def test_how_long_a_download_takes_is_what_it_took_here(store: Store, hub: StandIn) -> None:
    assert expected_seconds(model(), []) is None
    assert expected_seconds(model(seconds=90), [Pull(10, 1)]) == 90
    assert expected_seconds(model(size=1000), [Pull(100, 10), Pull(100, 1), Pull(100, 2)]) == 20
    pulled(model(), store, hub)
    assert [one.bytes for one in store.pulls()] == [sum(map(len, FIRST.values()))]


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    data = json.loads(make.catalog().model_dump_json(by_alias=True, exclude_defaults=True))
    data["models"] = [json.loads(model().model_dump_json(exclude_defaults=True))]
    path.write_text(json.dumps(data))
    return path


def test_the_command_pulls_lists_verifies_and_removes(
    catalog_file: Path, store: Store, hub: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def freepool(*words: str) -> str:
        said.clear()
        places = ["--catalog", str(catalog_file), "--folder", str(store.folder)]
        options = build_parser().parse_args(["models", *words, *places])
        cli_models.run(options, said.append, environment=hub.environment())
        return "".join(said)

    assert "missing: pull" in freepool("list")
    assert "tiny: 1.0 MB in " in freepool("pull")
    assert "there already" in freepool("pull", "tiny")
    assert freepool("list").splitlines()[1].split()[:2] == ["tiny", "there"]
    hub.repositories["Qwen/Tiny1"].revisions["master"] = dict(SECOND)
    assert "newer at the hub" in freepool("list", "--newer")
    assert freepool("verify") == "tiny: no damage\n"
    assert freepool("remove", "tiny") == "tiny: 1 MB are free again\n"
    with pytest.raises(SetupError, match=r"Damaged or missing: tiny\."):
        freepool("verify", "tiny")
    with pytest.raises(FreepoolError, match=r"Unknown model: 'other'\. Available: tiny\."):
        freepool("pull", "other")


def test_links_are_renewed_and_leave_what_is_a_users(store: Store, hub: StandIn, tmp_path: Path) -> None:
    environment = {"MODELSCOPE_CACHE": str(tmp_path / "ms"), "HF_HOME": str(tmp_path / "hf")}
    pulled(model(also_for=["huggingface"]), store, hub)
    linked = link_models(store.folder, environment)
    snapshot = tmp_path / "ms/models/Qwen--Tiny1/snapshots/master"
    assert linked == stamp(store.folder) != ()
    (snapshot / "sub/vocab.txt").unlink()
    (snapshot / "sub/vocab.txt").write_text("mine")
    hub.repositories["Qwen/Tiny1"].revisions["master"] = dict(SECOND)
    pulled(model(also_for=["huggingface"]), store, hub)
    assert stamp(store.folder) != linked
    link_models(store.folder, environment)
    assert (snapshot / "config.json").read_bytes() == SECOND["config.json"]
    assert (snapshot / "sub/vocab.txt").read_text() == "mine"
    (store.folder / "broken/x").mkdir(parents=True)
    (store.folder / "broken/current").symlink_to("x")
    link_models(store.folder, environment)  # logged, and the others are linked


def test_a_catalog_with_a_wrong_model_is_refused(catalog_file: Path) -> None:
    data = json.loads(catalog_file.read_text())
    Catalog.model_validate(data)
    for wrong in ({"repository": "no-owner"}, {"revision": "a/b"}, {"files": ["../x"]}, {"also_for": ["modelscope"]}):
        data["models"] = [json.loads(model().model_dump_json(exclude_defaults=True)) | wrong]
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Catalog.model_validate(data)


async def test_a_token_goes_to_its_hub_only_wherever_the_next_page_is_said_to_be() -> None:
    sent: dict[str, dict[str, str]] = {}
    answers: dict[str, tuple[Any, str]] = {
        "https://hub.test/api/models/Qwen/Tiny1/revision/main": ({"sha": "a" * 40}, ""),
        f"https://hub.test/api/models/Qwen/Tiny1/tree/{'a' * 40}?recursive=true": ([], "https://hub.test.evil/2"),
        "https://hub.test.evil/2": ([], ""),
    }

    class Session:
        @asynccontextmanager
        async def get(self, url: str, **options: Any) -> AsyncIterator[Any]:
            found, following = answers[url]
            sent[url] = {**(options["headers"] or {}), **(options["cookies"] or {})}

            async def read(**_: Any) -> Any:
                return found

            links = {"next": {"url": following}} if following else {}
            yield SimpleNamespace(status=200, raise_for_status=lambda: None, links=links, json=read)

    session: Any = Session()
    where = Hub.of(Source.HUGGINGFACE, session, {"HF_ENDPOINT": "https://hub.test", "HF_TOKEN": "secret"})
    await where.listing(model(source="huggingface"))
    assert [url for url, headers in sent.items() if "secret" in str(headers)] == list(answers)[:2]
    assert len(sent) == 3
