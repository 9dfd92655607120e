"""Whether an example fits a machine type. Pure; the desk says it before the click."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spawner.catalog import Example, Flavor


class Lack(StrEnum):
    """What a machine type has too little of."""

    GPU = "gpu"
    GPU_MEMORY = "gpu_memory"
    MEMORY = "memory"
    DISK = "disk"
    TIME = "time"


@dataclass(frozen=True)
class Resources:
    """What a machine type has, or what something needs of one: bytes, and seconds of a session.

    `gpu_memory`: bytes of one GPU; None: no GPU.
    """

    memory: int = 0
    disk: int = 0
    seconds: int = 0
    gpu_memory: int | None = None


NOTHING = Resources()


def disk_needed(example: Example, download: int) -> int:
    """Bytes of the workspace: of files that the example makes, and of models that it downloads."""
    return int(example.needs.disk or 0) + download


def needs_of(example: Example, *, download: int = 0) -> Resources:
    """What an example needs. `download`: bytes of models that are not in the cache, and so are downloaded."""
    needs = example.needs
    gpu = None if needs.accelerator_memory is None else int(needs.accelerator_memory)
    return Resources(int(needs.memory), disk_needed(example, download), needs.seconds, gpu)


def resources_of(flavor: Flavor) -> Resources:
    """What a machine type has, for those whose sessions no policy shortens."""
    gpu = None if flavor.accelerator is None else int(flavor.accelerator.memory)
    return Resources(int(flavor.memory), int(flavor.disk), flavor.session_minutes * 60, gpu)


def lacks(needs: Resources, has: Resources) -> tuple[Lack, ...]:
    """What there is too little of; empty where it fits."""
    found: list[Lack] = []
    if needs.gpu_memory is not None and has.gpu_memory is None:
        found.append(Lack.GPU)
    elif needs.gpu_memory is not None and has.gpu_memory is not None and has.gpu_memory < needs.gpu_memory:
        found.append(Lack.GPU_MEMORY)
    if has.memory < needs.memory:
        found.append(Lack.MEMORY)
    if has.disk < needs.disk:
        found.append(Lack.DISK)
    if has.seconds < needs.seconds:
        found.append(Lack.TIME)
    return tuple(found)
