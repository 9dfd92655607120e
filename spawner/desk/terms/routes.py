"""The URLs of terms and privacy."""

from __future__ import annotations

from spawner.desk.routes import Route
from spawner.desk.terms.check import PAGE
from spawner.desk.terms.pages import TITLES, AcceptHandler, TextHandler

ROUTES: tuple[Route, ...] = (
    *(Route(name, TextHandler, options={"name": name}) for name in TITLES),
    Route(PAGE, AcceptHandler),
)
