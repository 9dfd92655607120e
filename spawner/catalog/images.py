"""Images: the software of an instance."""

from __future__ import annotations

from pydantic import Field, model_validator

from spawner.catalog.parts import Identifier, Part, Text


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
