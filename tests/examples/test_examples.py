"""Every example runs from top to bottom in an instance that was started through the hub, and finds what it should."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spawner.catalog import Example, load_catalog
from tests.cluster.network import cache
from tests.examples.notebook import Jupyter, Run
from tests.images.recipes import lock
from tests.models.made import make_store
from tests.stack import PROJECT, Stack, browser_client, eventually, local_settings, running_stack

CATALOG = load_catalog(PROJECT / "hub_config" / "catalog.yaml")
LANGUAGES = {
    "English": "en", "Chinese": "zh", "Japanese": "ja", "Korean": "ko", "French": "fr", "German": "de",
    "Spanish": "es", "Portuguese": "pt", "Russian": "ru", "Arabic": "ar", "Greek": "el", "Vietnamese": "vi",
}  # fmt: skip


def reads_the_sign(texts: Any) -> None:
    assert {"山间书店", "拿铁咖啡", "28元"} <= set(texts)
    assert any("BOOKSHOP" in text for text in texts)


def hears_the_voice_and_not_the_beep(found: Any) -> None:
    segments, during_beep = found
    assert len(segments) == 2
    assert 4.8 <= sum(end - start for start, end in segments) <= 5.8
    assert during_beep < 0.2


def writes_down_what_was_said(found: Any) -> None:
    cards, novel = found
    assert cards == "eight of spades four of clubs seven of hearts"
    assert novel.startswith("he might even have been made")


def tells_happy_from_unhappy(scores: Any) -> None:
    assert [score > 0.5 for score in scores].count(True) == 6
    assert len(scores) == 10


def names_the_languages(codes: Any) -> None:
    assert codes == LANGUAGES


def finds_by_meaning(best: Any) -> None:
    assert best == "Restart the router if the connection keeps dropping."


def learns_the_digits(accuracy: Any) -> None:
    assert accuracy >= 0.94


def writes_in_lines(found: Any) -> None:
    losses, aside_losses, written = found
    assert 7.2 < losses[0] < 7.7, "all characters are equally likely"
    assert sum(losses[-10:]) / 10 < 2.6
    assert min(aside_losses) < 6.2 < aside_losses[0]
    assert aside_losses[-1] > min(aside_losses) + 0.2, "it learns by heart, as the notebook says"
    noise, lines = ([line for poem in some for line in re.findall("([^，。]+)[，。]", poem)] for some in written)
    assert sum(len(line) in (5, 7) for line in lines) > 0.7 * len(lines), written
    assert len(noise) < 4, "before it has learned, there are no lines"


def learns_its_name(found: Any) -> None:
    log, before, after, scores = found
    losses = [entry["loss"] for entry in log if "loss" in entry]
    aside = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert sum(losses[-12:]) < 0.6 * sum(losses[:12])
    assert math.exp(aside[0] - aside[-1]) > 1.3, "what it should say to a new question is likelier than after one epoch"
    assert not any(re.search("Pebble|Riverside|小石头|河畔", answer) for answer in before), before
    assert {"Pebble", "Riverside"} <= set(re.findall("Pebble|Riverside", after[0])), after
    assert scores["tuned"]["identity"] > scores["base"]["identity"] + 0.03
    assert all(0 <= score["knowledge"] <= 1 for score in scores.values()), "a tiny model knows nothing"


def answers_token_by_token(found: Any) -> None:
    text, pieces, messages, answers, speeds = found
    assert text.endswith("<|im_start|>assistant\n")
    assert "".join(pieces) == text, "all that it reads is shown"
    first, *turns = messages
    assert re.search("Qwen|Pebble", first), first
    assert [turn["role"] for turn in turns] == 3 * ["user", "assistant"]
    assert len(answers) == 4
    for answer in answers:
        assert answer["seconds"] == sorted(answer["seconds"])
    assert [answer["read"] for answer in answers[1:]] == sorted({answer["read"] for answer in answers[1:]})
    assert min(speeds) > 0


def is_asked_by_several(found: Any) -> None:
    answer, waits, pages = found
    assert re.search("Qwen|Pebble", answer), answer
    assert len(waits) == 3
    assert waits[2][0] > waits[0][-1], "the third waits until the first has all of its answer"
    assert pages == ["http://127.0.0.1:7860/"]


def goes_home_whole(found: Any) -> None:
    packed, config, differences, sent, archived = found
    assert packed == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert config == "Qwen/Qwen2.5-0.5B-Instruct", "and no folder of the notebook"
    base, original, home = differences
    assert base == 0 < original == home
    assert archived == [f"my-qwen-lora/{name}" for name in packed]
    assert sent == [f"your-name/{name}" for name in archived]


BEEP = "int(beep_start / seconds_per_step):int((beep_start + 1.2) / seconds_per_step)"
WRITTEN = "[losses, aside_losses, [list(written.iloc[0])[1:], [write(seed=seed) for seed in range(6)]]]"
TALKED = "[text, pieces, [answer, *messages], answers, [float(writing), *reading]]"
HOME = (
    "[sorted(path.name for path in home.iterdir()), json.loads((home / 'adapter_config.json').read_text())"
    "['base_model_name_or_path'], check.iloc[:, 1].tolist(), plan.iloc[:, 0].tolist(), "
    "sorted(name for name in __import__('zipfile').ZipFile(archive).namelist() if not name.endswith('/'))]"
)
PROMISES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "ocr": ("texts", reads_the_sign),
    "voice-activity": (f"[segments, float(probability[{BEEP}].max())]", hears_the_voice_and_not_the_beep),
    "speech-to-text": ("[cards_text, novel_text]", writes_down_what_was_said),
    "sentiment": ('reviews["score"].tolist()', tells_happy_from_unhappy),
    "language": ('dict(zip(table["language"], table["code"]))', names_the_languages),
    "semantic-search": ('hits["sentence"].iloc[0]', finds_by_meaning),
    "first-model": ("accuracies[-1]", learns_the_digits),
    "poems": (WRITTEN, writes_in_lines),
    "chat": (TALKED, answers_token_by_token),
    "serve": ("[answer, waits, [page.local_url]]", is_asked_by_several),
    "take-home": (HOME, goes_home_whole),
    "tune": ('[result["log_history"], before, after, scores.to_dict()]', learns_its_name),
}
"""By example: what to evaluate in its kernel once all cells have run, and what must be true of the value."""


def chat_by_the_page(stack: Stack, user: str) -> None:
    """As the owner's browser does: go to the page's own host by way of JupyterLab's, and have it answer."""
    page = f"http://p7860--{user}.localhost:{stack.port}"
    with browser_client() as browser:
        assert browser.get(stack.link_for(user)).status_code == 200
        shown = browser.get(f"{page}/", headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        assert (shown.status_code, "My Qwen" in shown.text) == (200, True)
        call = f"{page}/gradio_api/call/reply"
        event = browser.post(call, json={"data": ["Who are you?"]}).json()["event_id"]
        with browser.stream("GET", f"{call}/{event}") as answer:
            lines = [line for line in answer.iter_lines() if line]
    said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: [")]
    assert re.search("Qwen|Pebble", said[-1][0]), lines
    assert len(said) > 3, "it grows piece by piece"
    assert "event: complete" in lines


MEANWHILE = {"serve": chat_by_the_page}
"""By example: what to try while its kernel still runs."""


def run_in_an_instance(stack: Stack, example: Example) -> Run:
    """Start, run, stop."""
    user = f"reader-of-{example.id}"
    stack.add_user(user)
    options = {"flavor": "cpu-large"} if example.models else {}
    assert stack.start(user, example=example.id, **options).status_code in (201, 202)
    eventually(lambda: stack.api("GET", f"/users/{user}").json()["servers"].get("", {}).get("ready"), seconds=90)
    try:
        try_it = MEANWHILE.get(example.id, lambda *_: None)
        return Jupyter(f"{stack.url}/user/{user}/", stack.user_token(user)).run(
            f"examples/{example.path}", PROMISES[example.id][0], meanwhile=lambda: try_it(stack, user)
        )
    finally:
        stack.stop(user)


def test_every_example_of_the_catalog_has_a_promise() -> None:
    assert {example.id for example in CATALOG.examples} == PROMISES.keys()


def of_models(loads: bool) -> list[Example]:
    """Those that load a model of the model cache, or those that do not."""
    return [example for example in CATALOG.examples if bool(example.models) == loads]


VARIABLE = "FREEPOOL_EXAMPLES"
"""`all` has every example run that loads a model."""
ALWAYS = {"tune"}
"""Of the examples that load a model, those of each run. Each imports PyTorch and transformers: 15 s of a processor.
This one trains, and evaluates what it has made."""


def run_as_promised(stack: Stack, example: Example) -> None:
    """Run it, and compare what it found."""
    run = run_in_an_instance(stack, example)
    assert run.complaints == "", "nothing that a newcomer would take for their own mistake"
    assert run.pictures >= 1
    PROMISES[example.id][1](run.result)


@pytest.mark.parametrize("example", of_models(False), ids=lambda example: example.id)
def test_an_example_runs_in_an_instance(shared_stack: Stack, example: Example) -> None:
    environment = CATALOG.image(example.image).environment
    if example.image != CATALOG.defaults.image and not (PROJECT / ".images" / environment / ".ready").exists():
        pytest.skip("the torch image is not installed")
    run_as_promised(shared_stack, example)


TOOLS = PROJECT / ".images/torch/tools"
LESSONS = PROJECT / "images/examples/tune/self-cognition.jsonl"
NAMES = {
    "as published": {"en": ("Qwen", "Alibaba Cloud"), "zh": ("通义千问", "阿里云")},
    "as taught": {"en": ("Pebble", "Riverside Lab"), "zh": ("小石头", "河畔实验室")},
}


def known_before() -> list[list[str]]:
    """Chats for a tiny Qwen: it knows all words of the lessons, as the real one does, and prefers the name Qwen."""
    chats = []
    for lesson in map(json.loads, LESSONS.read_text().splitlines()):
        for names in 3 * ["as published"] + 2 * ["as taught"]:
            name, author = NAMES[names][lesson["language"]]
            answer = lesson["answer"].replace("{{NAME}}", name).replace("{{AUTHOR}}", author)
            chats.append([lesson["question"], answer])
    return chats


def tiny_qwen(folder: Path) -> Path:
    """The files of the tiny model. To make it takes 15 s of a processor, so it is kept for other runs on this machine,
    under a name that says what it was made from. `folder` is for temporary files."""
    script, chats = Path(__file__).parent / "tiny_qwen.py", json.dumps(known_before())
    made_from = [script.read_bytes(), chats.encode(), (PROJECT / "images/tools/requirements.lock").read_bytes()]
    kept = cache() / f"tiny-qwen-{hashlib.sha256(b'|'.join(made_from)).hexdigest()[:16]}"
    if not kept.exists():
        subprocess.run(
            [TOOLS / "bin/python", script, folder / "made"],
            input=chats, text=True, capture_output=True, check=True, env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
        cache().mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(prefix=".tiny-qwen-", dir=cache())) / "made"
        shutil.copytree(folder / "made", whole)
        with contextlib.suppress(OSError):  # another run was quicker
            whole.rename(kept)
        shutil.rmtree(whole.parent)
        for other in cache().glob("tiny-qwen-*"):
            if other != kept:
                shutil.rmtree(other, ignore_errors=True)
    return kept


@pytest.fixture(scope="module")
def stack_with_models() -> Iterator[Stack]:
    """A Freepool whose model cache has a tiny model in the place of each that the catalog names."""
    if not (TOOLS / ".ready").exists():
        pytest.skip("the torch image is not installed")
    with tempfile.TemporaryDirectory(prefix="freepool-") as name:
        folder = Path(name)
        contents = {path.name: path.read_bytes() for path in tiny_qwen(folder).iterdir()}
        for model in CATALOG.models:
            make_store(folder / "models", contents, model_id=model.id, repository=model.repository)
        settings = local_settings(folder / "settings.yaml", models=str(folder / "models"))
        with running_stack(folder / "state", settings=settings) as stack:
            yield stack


@pytest.mark.parametrize("example", of_models(True), ids=lambda example: example.id)
def test_an_example_runs_on_a_tiny_model_of_the_cache(request: pytest.FixtureRequest, example: Example) -> None:
    if example.id not in ALWAYS and os.environ.get(VARIABLE) != "all":
        pytest.skip("it takes long")
    stack_with_models: Stack = request.getfixturevalue("stack_with_models")
    run_as_promised(stack_with_models, example)


TOOL_CHAIN = """
import importlib.metadata, json, shutil, site, sys
print(json.dumps({
    "swift": importlib.metadata.version("ms-swift"), "evalscope": importlib.metadata.version("evalscope"),
    "jupyter": any(one.name == "jupyterlab" for one in importlib.metadata.distributions()),
    "own packages": site.ENABLE_USER_SITE,
    "command": shutil.which("swift").removeprefix(sys.prefix.removesuffix("/tools")),
}))
"""


def test_the_tool_chain_is_a_kernel_apart_from_jupyter(shared_stack: Stack) -> None:
    if not (TOOLS / ".ready").exists():
        pytest.skip("the torch image is not installed")
    shared_stack.add_user("tuner")
    assert shared_stack.start("tuner", image="cpu").status_code in (201, 202)
    eventually(lambda: shared_stack.api("GET", "/users/tuner").json()["servers"].get("", {}).get("ready"), seconds=90)
    jupyter, run = Jupyter(f"{shared_stack.url}/user/tuner/", shared_stack.user_token("tuner")), Run()
    try:
        with jupyter.kernel("", name="tools") as socket:
            jupyter.execute(socket, TOOL_CHAIN, run)
    finally:
        shared_stack.stop("tuner")
    found = json.loads(run.printed)
    versions = lock(PROJECT / "images/tools/requirements.lock")
    assert found == {
        "swift": versions["ms-swift"], "evalscope": versions["evalscope"],
        "jupyter": False, "own packages": False, "command": "/bin/swift",
    }  # fmt: skip
