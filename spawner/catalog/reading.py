"""Reading the file: every mistake in it is told at once, with its line and how to mend it.

Reporting one mistake per restart would take many restarts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spawner.catalog.model import Catalog
from spawner.catalog.parts import Part, echo
from spawner.catalog.renames import mistakes_of, with_todays_ids
from spawner.errors import CatalogInvalid
from spawner.yaml_text import compose_yaml, parse_yaml


def load_catalog(path: Path) -> Catalog:
    """Read and check the catalog. Raises `CatalogInvalid` with every mistake found."""
    try:
        text = path.read_text(encoding="utf-8")
        root = compose_yaml(text)
        data = parse_yaml(text)
    except OSError as error:
        raise CatalogInvalid(str(path), [f"cannot be read: {error.strerror}. Check the path."]) from None
    except UnicodeDecodeError as error:
        raise CatalogInvalid(str(path), [f"is not UTF-8 at byte {error.start}. Save it as UTF-8."]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "somewhere"
        problem = getattr(error, "problem", None) or str(error)
        raise CatalogInvalid(str(path), [f"{place}: not YAML: {problem}. Check indentation and quotes."]) from None
    if not isinstance(data, dict):
        raise CatalogInvalid(str(path), ["line 1: must be a mapping with flavors, images and defaults."])
    data = with_todays_ids(data)
    mistakes: list[tuple[int, str]] = []
    catalog: Catalog | None = None
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        for item in error.errors():
            if item["type"] == "too_short" and item["input"]:
                continue  # it is not empty: each of its parts has a mistake, and those are told
            mistakes.append((_line(root, item["loc"]), _say(item)))
    for where, sentence in _cross_check(data):
        mistakes.append((_line(root, where), f"{_dotted(where)}: {sentence}"))
    if mistakes or catalog is None:
        raise CatalogInvalid(str(path), [f"line {line}: {sentence}" for line, sentence in sorted(set(mistakes))])
    return catalog


def _dotted(place: Iterable[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _line(root: yaml.Node | None, place: Sequence[str | int]) -> int:
    """Line (from 1) of the deepest node that exists on the way to `place`."""
    node = root
    line = node.start_mark.line if node else 0
    for step in place:
        following: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    following = value
                    line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            following = node.value[step]
            line = following.start_mark.line
        if following is None:
            break
        node = following
    return line + 1


_REMEDIES = {
    "missing": "is missing. Add it.",
    "string_pattern_mismatch": "must start with a letter and hold only a-z, 0-9 and -, 31 characters at most.",
    "byte_size": "is not a valid size. Write it as 512MiB or 2GiB.",
    "byte_size_unit": "is not a valid size. Write it as 512MiB or 2GiB.",
}


def _say(item: Any) -> str:
    place, kind = item["loc"], item["type"]
    if kind == "extra_forbidden":
        others = [key for key in _known_keys() if key != place[-1]]  # it may be a key of another part
        guess = difflib.get_close_matches(str(place[-1]), others, n=1)
        hint = f" Did you mean {guess[0]}?" if guess else " Remove it."
        return f"{_dotted(place)}: is not known.{hint}"
    remedy = _REMEDIES.get(kind)
    if remedy is None:
        remedy = f"{item['msg'][0].lower()}{item['msg'][1:]}, but is {echo(item['input'])}."
    return f"{_dotted(place)}: {remedy}"


def _known_keys() -> list[str]:
    fields = (item for part in Part.__subclasses__() for item in part.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


def _cross_check(data: dict[Any, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """References between parts, checked on the raw data so that one mistake does not hide another."""
    ids: dict[str, list[str]] = {}
    for group in ("flavors", "images", "examples", "models"):
        ids[group] = []
        for index, part in enumerate(_listing(data.get(group))):
            name = part.get("id")
            if isinstance(name, str) and name in ids[group]:
                yield (group, index, "id"), f"{name} is used twice. Give each its own id."
            ids[group].append(str(name))
    for index, part in enumerate(_listing(data.get("flavors"))):
        rules = part.get("warm")
        for place, rule in enumerate(_listing(rules)):
            yield from _reference(("flavors", index, "warm", place, "image"), rule.get("image"), ids["images"])
        if isinstance(rules, dict):
            yield from _reference(("flavors", index, "warm", "image"), rules.get("image"), ids["images"])
    for index, part in enumerate(_listing(data.get("examples"))):
        yield from _reference(("examples", index, "image"), part.get("image"), ids["images"])
        names = part.get("models")
        for place, wanted in enumerate(names if isinstance(names, list) else ()):
            yield from _reference(("examples", index, "models", place), wanted, ids["models"])
    yield from mistakes_of(data)
    yield from _check_policies(_listing(data.get("policies")), ids)
    yield from _check_allowances(data)
    defaults = data.get("defaults")
    if isinstance(defaults, dict):
        yield from _reference(("defaults", "flavor"), defaults.get("flavor"), ids["flavors"])
        yield from _reference(("defaults", "image"), defaults.get("image"), ids["images"])


def _check_policies(
    policies: list[dict[str, Any]], ids: dict[str, list[str]]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Policies give what exists. Where they speak of flavors, or of images, each of them is given to somebody."""
    for kind in ("flavors", "images"):
        given = [policy[kind] for policy in policies if isinstance(policy.get(kind), list)]
        for index, policy in enumerate(policies):
            names = policy.get(kind)
            for place, wanted in enumerate(names if isinstance(names, list) else ()):
                yield from _reference(("policies", index, kind, place), wanted, ids[kind])
        for index, name in enumerate(ids[kind]):
            if given and not any(name in names for names in given):
                yield (
                    (kind, index, "id"),
                    f"{echo(name)} is given to nobody: policies name other {kind}. Add it to the {kind} of a policy, "
                    "such as one with for: everybody.",
                )


def _check_allowances(data: dict[Any, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each class has its own id, and flavors and policies name classes that exist."""
    allowances = data.get("allowances")
    known: list[str] = []
    for index, part in enumerate(_listing(allowances.get("classes")) if isinstance(allowances, dict) else ()):
        name = part.get("id")
        if isinstance(name, str) and name in known:
            yield ("allowances", "classes", index, "id"), f"{name} is used twice. Give each its own id."
        known.append(str(name))
    for index, flavor in enumerate(_listing(data.get("flavors"))):
        uses = flavor.get("allowance")
        if isinstance(uses, dict):
            yield from _reference(("flavors", index, "allowance", "class"), uses.get("class"), known)
    for index, policy in enumerate(_listing(data.get("policies"))):
        given = policy.get("allowances")
        for name in given if isinstance(given, dict) else ():
            yield from _reference(("policies", index, "allowances", name), name, known)


def _listing(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _reference(
    place: tuple[str | int, ...], wanted: Any, known: list[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(wanted, str) and wanted not in known:
        yield place, f"{echo(wanted)} does not exist. Available: {', '.join(known) or '(none)'}."
