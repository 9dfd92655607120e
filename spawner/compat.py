"""What Python 3.10 lacks."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout
    from enum import StrEnum
else:  # pragma: no cover - run by the 3.10 job only
    from enum import Enum

    from async_timeout import timeout

    class StrEnum(str, Enum):
        """A string that is one of a few."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]


__all__ = ["StrEnum", "timeout"]
