"""Whether files are kept after an end that their user did not ask for: for whom chooses it, with a limit and days."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ByteSize, Field

from spawner.catalog.parts import Part, Size

MIB = 1024**2
LARGEST = ByteSize(4 * 1024 * MIB)
LONGEST_DAYS = 30


class Keep(Part):
    """Users choose on their home page whether their files are kept; without that nothing is."""

    enabled: bool = Field(default=False, description="Whether users can choose it.")
    limit: Size = Field(
        default=ByteSize(64 * MIB),
        ge=1,
        le=LARGEST,
        description="Bytes of the changed files of one notebook that are kept; the largest files are left out first.",
    )
    days: int = Field(default=3, ge=1, le=LONGEST_DAYS, description="After so many days they are deleted.")

    @property
    def duration(self) -> timedelta:
        """`days` as a duration."""
        return timedelta(days=self.days)
