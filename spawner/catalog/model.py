"""What a catalog holds, and the rules of each part by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, Literal, Self, TypeVar

from pydantic import ByteSize, Field, field_validator, model_validator

from spawner.catalog.allowances import Allowances, FlavorAllowance, Hours
from spawner.catalog.cached_models import Model
from spawner.catalog.idle import Idle, IdleChoice, in_short, rules_of
from spawner.catalog.keep import Keep
from spawner.catalog.parts import Identifier, Part, Text, echo
from spawner.catalog.sessions import Sessions
from spawner.errors import BadOption

OURS_TO_DECIDE = frozenset(
    {
        "activeDeadlineSeconds", "automountServiceAccountToken", "containers", "enableServiceLinks",
        "ephemeralContainers", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "initContainers", "nodeSelector",
        "restartPolicy", "runtimeClassName", "securityContext", "serviceAccount", "serviceAccountName",
        "shareProcessNamespace", "terminationGracePeriodSeconds", "tolerations",
    }
)  # fmt: skip
"""Fields of a pod's spec that a catalog may not set: each protects users or the platform, or has a key of its own."""
LONGEST_SESSION_MINUTES = 7 * 24 * 60


class Accelerator(Part):
    """GPUs of one flavor. `memory` is bytes of each."""

    name: str
    count: int = Field(default=1, ge=1, le=16)
    memory: ByteSize
    resource: str = "nvidia.com/gpu"


class PodFields(Part):
    """What only a Kubernetes pool looks at: where a flavor's pods go, and how they are run."""

    node_selector: dict[str, str] = Field(default={})
    tolerations: tuple[dict[str, Any], ...] = ()
    runtime_class: str | None = Field(default=None, description="Such as gvisor or kata; the cluster must know it.")
    host_users: bool | None = Field(
        default=None,
        description="false: each pod has users of its own (a user namespace); true: the node's. Default: its own where "
        "nodes support it, and the node's with an accelerator.",
    )
    extra: dict[str, Any] = Field(
        default={}, description="More fields of the pod's spec. They add; they never take away what protects."
    )

    @field_validator("extra")
    @classmethod
    def _adds_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(OURS_TO_DECIDE.intersection(value))
        if taken:
            raise ValueError(f"may not set {', '.join(taken)}: Freepool decides that")
        volumes = value.get("volumes", [])
        if not isinstance(volumes, list) or not all(isinstance(volume, dict) for volume in volumes):
            raise ValueError("volumes must be a list of mappings")
        if any(
            "hostPath" in volume or volume.get("persistentVolumeClaim", {"readOnly": True}).get("readOnly") is not True
            for volume in volumes
        ):
            raise ValueError("volumes may be read-only claims, but no host paths and nothing that outlives an instance")
        return value


class Warm(Part):
    """How many slots of one image wait, started, for the next person: as many as come, between these two."""

    image: Identifier | None = Field(default=None, description="Default: the catalog's default image.")
    floor: int = Field(default=0, ge=0, le=1000)
    ceiling: int = Field(ge=0, le=1000)

    @model_validator(mode="after")
    def _is_in_order(self) -> Warm:
        if self.floor > self.ceiling:
            raise ValueError("the floor must not be above the ceiling")
        return self


class Flavor(Part):
    """Processors, memory, disk and accelerator on offer. Sizes are bytes; write them as `2GiB`."""

    id: Identifier
    title: Text
    summary: Text
    cpu: float = Field(gt=0, le=256)
    memory: ByteSize
    disk: ByteSize = Field(description="Size of the workspace; it is wiped with the instance.")
    processes: int = Field(default=512, ge=64, le=32768)
    reserve: ByteSize | None = Field(
        default=None,
        description="Memory set aside per slot when room is counted. Notebooks are idle most of the time, so less than "
        "`memory` serves more users. Default: all of `memory`.",
    )
    accelerator: Accelerator | None = None
    session_minutes: int = Field(default=240, ge=1, le=LONGEST_SESSION_MINUTES)
    limit: int = Field(default=1000, ge=0, description="How many of this flavor may exist at once.")
    warm: tuple[Warm, ...] = Field(
        default=(),
        description="How many slots wait, started, for the next person: a number, or floor and ceiling, or a list of "
        "those by image.",
    )
    pod: PodFields = PodFields()
    allowance: FlavorAllowance | None = Field(
        default=None, description="The class whose hours it uses. Default: none; its use is unlimited and not counted."
    )
    idle: IdleChoice = Field(
        default="default",
        description="When an instance that nobody uses is stopped: minutes, or off. Default: after 60 minutes; with an "
        "accelerator after 30, and after 15 while no browser has it open.",
    )

    @field_validator("idle", mode="before", json_schema_input_type=IdleChoice | int | Literal[False] | None)
    @classmethod
    def _idle_in_short(cls, value: Any) -> Any:
        return in_short(value)

    @field_validator("warm", mode="before", json_schema_input_type=int | Warm | list[Warm])
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return [{"floor": value, "ceiling": value}]
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _sets_aside_what_it_may_use(self) -> Flavor:
        if self.reserve is not None and self.reserve > self.memory:
            raise ValueError("reserve must not be above memory: what is set aside is part of it")
        return self

    @property
    def idle_rules(self) -> Idle | None:
        """When an instance that nobody uses is stopped; None: never."""
        return rules_of(self.idle, has_accelerator=self.accelerator is not None)

    @property
    def reserved(self) -> int:
        """Bytes of memory that one slot sets aside."""
        return int(self.reserve if self.reserve is not None else self.memory)


