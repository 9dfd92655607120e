"""Forms and queries of the pages and the API of paid instances."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from spawner.errors import BadOption
from spawner.paid.quotes import HOUR, Needs

GIB = 1024**3
Hours = Literal["0.5", "1", "2", "4", "8", "24"]
IdleMinutes = Literal["15", "30", "60", "120", "0"]
Cpus = Literal["0", "2", "4", "8", "16"]
Memories = Literal["0", "8", "16", "32", "64"]
Gpus = Literal["0", "1", "2", "4", "8"]
HOURS, IDLE_MINUTES, CPUS, MEMORIES, GPUS = (
    get_args(options) for options in (Hours, IdleMinutes, Cpus, Memories, Gpus)
)
"""The options of the pages. Memory is in GiB; 0 idle minutes: no limit; 0 elsewhere: any."""
WORKSPACE = "workspace-"
"""Before the region, in the names of the fields that choose a workspace."""
NOT_A_NUMBER = "The spending limit must be a number, for example {example}."
ONE_OF = "Choose one of the times on the page."


def _or_any(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return "0"


class LinkForm(BaseModel):
    """`provider` is the id of a cloud."""

    provider: str = ""


class RoleForm(BaseModel):
    """The name of the role that the user created, and the workspaces that they chose, by region."""

    role: Annotated[str, Field(pattern=r"^[A-Za-z0-9.@_-]{1,64}$")]
    workspaces: dict[str, str]

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> RoleForm | None:
        """From the fields of the form; None where the name is not valid."""
        workspaces = {
            name.removeprefix(WORKSPACE): value for name, value in fields.items() if name.startswith(WORKSPACE)
        }
        try:
            return cls(role=fields.get("role", ""), workspaces=workspaces)
        except ValidationError:
            return None


class LimitsForm(BaseModel):
    """The limits of a run. `cap` is an amount in `currency`."""

    cap: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
    currency: str = ""
    hours: Hours
    idle: IdleMinutes

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> LimitsForm:
        """From the fields of the form. Raises `BadOption`."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            if any("cap" in mistake["loc"] for mistake in error.errors()):
                raise BadOption(NOT_A_NUMBER, example="5") from None
            raise BadOption(ONE_OF) from None

    @property
    def max_seconds(self) -> int:
        """Maximum duration of the run."""
        return int(Decimal(self.hours) * HOUR)

    @property
    def idle_seconds(self) -> int | None:
        """Time without use after which the cloud stops the instance; None for no limit."""
        return int(self.idle) * 60 or None


class NeedsQuery(BaseModel):
    """The smallest machine that the page shows. A value that is no option of the page counts as 0."""

    region: str | None = None
    cpu: Annotated[Cpus, WrapValidator(_or_any)] = "0"
    memory: Annotated[Memories, WrapValidator(_or_any)] = "0"
    gpu: Annotated[Gpus, WrapValidator(_or_any)] = "0"

    @property
    def needs(self) -> Needs:
        """As the search for quotes takes it."""
        return needs_of(self.cpu, self.memory, self.gpu)


WholeNumber = Annotated[str, Field(pattern="^[0-9]{1,6}$")]


class QuotesQuery(BaseModel):
    """The smallest machine that the API lists."""

    cpu: WholeNumber = "0"
    memory: WholeNumber = "0"
    gpu: WholeNumber = "0"

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> QuotesQuery:
        """From the query. Raises `BadOption`."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            name = error.errors()[0]["loc"][0]
            raise BadOption("{name} must be a whole number.", name=name) from None

    @property
    def needs(self) -> Needs:
        """As the search for quotes takes it."""
        return needs_of(self.cpu, self.memory, self.gpu)


def needs_of(cpu: str, memory: str, gpu: str) -> Needs:
    """Memory is in GiB."""
    return Needs(cpu=int(cpu), memory=int(memory) * GIB, gpu_count=int(gpu))


class AnswerForm(BaseModel):
    """`word` is the one-time token of the page that asked for consent."""

    word: str = ""


class SeenForm(BaseModel):
    """`instance` is the id of the instance whose page the user was on; empty on the other pages."""

    instance: str = ""
