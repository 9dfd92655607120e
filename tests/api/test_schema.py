"""Answers to valid and invalid requests match the OpenAPI document."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from spawner.desk.admin.commands import COMMANDS
from tests.api.conftest import Caller
from tests.stack import Stack

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]
OPERATIONS = [
    ("GET", "/api/state"),
    ("GET", "/api/free"),
    ("GET", "/api/session"),
    ("POST", "/api/session/extend"),
    ("POST", "/api/session/notices"),
    ("POST", "/api/session/answer"),
    ("GET", "/api/allowance"),
    ("POST", "/api/instance"),
    ("GET", "/api/ticket"),
    ("POST", "/api/ticket"),
    ("POST", "/api/ticket/cancel"),
    ("POST", "/api/ticket/take"),
    ("POST", "/api/instance/stop"),
    ("POST", "/api/instance/restart"),
    ("GET", "/api/history"),
    ("GET", "/api/history/hours"),
    ("GET", "/api/instance/changes"),
    ("GET", "/api/keep"),
    ("POST", "/api/keep"),
    ("POST", "/api/keep/{id}/restore"),
    ("POST", "/api/keep/{id}/delete"),
    ("GET", "/api/end/{id}"),
    ("POST", "/api/open"),
    ("GET", "/api/announcement"),
]
OF_PEOPLE = [
    ("GET", "/api/admin/people"),
    ("GET", "/api/admin/people/{id}"),
    ("POST", "/api/admin/people/{id}/ban"),
    ("POST", "/api/admin/people/{id}/unban"),
    ("GET", "/api/admin/people/{id}/export"),
    ("GET", "/api/admin/people/{id}/forget"),
    ("POST", "/api/admin/people/{id}/forget"),
]
OF_NOTEBOOKS = [
    ("GET", "/api/admin/notebooks"),
    ("POST", "/api/admin/notebooks/stop"),
    ("POST", "/api/admin/notebooks/message"),
]
COMMANDED = [("POST", f"/api/admin/{path}") for path in COMMANDS]
FOR_ADMINS = [*OF_PEOPLE, ("GET", "/api/admin"), *COMMANDED, *OF_NOTEBOOKS]
EXAMPLES = int(os.environ.get("FREEPOOL_EXAMPLES") or 6)
"""Number of requests that the document allows; as many again are sent that it does not."""


@pytest.fixture(scope="module")
def described(shared_stack: Stack) -> BaseSchema:
    """The document as the desk serves it."""
    return schemathesis.openapi.from_url(f"{shared_stack.url}/services/desk/api/openapi.json")


def test_the_document_has_every_operation(described: BaseSchema) -> None:
    operations = [result.ok() for result in described.get_all_operations()]
    assert [(operation.method.upper(), operation.path) for operation in operations] == OPERATIONS + FOR_ADMINS


@pytest.mark.parametrize(
    ("mode", "method", "path"),
    [(GenerationMode.POSITIVE, *operation) for operation in OPERATIONS]
    + [(GenerationMode.NEGATIVE, *operation) for operation in OPERATIONS if operation[0] == "POST"],
)
def test_answers_to_users_match_the_document(
    described: BaseSchema, caller: Caller, mode: GenerationMode, method: str, path: str
) -> None:
    check_answers(described, caller, mode, method, path)


@pytest.mark.parametrize(
    ("mode", "method", "path"),
    [(GenerationMode.POSITIVE, *operation) for operation in FOR_ADMINS]
    + [(GenerationMode.NEGATIVE, *operation) for operation in FOR_ADMINS if operation[0] == "POST"],
)
def test_answers_to_administrators_match_the_document(
    described: BaseSchema, admin: Caller, mode: GenerationMode, method: str, path: str
) -> None:
    check_answers(described, admin, mode, method, path)


def check_answers(described: BaseSchema, caller: Caller, mode: GenerationMode, method: str, path: str) -> None:
    """Send requests that the document allows, or others, and compare the answers with it."""
    requests = described[path][method].as_strategy(generation_mode=mode)

    # No shrinking: each example is a real request, and the failing one is printed as a curl command.
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests)
    def check(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"token {caller.token}"}, checks=CHECKS, timeout=30)

    check()
