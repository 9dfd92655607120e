"""Images that had another id before: what still names that means the image of today."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def old_ids(data: dict[Any, Any]) -> dict[str, str]:
    """Ids of today by ids of before, in a catalog as it was read."""
    images = data.get("images")
    found: dict[str, str] = {}
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict) and isinstance(image.get("formerly"), list):
            found |= {old: image["id"] for old in image["formerly"] if isinstance(old, str) and "id" in image}
    return found


def with_todays_ids(data: dict[Any, Any]) -> dict[Any, Any]:
    """A catalog as it was read, with its policies, warm rules, examples and defaults naming ids of today."""
    names = old_ids(data)
    if not names:
        return data
    changed = {
        "policies": _each(data.get("policies"), "images", names),
        "examples": _each(data.get("examples"), "image", names),
        "defaults": _one(data.get("defaults"), "image", names),
    }
    flavors = data.get("flavors")
    if isinstance(flavors, list):
        changed["flavors"] = [_warm(flavor, names) for flavor in flavors]
    return {**data, **{key: value for key, value in changed.items() if key in data}}


def mistakes_of(data: dict[Any, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """An id of before that is one of today."""
    images = data.get("images")
    known = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    ids = {image["id"] for image in known if isinstance(image.get("id"), str)}
    for index, image in enumerate(known):
        names = image.get("formerly")
        for place, old in enumerate(names if isinstance(names, list) else ()):
            if isinstance(old, str) and old in ids:
                yield (
                    ("images", index, "formerly", place),
                    f"{old} is the id of an image. Name ids that are unused now.",
                )


def _one(part: Any, key: str, names: dict[str, str]) -> Any:
    if not isinstance(part, dict) or key not in part:
        return part
    value = part[key]
    if isinstance(value, list):
        return {**part, key: [names.get(one, one) if isinstance(one, str) else one for one in value]}
    return {**part, key: names.get(value, value) if isinstance(value, str) else value}


def _each(parts: Any, key: str, names: dict[str, str]) -> Any:
    return [_one(part, key, names) for part in parts] if isinstance(parts, list) else parts


def _warm(flavor: Any, names: dict[str, str]) -> Any:
    if not isinstance(flavor, dict):
        return flavor
    rules = flavor.get("warm")
    if isinstance(rules, list):
        return {**flavor, "warm": _each(rules, "image", names)}
    return {**flavor, "warm": _one(rules, "image", names)} if isinstance(rules, dict) else flavor
