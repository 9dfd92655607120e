"""The table of routes has the methods and arguments of each URL of the API."""

from __future__ import annotations

import inspect
import re

import pytest
from tornado.web import RequestHandler

from spawner.desk.admin import routes as admin
from spawner.desk.app import api_document
from spawner.desk.common import StreamHandler
from spawner.desk.paid import routes as paid
from spawner.desk.routes import Parameter, Route, tornado_routes
from spawner.desk.user import routes as user
from spawner.desk.user.session import SessionEventsHandler

API = [route for route in (*user.ROUTES, *admin.ROUTES, *paid.API) if route.path.startswith("api/")]
METHODS = ("get", "head", "post", "put", "patch", "delete")


@pytest.mark.parametrize("route", API, ids=lambda route: route.path)
def test_each_method_of_the_api_is_described_and_no_other(route: Route) -> None:
    methods = {name for name in METHODS if getattr(route.handler, name) is not getattr(RequestHandler, name)}
    streams = issubclass(route.handler, StreamHandler | SessionEventsHandler)  # OpenAPI has no words for them
    assert {operation.method for operation in route.operations} == (set() if streams else methods)
    for name in methods:
        taken = list(inspect.signature(getattr(route.handler, name)).parameters)[1:]
        assert len(taken) == len(route.parameters) == len(re.findall(r"\{\w+\}", route.path))


def test_a_path_is_literal_except_for_its_parameters() -> None:
    route = Route("a/{id}.json", RequestHandler, parameters=(Parameter("id", {}, "[0-9]+"),), old_path="b/{id}")
    (first, _, options), (second, _, _) = tornado_routes("/desk/", [route], desk=1)
    assert (first, second, options) == (r"/desk/a/([0-9]+)\.json", "/desk/b/([0-9]+)", {"desk": 1})


def test_an_old_path_is_served_and_not_described() -> None:
    document = api_document(has_paid=True)
    old = [route.old_path for route in API if route.old_path]
    assert len(old) > len(admin.COMMANDS)
    assert not {f"/{path}" for path in old} & document["paths"].keys()
    assert "/api/paid" not in api_document(has_paid=False)["paths"]
