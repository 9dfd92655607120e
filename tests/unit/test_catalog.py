"""A catalog's mistakes are all reported at once, each with its line and remedy."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml

from spawner.catalog import LONGEST_ECHO, Text, echo, load_catalog
from spawner.errors import BadOption, CatalogInvalid
from tests.stack import PROJECT

SHIPPED = PROJECT / "hub_config" / "catalog.yaml"

GOOD = """\
flavors:
  - id: small
    title: {en: Small, zh: 小}
    summary: {en: Small, zh: 小}
    cpu: 1
    memory: 512MiB
    disk: 64MiB
images:
  - id: cpu
    title: {en: Light, zh: 轻量}
    summary: {en: Light, zh: 轻量}
    environment: cpu
examples:
  - id: ocr
    image: cpu
    path: ocr/ocr.ipynb
    title: {en: Read, zh: 读}
    summary: {en: Read, zh: 读}
    needs: {memory: 1MiB, seconds: 1}
defaults:
  flavor: small
  image: cpu
"""


def mistakes_of(text: str | bytes, folder: Path) -> list[str]:
    path = folder / "catalog.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CatalogInvalid) as caught:
        load_catalog(path)
    assert str(path) in str(caught.value)
    for mistake in caught.value.mistakes:
        assert mistake in str(caught.value)
    return list(caught.value.mistakes)


def position_of(text: str, part: str, nth: int = 1) -> int:
    """Number of the line with the nth occurrence of `part`."""
    return [number for number, line in enumerate(text.splitlines(), 1) if part in line][nth - 1]


def change(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after, 1)


def test_the_shipped_catalog_is_valid() -> None:
    catalog = load_catalog(SHIPPED)
    assert catalog.flavor(catalog.defaults.flavor).warm[0].floor > 0
    assert all((PROJECT / "images" / "examples" / example.path).is_file() for example in catalog.examples)


def test_an_example_in_chinese_is_in_the_same_folder(tmp_path: Path) -> None:
    line = "    path: ocr/ocr.ipynb\n"
    [mistake] = mistakes_of(change(line, f"{line}    path_zh: other/ocr.zh.ipynb\n"), tmp_path)
    assert "path_zh must be in the folder of path" in mistake
    (tmp_path / "catalog.yaml").write_text(change(line, f"{line}    path_zh: ocr/ocr.zh.ipynb\n"))
    example = load_catalog(tmp_path / "catalog.yaml").examples[0]
    assert [example.path_in(language) for language in ("en", "zh-CN", "de")] == [
        "ocr/ocr.ipynb",
        "ocr/ocr.zh.ipynb",
        "ocr/ocr.ipynb",
    ]


def test_the_good_catalog_of_these_tests_is_valid(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(GOOD)
    catalog = load_catalog(tmp_path / "catalog.yaml")
    assert int(catalog.flavor("small").memory) == 512 * 1024**2
    assert catalog.flavor("small").reserved == 512 * 1024**2


@pytest.mark.parametrize("size", ["1,5GiB", "2GiB; rm", "2G iB", "1_000MiB", "lots", "-2GiB", ""])
def test_a_size_is_read_whole_or_not_at_all(size: str, tmp_path: Path) -> None:
    [mistake] = mistakes_of(change("memory: 512MiB", f'memory: "{size}"'), tmp_path)
    assert "memory: is not a valid size. Write it as 512MiB or 2GiB." in mistake


def test_a_flavor_cannot_reserve_more_than_its_memory(tmp_path: Path) -> None:
    text = change("memory: 512MiB", "memory: 512MiB\n    reserve: 1GiB")
    [mistake] = mistakes_of(text, tmp_path)
    assert "small" in mistake
    assert "reserve must not be above memory" in mistake


def test_every_mistake_is_reported_at_once_with_its_line_and_remedy(tmp_path: Path) -> None:
    text = (
        GOOD.replace("memory: 512MiB", "memory: lots")
        .replace("    cpu: 1\n", "    cpus: 1\n")
        .replace("id: cpu\n", "id: CPU 1\n", 1)
        .replace("path: ocr/ocr.ipynb", "path: ../../etc/passwd")
        .replace("  flavor: small", "  flavor: smal")
        .replace("title: {en: Read, zh: 读}", "title: {en: Read}")
    )
    found = mistakes_of(text, tmp_path)

    def about(place: str) -> str:
        (line,) = [mistake for mistake in found if f" {place}:" in mistake]
        return line

    assert about("flavors[0].memory") == (
        f"line {position_of(text, 'memory: lots')}: flavors[0].memory: is not a valid size. Write it as 512MiB or 2GiB."
    )
    assert about("flavors[0].cpus") == (
        f"line {position_of(text, 'cpus')}: flavors[0].cpus: is not known. Did you mean cpu?"
    )
    assert about("flavors[0].cpu") == f"line {position_of(text, '- id: small')}: flavors[0].cpu: is missing. Add it."
    assert about("images[0].id").startswith(
        f"line {position_of(text, 'CPU 1')}: images[0].id: must start with a letter"
    )
    path = about("examples[0].path")
    assert path.startswith(f"line {position_of(text, 'passwd')}: ")
    assert "must be a relative path to an .ipynb file inside the examples folder" in path
    assert about("examples[0].title.zh").startswith(f"line {position_of(text, 'title: {en: Read}')}: ")
    assert about("defaults.flavor") == (
        f"line {position_of(text, 'smal', 2)}: defaults.flavor: 'smal' does not exist. Available: small."
    )
    # The example and the default name the image by the id that it no longer has.
    assert about("examples[0].image").endswith("'cpu' does not exist. Available: CPU 1.")
    assert about("defaults.image").endswith("'cpu' does not exist. Available: CPU 1.")
    assert len(found) == 9


def test_mistakes_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("cpu: 1", "cpu: 0").replace("disk: 64MiB", "disk: 1 room").replace("image: cpu", "image: no")
    lines = [int(re.match(r"line (\d+): ", mistake)[1]) for mistake in mistakes_of(text, tmp_path)]  # type: ignore[index]
    assert lines == sorted(lines)
    assert len(lines) == 4


def test_an_unknown_key_suggests_the_one_that_was_meant(tmp_path: Path) -> None:
    (mistake,) = mistakes_of(GOOD + "limits:\n  start_secnds: 60\n", tmp_path)
    assert mistake.endswith("limits.start_secnds: is not known. Did you mean start_seconds?")


def test_an_unknown_key_that_resembles_nothing_is_to_be_removed(tmp_path: Path) -> None:
    (mistake,) = mistakes_of(GOOD + "qqqqqq: 1\n", tmp_path)
    assert mistake == f"line {len(GOOD.splitlines()) + 1}: qqqqqq: is not known. Remove it."


@pytest.mark.parametrize(
    "path",
    ["../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "notes.txt", "a/../b/x.ipynb"],
)
def test_an_example_stays_inside_the_examples_folder(path: str, tmp_path: Path) -> None:
    (mistake,) = mistakes_of(change("ocr/ocr.ipynb", path), tmp_path)
    assert "inside the examples folder" in mistake


@pytest.mark.parametrize("group", ["flavors", "images", "examples"])
def test_an_id_is_used_once(group: str, tmp_path: Path) -> None:
    data = yaml.safe_load(GOOD)
    data[group].append(copy.deepcopy(data[group][0]))
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    name = data[group][0]["id"]
    line = position_of(text, f"- id: {name}", 2)
    assert mistakes_of(text, tmp_path) == [f"line {line}: {group}[1].id: {name} is used twice. Give each its own id."]


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("    image: cpu", "    image: gpu", "examples[0].image"),
        ("  flavor: small", "  flavor: large", "defaults.flavor"),
        ("  image: cpu\n", "  image: gpu\n", "defaults.image"),
    ],
)
def test_references_must_exist(before: str, after: str, place: str, tmp_path: Path) -> None:
    head, _, tail = GOOD.rpartition(before)
    text = head + after + tail
    (mistake,) = mistakes_of(text, tmp_path)
    assert mistake.startswith(f"line {position_of(text, after.strip(), 1)}: {place}: ")
    assert "does not exist. Available: " in mistake


@pytest.mark.parametrize("text", ["flavors: [", "a: b: c", "\tx: 1", "flavors:\n  - a\n - b\n"])
def test_invalid_yaml_is_reported_with_its_position(text: str, tmp_path: Path) -> None:
    (mistake,) = mistakes_of(text, tmp_path)
    assert re.match(r"line \d+: not YAML: ", mistake)
    assert mistake.endswith("Check indentation and quotes.")


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "42"])
def test_a_catalog_that_is_no_mapping_is_refused_with_the_expected_form(text: str, tmp_path: Path) -> None:
    assert mistakes_of(text, tmp_path) == ["line 1: must be a mapping with flavors, images and defaults."]


def test_invalid_utf8_is_reported_with_its_byte(tmp_path: Path) -> None:
    place = GOOD.encode().index("轻量".encode())
    assert mistakes_of(GOOD.encode().replace("轻量".encode(), "轻量".encode("gb18030")), tmp_path) == [
        f"is not UTF-8 at byte {place}. Save it as UTF-8."
    ]


def test_a_control_character_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    (mistake,) = mistakes_of(GOOD + "\x00", tmp_path)
    assert "not YAML" in mistake


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {a: 1}\nimages: 3\ndefaults: []\n",
        "flavors: [1, [2], null]\nimages: [{id: 7}]\ndefaults: {flavor: 1}\n",
        "? [a, b]\n: 1\nflavors: []\n",
        "1: 2\nflavors: []\nimages: []\ndefaults: {}\n",
    ],
)
def test_parts_of_the_wrong_kind_are_mistakes_and_no_crash(text: str, tmp_path: Path) -> None:
    for mistake in mistakes_of(text, tmp_path):
        assert re.match(r"line \d+: ", mistake)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match=r"cannot be read: No such file or directory\. Check the path\."):
        load_catalog(tmp_path / "nowhere.yaml")


def test_a_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match="cannot be read"):
        load_catalog(tmp_path)


def test_one_mistake_is_counted_as_one(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(change("cpu: 1", "cpu: -1"))
    with pytest.raises(CatalogInvalid, match="1 mistake"):
        load_catalog(tmp_path / "catalog.yaml")


def test_an_unknown_id_is_refused_with_the_known_ones() -> None:
    catalog = load_catalog(SHIPPED)
    with pytest.raises(BadOption, match=r"Unknown flavor: 'moon'\. Available: cpu-basic, cpu-large"):
        catalog.flavor("moon")
    with pytest.raises(BadOption, match="Unknown image: "):
        catalog.image("moon")
    with pytest.raises(BadOption, match="Unknown example: "):
        catalog.example("moon")


@pytest.mark.parametrize("value", ["x" * 10_000, "\ud800", "😀" * 50, {"a": [1] * 1000}, b"\xff" * 99, None])
def test_quoted_values_are_short_and_plain(value: object) -> None:
    echoed = echo(value)
    assert len(echoed) <= LONGEST_ECHO + 1
    echoed.encode()


def test_a_text_is_shown_in_the_users_language() -> None:
    text = Text(en="cat", zh="猫")
    assert [text.in_language(tag) for tag in ("zh", "zh-CN", "ZH-hant", "en", "fr", "")] == [
        "猫", "猫", "猫", "cat", "cat", "cat",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sessions", "mistake"),
    [
        ("{warn_minutes: [10, 30]}", "sessions.warn_minutes: value error, must fall from one to the next"),
        ("{warn_minutes: [5, 5]}", "sessions.warn_minutes: value error, must fall from one to the next"),
        ("{warn_minutes: [3, 1]}", "sessions.warn_minutes: value error, must begin with 5 or more"),
        ("{warn_minutes: []}", "sessions.warn_minutes: tuple should have at least 1 item"),
        ("{extensions: -1}", "sessions.extensions: input should be greater than or equal to 0"),
        ("{grace_minutes: 61}", "sessions.grace_minutes: input should be less than or equal to 60"),
        ("{extension_minute: 5}", "sessions.extension_minute: is not known."),
    ],
)
def test_mistakes_in_the_rules_of_sessions(sessions: str, mistake: str, tmp_path: Path) -> None:
    (found,) = mistakes_of(f"{GOOD}sessions: {sessions}\n", tmp_path)
    assert mistake in found


def test_sessions_have_defaults(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(GOOD)
    found = load_catalog(tmp_path / "catalog.yaml").sessions
    assert (found.extension_minutes, found.extensions, found.grace_minutes) == (60, 2, 10)
    assert found.warn_minutes == (30, 10, 5, 1)
