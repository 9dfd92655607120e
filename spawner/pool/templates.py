"""What a new slot of a flavor and image is made from, and whether a slot that waits was made from the same."""

from __future__ import annotations

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger.pool.rows import Slot
from spawner.pool.backends.base import Backend, SlotSpec


def examples_of(catalog: Catalog, image: Image) -> tuple[str, ...]:
    """The folders of the image's examples."""
    return tuple(example.path.split("/")[0] for example in catalog.examples if example.image == image.id)


def template_of(catalog: Catalog, flavor: Flavor, image: Image) -> SlotSpec:
    """A slot of this flavor and image without an id and a key."""
    return SlotSpec(id="", flavor=flavor, image=image, key=b"", examples=examples_of(catalog, image))


def version_of(catalog: Catalog, backend: Backend, flavor: Flavor, image: Image) -> str:
    """The version of slots that are created now."""
    return backend.version(template_of(catalog, flavor, image))


def is_current(slot: Slot, version: str) -> bool:
    """Whether a slot was made from the template of this version. One without a version was."""
    return slot.version is None or slot.version == version
