"""The catalog: the flavors, images, examples and limits on offer, in one YAML file."""

from spawner.catalog.allowances import AllowanceClass, Allowances, FlavorAllowance, Week
from spawner.catalog.audiences import Audience, Membership, Policy
from spawner.catalog.cached_models import Model, Source
from spawner.catalog.examples import Example, Needs
from spawner.catalog.flavors import OURS_TO_DECIDE, Accelerator, Flavor, PodFields, Warm
from spawner.catalog.images import Image
from spawner.catalog.limits import Defaults, Limits, Queue
from spawner.catalog.model import Catalog
from spawner.catalog.parts import LONGEST_ECHO, Part, Text, echo
from spawner.catalog.policies import Denial, Rights, groups_for, rights_of
from spawner.catalog.reading import load_catalog
from spawner.catalog.sessions import Sessions
from spawner.catalog.variables import FILE_VARIABLES

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
