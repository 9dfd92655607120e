"""What the handlers of open links share."""

from __future__ import annotations

from spawner.desk.user.instance import SpawnRequestHandler
from spawner.desk.user.views import ExampleView
from spawner.errors import BadOption
from spawner.links.target import CHECK_LINK, Kind, Target, read_target


class LinkHandler(SpawnRequestHandler):
    """Base of pages and API."""

    def read(self, fields: dict[str, str]) -> Target:
        """The target that a query or a form names. Raises `BadOption`."""
        target = read_target(fields, self.desk.settings.links.also_allow)
        if target is None:
            raise BadOption("This link does not say what to open.", next_step=CHECK_LINK)
        return target

    def page_of(self, target: Target) -> str:
        """The address of its page."""
        return f"{self.desk.base}open?{target.query}"

    def image_of(self, target: Target) -> str | None:
        """The image that it needs; None: any."""
        return self.desk.catalog.example(target.example).image if target.kind is Kind.EXAMPLE else None

    @staticmethod
    def example_in(target: Target, examples: list[ExampleView]) -> ExampleView | None:
        """What the catalog says of it. Raises `BadOption` for an example that it does not have."""
        if target.kind is not Kind.EXAMPLE:
            return None
        found = next((example for example in examples if example.id == target.example), None)
        if found is None:
            raise BadOption("This link's example does not exist.", next_step=CHECK_LINK)
        return found
