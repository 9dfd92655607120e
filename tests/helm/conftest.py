"""One installation, shared by the tests of this folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.release import Release, installed_release
from tests.kubernetes.admin import Admin, admin_of_cluster
from tests.kubernetes.conftest import require_images
from tests.session.schedule import move_to_end

LAST = ("test_other_hub.py",)
"""This file uninstalls the shared release, and installs it anew with other values."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest's hook."""
    move_to_end(items, Path(__file__).parent, LAST)


@pytest.fixture(scope="session")
def admin() -> Iterator[Admin]:
    """A real cluster with an administrator's rights. No image is needed."""
    with admin_of_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def admin_with_images(admin: Admin) -> Admin:
    """A real cluster that has the images which the chart needs."""
    require_images()
    return admin


@pytest.fixture(scope="package")
def release(admin_with_images: Admin) -> Iterator[Release]:
    """The chart with its defaults on a real cluster, uninstalled before other suites need the node's resources."""
    with installed_release(admin_with_images, f"freepool-chart-{secrets.token_hex(3)}") as installed:
        yield installed
