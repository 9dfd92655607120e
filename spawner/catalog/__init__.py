"""The catalog: the flavors, images, examples and limits on offer, in one YAML file."""

from spawner.catalog.allowances import AllowanceClass, Allowances, FlavorAllowance, Week
from spawner.catalog.cached_models import Model, Source
from spawner.catalog.model import (
    FILE_VARIABLES,
    OURS_TO_DECIDE,
    Accelerator,
    Audience,
    Catalog,
    Defaults,
    Example,
    Flavor,
    Image,
    Limits,
    Membership,
    Needs,
    PodFields,
    Policy,
    Queue,
    Warm,
)
from spawner.catalog.parts import LONGEST_ECHO, Part, Text, echo
from spawner.catalog.policies import Denial, Rights, groups_for, rights_of
from spawner.catalog.reading import load_catalog
from spawner.catalog.sessions import Sessions

__all__ = [
    "FILE_VARIABLES",
    "LONGEST_ECHO",
    "OURS_TO_DECIDE",
    "Accelerator",
    "AllowanceClass",
    "Allowances",
    "Audience",
    "Catalog",
    "Defaults",
    "Denial",
    "Example",
    "Flavor",
    "FlavorAllowance",
    "Image",
    "Limits",
    "Membership",
    "Model",
    "Needs",
    "Part",
    "PodFields",
    "Policy",
    "Queue",
    "Rights",
    "Sessions",
    "Source",
    "Text",
    "Warm",
    "Week",
    "echo",
    "groups_for",
    "load_catalog",
    "rights_of",
]
