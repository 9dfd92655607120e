"""Models of the API that several of the desk's pages use."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic.config import JsonDict

DEPRECATED: JsonDict = {"deprecated": True}
"""Marks a `computed_field` that serves a field by its name of version 0.1, until the next release.

`Field(deprecated=True)` would warn each time that the model is written.
"""


class UserView(BaseModel):
    """The signed-in user."""

    name: str
    admin: bool
