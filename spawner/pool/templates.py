"""What a new slot of a flavor and image is made from, and whether a slot that waits was made from the same."""

from __future__ import annotations

from collections.abc import Iterable

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger.pool.rows import Slot, SlotState
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


def outdated(catalog: Catalog, backend: Backend, slots: Iterable[Slot]) -> set[str]:
    """The instances that were started from another template than the present one of their flavor and image."""
    flavors = {one.id: one for one in catalog.flavors}
    images = {one.id: one for one in catalog.images}
    return {
        slot.holder_id
        for slot in slots
        if slot.state is SlotState.CLAIMED and slot.holder_id is not None
        if slot.flavor not in flavors
        or slot.image not in images
        or not is_current(slot, version_of(catalog, backend, flavors[slot.flavor], images[slot.image]))
    }
