"""The catalog as a whole. Each part has a module of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import Field, field_validator

from spawner.catalog.allowances import Allowances
from spawner.catalog.audiences import Policy
from spawner.catalog.cached_models import Model
from spawner.catalog.examples import Example
from spawner.catalog.flavors import Flavor
from spawner.catalog.images import Image
from spawner.catalog.keep import Keep
from spawner.catalog.limits import Defaults, Limits, Queue
from spawner.catalog.parts import Part, echo
from spawner.catalog.sessions import Sessions
from spawner.catalog.variables import MOST_VARIABLES, check_variables
from spawner.errors import BadOption

Named = TypeVar("Named", Flavor, Image, Example, Model)


class Catalog(Part):
    """Everything on offer."""

    flavors: tuple[Flavor, ...] = Field(min_length=1)
    images: tuple[Image, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    models: tuple[Model, ...] = Field(default=(), description="Models of the cache; docs/models.md.")
    defaults: Defaults
    limits: Limits = Limits()
    queue: Queue = Queue()
    sessions: Sessions = Sessions()
    policies: tuple[Policy, ...] = Field(
        default=(), description="Who may use what. Without any, everything is for everybody."
    )
    allowances: Allowances = Allowances()
    keep: Keep = Keep()
    environment: dict[str, str] = Field(
        default={},
        max_length=MOST_VARIABLES,
        description="Variables of every instance, such as PIP_INDEX_URL for a package mirror. Not secret: users read "
        "them.",
    )

    @field_validator("environment")
    @classmethod
    def _can_be_set(cls, value: dict[str, str]) -> dict[str, str]:
        return check_variables(value)

    def flavor(self, flavor_id: str) -> Flavor:
        """The flavor with this id; `BadOption` names the known ones."""
        return _find(self.flavors, flavor_id, "flavor")

    def image(self, image_id: str) -> Image:
        """The image with this id, or that had it before; `BadOption` names the known ones."""
        return _find(self.images, self.image_id(image_id), "image")

    def image_id(self, image_id: str) -> str:
        """The id of today of an image that may be named by one of before."""
        return next((image.id for image in self.images if image_id in image.formerly), image_id)

    def example(self, example_id: str) -> Example:
        """The example with this id; `BadOption` names the known ones."""
        return _find(self.examples, example_id, "example")

    def model(self, model_id: str) -> Model:
        """The model with this id; `BadOption` names the known ones."""
        return _find(self.models, model_id, "model")


def _find(parts: Sequence[Named], wanted: str, kind: str) -> Named:
    for part in parts:
        if part.id == wanted:
            return part
    raise BadOption(
        "Unknown {kind}: {wanted}.",
        next_step="Available: {known}.",
        kind=kind,
        wanted=echo(wanted),
        known=", ".join(part.id for part in parts) or "(none)",
    )
