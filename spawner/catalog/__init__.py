"""The catalog: the flavors, images, examples and limits on offer, in one YAML file."""

from spawner.catalog.model import (
    FILE_VARIABLES,
    LONGEST_ECHO,
    OURS_TO_DECIDE,
    Accelerator,
    Catalog,
    Defaults,
    Example,
    Flavor,
    Image,
    Limits,
    Needs,
    Part,
    PodFields,
    Queue,
    Text,
    Warm,
    echo,
)
from spawner.catalog.reading import load_catalog

__all__ = [
    "FILE_VARIABLES",
    "LONGEST_ECHO",
    "OURS_TO_DECIDE",
    "Accelerator",
    "Catalog",
    "Defaults",
    "Example",
    "Flavor",
    "Image",
    "Limits",
    "Needs",
    "Part",
    "PodFields",
    "Queue",
    "Text",
    "Warm",
    "echo",
    "load_catalog",
]
