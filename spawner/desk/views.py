"""Names in the API that version 0.1 had. They are served until the next release."""

from __future__ import annotations

from pydantic.config import JsonDict

DEPRECATED: JsonDict = {"deprecated": True}
"""For `computed_field`. `Field(deprecated=True)` would warn each time that the model is written."""
