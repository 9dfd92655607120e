"""What a person asked for, as they sent it, made into what the catalog has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawner.catalog import Catalog, Example, Flavor, Image, echo
from spawner.errors import BadOption

KNOWN = ("flavor", "image", "example")
TICKET = "ticket"
"""What the steward and the desk add where they start what is held for somebody: only for that ticket, or not at all."""


@dataclass(frozen=True)
class Choice:
    """One flavor, one image, and the example to open, if any."""

    flavor: Flavor
    image: Image
    example: Example | None

    def to_options(self) -> dict[str, str]:
        """The ids, as they are sent to JupyterHub."""
        options = {"flavor": self.flavor.id, "image": self.image.id}
        return options | ({"example": self.example.id} if self.example else {})


def choose(catalog: Catalog, options: Mapping[Any, Any]) -> Choice:
    """Check options (`flavor`, `image`, `example`: ids) and fill in the defaults.

    An example brings its own image. Raises `BadOption` with a sentence that names what is known.
    """
    unknown = [key for key in options if key not in KNOWN]
    if unknown:
        raise BadOption(
            "{key} is not an option.",
            next_step="The options are: {known}.",
            key=echo(unknown[0]),
            known=", ".join(KNOWN),
        )
    ids: dict[str, str] = {}
    for key, value in options.items():
        if value is None or value == "":
            continue
        if not isinstance(value, str) or not value.isascii() or len(value) > 31:
            raise BadOption(
                "{value} is no {key}.",
                next_step="Send the id of one, as text: {known}.",
                value=echo(value),
                key=key,
                known=", ".join(_known(catalog, key)) or "(none)",
            )
        ids[key] = value
    example = catalog.example(ids["example"]) if "example" in ids else None
    image = catalog.image(ids.get("image", example.image if example else catalog.defaults.image))
    if example and example.image != image.id:
        raise BadOption(
            "The example {example} needs the image {needed}, not {image}.",
            next_step="Leave the image out, or name {needed}.",
            example=example.id,
            needed=example.image,
            image=image.id,
        )
    return Choice(catalog.flavor(ids.get("flavor", catalog.defaults.flavor)), image, example)


def _known(catalog: Catalog, key: str) -> list[str]:
    if key == "flavor":
        return [flavor.id for flavor in catalog.flavors]
    if key == "image":
        return [image.id for image in catalog.images]
    return [example.id for example in catalog.examples]