class Image(Part):
    """A prebuilt software environment: a folder for this machine's pool, a container image for a cluster's."""

    id: Identifier
    title: Text
    summary: Text
    formerly: tuple[Identifier, ...] = Field(
        default=(), description="Ids that it had before: they still mean it, in requests, policies and plans."
    )
    environment: Identifier | None = Field(default=None, description="Its folder under the local images folder.")
    reference: str | None = Field(default=None, min_length=1, description="The container image, as a node pulls it.")
    agent: bool = Field(
        default=True,
        description="false for a container image that knows nothing of Freepool, such as the Jupyter Docker Stacks: "
        "it is started on request and never kept warm.",
    )
    command: tuple[str, ...] = Field(
        default=("jupyterhub-singleuser",), min_length=1, description="What an image without the agent runs."
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> Image:
        if self.environment is None and self.reference is None:
            raise ValueError("needs an environment (for this machine) or a reference (for Kubernetes)")
        if not self.agent and self.reference is None:
            raise ValueError("an image without the agent needs a reference: only Kubernetes runs it")
        return self


class Needs(Part):
    """What an example needs: bytes of memory, and seconds to run on one core. `freepool examples measure` finds out."""

    memory: ByteSize
    seconds: int = Field(ge=1)
    disk: ByteSize | None = Field(default=None, description="Of files that it makes. Downloads of models come on top.")
    accelerator_memory: ByteSize | None = Field(
        default=None, description="Memory of one accelerator. Unset: it needs none."
    )


class Example(Part):
    """A notebook that ships with the images. `path_zh`: the same in Chinese; without it, `path` is for all readers."""

    id: Identifier
    image: Identifier
    path: str
    path_zh: str | None = None
    title: Text
    summary: Text
    needs: Needs
    models: tuple[Identifier, ...] = Field(
        default=(), description="Models that it loads. Where one is not in the cache, its download is announced."
    )

    @field_validator("path", "path_zh")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is None:
            return None
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".ipynb":
            raise ValueError("must be a relative path to an .ipynb file inside the examples folder")
        return value

    @model_validator(mode="after")
    def _share_a_folder(self) -> Self:
        if self.path_zh is not None and PurePosixPath(self.path_zh).parent != PurePosixPath(self.path).parent:
            raise ValueError("path_zh must be in the folder of path: both read the same data")
        return self

    def path_in(self, language: str) -> str:
        """The notebook file for readers of a language, a BCP 47 tag such as `zh-CN`, below the examples folder."""
        is_chinese = language.lower().partition("-")[0] == "zh"
        return self.path_zh if is_chinese and self.path_zh else self.path


Named = TypeVar("Named", Flavor, Image, Example, Model)


class Defaults(Part):
    """What a start without options gives."""

    flavor: Identifier
    image: Identifier


class Limits(Part):
    """Limits for all users. Times are in seconds."""

    instances_per_user: int = Field(default=1, ge=1, le=100)
    start_seconds: int = Field(default=60, ge=5, le=3600, description="A start that takes longer has failed.")
    slots_at_once: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many slots may be created for users at once; further starts wait. "
        "Default: one for each processor of this machine; 64 on a cluster. Two for each of its processors serve well.",
    )
    keep_history_days: int = Field(default=90, ge=1)
    replenish_after_seconds: float = Field(
        default=2.0,
        ge=0,
        description="How long after a claim the pool makes the warm slot that replaces the claimed one, so that the "
        "user who has just come gets the processor first.",
    )
    schedule_seconds: int = Field(
        default=10,
        ge=0,
        le=1800,
        description="How long a pod may wait for a node before its start is refused. More where an autoscaler brings "
        "new nodes.",
    )
    no_room_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long a flavor is closed after the cluster had no room for it. Then its queue is tried again.",
    )
    warm_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="A slot that has waited for so long is replaced by a fresh one."
    )
    local_memory: ByteSize | None = Field(
        default=None, description="Memory that all local slots may reserve together. Default: 80 % of the machine's."
    )

    @property
    def no_room_ttl(self) -> timedelta:
        """`no_room_seconds` as a duration."""
        return timedelta(seconds=self.no_room_seconds)


