"""Spawn options: from the ids that a client sends to the catalog's flavor, image and example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawner.catalog import Catalog, Example, Flavor, Image, echo
from spawner.errors import BadOption
from spawner.ledger import Ticket

KNOWN = ("flavor", "image", "example")
TICKET = "ticket"
"""The option by which the desk and the steward start a called ticket. The hub then reads no other option."""


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

    @classmethod
    def of_ticket(cls, catalog: Catalog, ticket: Ticket) -> Choice:
        """What a ticket is for. Raises `BadOption` where the catalog does not have it any more."""
        example = catalog.example(ticket.example) if ticket.example else None
        return cls(catalog.flavor(ticket.flavor), catalog.image(ticket.image), example)


@dataclass(frozen=True)
class CalledTicket:
    """A ticket that admission has called: its flavor, image and example are in the ledger."""

    ticket_id: str


def ticket_options(ticket: Ticket) -> dict[str, str]:
    """The options that start a called ticket.

    The hub reads only `ticket`. The others are for a hub of the release before, and for `pre_spawn_hook`s.
    """
    options = {"flavor": ticket.flavor, "image": ticket.image, TICKET: ticket.id}
    return options | ({"example": ticket.example} if ticket.example else {})


def read_options(catalog: Catalog, options: Mapping[Any, Any]) -> Choice | CalledTicket:
    """The called ticket that the options name, else the choice that they make. Raises `BadOption`."""
    ticket_id = options.get(TICKET)
    if ticket_id is not None:
        return CalledTicket(str(ticket_id))
    return choose(catalog, {key: value for key, value in options.items() if key != TICKET})


def choose(catalog: Catalog, options: Mapping[Any, Any]) -> Choice:
    """Check options (`flavor`, `image`, `example`: ids) and fill in the defaults.

    An example brings its own image. Raises `BadOption` with a sentence that names what is known.
    """
    unknown = [key for key in options if key not in KNOWN]
    if unknown:
        raise BadOption(
            "Unknown option: {key}.",
            next_step="Available options: {known}.",
            key=echo(unknown[0]),
            known=", ".join(KNOWN),
        )
    ids: dict[str, str] = {}
    for key, value in options.items():
        if value is None or value == "":
            continue
        if not isinstance(value, str) or not value.isascii() or len(value) > 31:
            raise BadOption(
                "{value} is not a valid {key}.",
                next_step="Use one of these ids: {known}.",
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
            next_step="Omit the image, or use {needed}.",
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
