"""Real libraries find what `freepool models` has pulled, through the links of an instance, and get newer files.

The program runs in a file system in which the store is mounted read-only, with the writable cache of an instance.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spawner.catalog import Model
from spawner.instance.features import MODELS, variables
from spawner.models.hubs import Hub
from spawner.models.pull import pull
from spawner.models.store import Store
from tests.models.stand_in import StandIn, commit_of, stand_in
from tests.stack import PROJECT

WEIGHTS = bytes(range(256)) * 1000
TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1, "world": 2}, "unk_token": "[UNK]"},
}  # fmt: skip
CONFIG = {"model_type": "qwen2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 8}
FIRST = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": json.dumps(TOKENIZER).encode(),
    "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}',
    "model.safetensors": WEIGHTS,
}
NEWER = {**FIRST, "config.json": json.dumps({**CONFIG, "hidden_size": 32}).encode()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Both hubs' model in the store."""
    made = Store(tmp_path_factory.mktemp("store"))

    async def fill(hub: StandIn) -> None:
        async with aiohttp.ClientSession() as session:
            for source in ("modelscope", "huggingface"):
                one = Model.model_validate(
                    {"id": source, "source": source, "repository": "Qwen/Tiny1.5", "size": 1, "licence": "MIT"}
                )
                where = Hub.of(one.source, session, hub.environment())
                await pull(one, made, where, now=datetime.now(UTC), clock=time.monotonic)

    with stand_in(**HUB) as hub, made.locked():
        asyncio.run(fill(hub))
    return made


HUB = {"Qwen__Tiny1.5": {"master": FIRST, "main": FIRST}}


@pytest.fixture
def away() -> dict[str, str]:
    """Variables for a hub that does not answer."""
    return {"MODELSCOPE_ENDPOINT": "http://127.0.0.1:9", "HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with stand_in(**{"Qwen__Tiny1.5": {"master": dict(FIRST), "main": dict(FIRST)}}) as one:
        yield one


def inside(image: str, store: Store, workspace: Path, program: str, environment: dict[str, str]) -> dict[str, Any]:
    """What a program in an image's environment prints, as JSON. Its cache has the links; the store is read-only."""
    python = PROJECT / ".images" / image / "bin" / "python"
    own = {"PATH": os.environ["PATH"], "HOME": str(workspace), **variables(str(workspace)), **environment}
    linking = f"""
        import json, os, sys
        sys.path.insert(0, {str(PROJECT)!r})
        from pathlib import Path
        from spawner.instance.model_links import link_models
        sys.path.pop(0)
        link_models(Path({MODELS!r}), os.environ)
        found = {{}}
    """
    code = textwrap.dedent(linking) + textwrap.dedent(program) + "\nprint('FOUND', json.dumps(found))\n"
    view = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/mnt", "--ro-bind", str(store.folder), MODELS, "--"]
    command = [*view, str(python), "-c", code]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=False, cwd=workspace)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stdout[-1000:] + done.stderr[-3000:]
    return dict(json.loads(lines[-1].removeprefix("FOUND ")))


MODELSCOPE = """
    from modelscope import snapshot_download
    ID = 'Qwen/Tiny1.5'
    where = snapshot_download(ID, local_files_only=True)
    found['away'] = sorted(os.listdir(where))
    found['config away'] = json.load(open(where + '/config.json'))['hidden_size']
    found['weights'] = os.path.realpath(where + '/model.safetensors').startswith('/mnt/models/')
    try:
        open(where + '/model.safetensors', 'ab')
        found['written'] = True
    except OSError as error:
        found['written'] = error.strerror
    where = snapshot_download(ID, endpoint={there!r})
    found['there'] = json.load(open(where + '/config.json'))['hidden_size']
    found['still linked'] = sorted(name for name in os.listdir(where) if os.path.islink(os.path.join(where, name)))
"""


@pytest.mark.parametrize("newer", [False, True], ids=["the same", "newer"])
def test_modelscope_finds_a_model_with_the_hub_away_and_gets_a_newer_file_when_it_is_there(
    newer: bool, store: Store, hub: StandIn, away: dict[str, str], tmp_path: Path
) -> None:
    if newer:
        hub.repositories["Qwen/Tiny1.5"].revisions["master"] = dict(NEWER)
    program = MODELSCOPE.format(there=hub.url)
    found = inside("light", store, tmp_path, program, {**away, "no_proxy": "127.0.0.1"})
    assert found["away"] == sorted(FIRST)
    assert (found["config away"], found["weights"], found["written"]) == (16, True, "Read-only file system")
    assert found["there"] == (32 if newer else 16)
    assert hub.contents_asked() == (["config.json"] if newer else []), "what is in the cache is not downloaded"
    assert found["still linked"] == sorted(name for name in FIRST if not (newer and name == "config.json"))


HUGGINGFACE = """
    from huggingface_hub import snapshot_download
    from transformers import AutoConfig
    ID = 'Qwen/Tiny1.5'
    where = snapshot_download(ID, local_files_only=True)
    found['away'] = sorted(os.listdir(where))
    found['config'] = AutoConfig.from_pretrained(ID, local_files_only=True).hidden_size
    found['commit'] = os.path.basename(where)
    where = snapshot_download(ID, endpoint={there!r})
    found['there'] = json.load(open(where + '/config.json'))['hidden_size']
    found['weights'] = os.path.realpath(where + '/model.safetensors').startswith('/mnt/models/')
"""


@pytest.mark.parametrize("newer", [False, True], ids=["the same", "newer"])
def test_transformers_finds_a_model_with_the_hub_away_and_gets_a_newer_file_when_it_is_there(
    newer: bool, store: Store, hub: StandIn, away: dict[str, str], tmp_path: Path
) -> None:
    if not (PROJECT / ".images/torch/.ready").exists():
        pytest.skip("the torch image is not installed")
    if newer:
        hub.repositories["Qwen/Tiny1.5"].revisions["main"] = dict(NEWER)
    program = HUGGINGFACE.format(there=hub.url)
    environment = {**hub.environment(), **away}
    found = inside("torch", store, tmp_path, program, environment)
    assert found["away"] == sorted(FIRST)
    assert (found["config"], found["commit"]) == (16, commit_of(FIRST))
    assert (found["there"], found["weights"]) == (32 if newer else 16, True)
    assert hub.contents_asked() == (["config.json"] if newer else []), "what is in the cache is not downloaded"