class Queue(Part):
    """What happens when the pool is full."""

    longest: int = Field(default=1000, ge=0, description="How many tickets may wait for one flavor; 0: no queue.")
    hold_seconds: int = Field(
        default=600, ge=10, le=24 * 3600, description="How long a slot is held for a user whose turn has come."
    )
    use_counts: float = Field(
        default=0.25,
        ge=0,
        le=10,
        description="Minutes of handicap for each minute of use in the last day.",
    )
    longest_handicap_minutes: int = Field(default=60, ge=0, le=24 * 60, description="The largest handicap.")
    weights: dict[str, float] = Field(
        default={}, description="Groups whose members' use counts less (2: half) or more (0.5: double)."
    )

    @field_validator("weights")
    @classmethod
    def _are_positive(cls, value: dict[str, float]) -> dict[str, float]:
        for group, weight in value.items():
            if not 0 < weight <= 1000:
                raise ValueError(f"the weight of {group} must be above 0 and at most 1000")
        return value


EVERYBODY = "everybody"
LONGEST_GROUP = 255
"""Characters of a group's name in JupyterHub's database."""


@dataclass(frozen=True)
class Membership:
    """What policies look at: all groups of a person, from every source."""

    groups: frozenset[str] = frozenset()


class Audience(Part):
    """Whom a policy is for."""

    everybody: bool = Field(default=False, description="All users. In short: `for: everybody`.")
    groups: tuple[str, ...] = Field(default=(), description="The members of each of these groups.")

    @field_validator("groups", mode="before")
    @classmethod
    def _are_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("must be a list, such as [staff]")
        if not isinstance(value, list | tuple):
            return value
        for name in value:
            if isinstance(name, int | float):
                raise ValueError(f"{echo(name)} is a number: put it in quotes")
            if isinstance(name, str) and not (0 < len(name.strip()) <= LONGEST_GROUP and name.isprintable()):
                raise ValueError(f"{echo(name)} is not a valid group name")
        return [unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else name for name in value]

    @model_validator(mode="after")
    def _names_somebody(self) -> Audience:
        if self.everybody == bool(self.groups):
            raise ValueError("must name either groups or everybody")
        return self

    def includes(self, membership: Membership) -> bool:
        """Whether the policy is for this person."""
        return self.everybody or not membership.groups.isdisjoint(self.groups)


class Policy(Part):
    """What some users may have. A user has what all policies for them give together."""

    audience: Audience = Field(alias="for", description="everybody, or such as {groups: [staff]}.")
    flavors: tuple[Identifier, ...] | None = Field(
        default=None,
        min_length=1,
        description="Flavors that they may start. Where one policy has this key, each flavor must be in one of them.",
    )
    images: tuple[Identifier, ...] | None = Field(
        default=None,
        min_length=1,
        description="Images that they may start. Where one policy has this key, each image must be in one of them.",
    )
    queue_weight: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Their use counts less in the queue (2: half) or more (0.5: double). For this policy's flavors, or "
        "for all where it names none.",
    )
    session_minutes: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_SESSION_MINUTES,
        description="The longest session, in place of the flavor's. For this policy's flavors, or for all where it "
        "names none.",
    )
    allowances: dict[Identifier, Hours] | None = Field(
        default=None,
        min_length=1,
        description="Hours a week by class, or unlimited, in place of the class's own.",
    )

    @field_validator("audience", mode="before", json_schema_input_type=Literal["everybody"] | Audience)
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if isinstance(value, str) and value != EVERYBODY:
            raise ValueError("must be everybody, or such as {groups: [staff]}")
        return {"everybody": True} if value == EVERYBODY else value

    @model_validator(mode="after")
    def _gives_something(self) -> Policy:
        if all(getattr(self, name) is None for name in type(self).model_fields if name != "audience"):
            raise ValueError("gives nothing: add flavors, images, queue_weight, session_minutes or allowances")
        return self

    def covers(self, flavor_id: str) -> bool:
        """Whether its weight and session length are for this flavor."""
        return self.flavors is None or flavor_id in self.flavors


RESERVED_VARIABLES = frozenset({"HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "PYTHONPATH", "JUPYTER_RUNTIME_DIR"})
"""Variables of an instance that Freepool sets itself."""
FILE_VARIABLES = frozenset(
    {"CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "PIP_CONFIG_FILE", "REQUESTS_CA_BUNDLE"}
    | {"SSL_CERT_FILE"}
)
"""Variables that name a file, which instances must see."""
MOST_VARIABLES = 100
LONGEST_VALUE = 2048


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
        for name, text in value.items():
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in text or len(text) > LONGEST_VALUE:
                raise ValueError(f"{echo(name)} is not a valid variable name, or its value is too long")
            if name in RESERVED_VARIABLES or name.startswith(("JUPYTERHUB_", "FREEPOOL_")):
                raise ValueError(f"{name} may not be set: Freepool sets it itself")
            if name in FILE_VARIABLES and not PurePosixPath(text).is_absolute():
                raise ValueError(f"{name} must be the absolute path of a file, as instances see it")
        return value

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
