"""Whether an example fits a machine type. Pure; the desk says it before the click."""

from __future__ import annotations

from enum import StrEnum

from spawner.catalog import Example, Flavor


class Lack(StrEnum):
    """What a machine type has too little of."""

    GPU = "gpu"
    GPU_MEMORY = "gpu_memory"
    MEMORY = "memory"
    DISK = "disk"
    TIME = "time"


def disk_needed(example: Example, download: int) -> int:
    """Bytes of the workspace: of files that the example makes, and of models that it downloads."""
    return int(example.needs.disk or 0) + download


def lacks(example: Example, flavor: Flavor, *, download: int = 0) -> tuple[Lack, ...]:
    """What the flavor has too little of for the example; empty where it fits.

    `download`: bytes of models that are not in the cache, and so are downloaded.
    """
    needs, gpu = example.needs, flavor.accelerator
    found: list[Lack] = []
    if needs.accelerator_memory is not None and gpu is None:
        found.append(Lack.GPU)
    elif needs.accelerator_memory is not None and gpu is not None and gpu.memory < needs.accelerator_memory:
        found.append(Lack.GPU_MEMORY)
    if flavor.memory < needs.memory:
        found.append(Lack.MEMORY)
    if int(flavor.disk) < disk_needed(example, download):
        found.append(Lack.DISK)
    if flavor.session_minutes * 60 < needs.seconds:
        found.append(Lack.TIME)
    return tuple(found)
