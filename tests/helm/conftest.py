"""One installation, shared by the tests of this folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helm.release import Release, installed_release
from tests.kubernetes.admin import Admin, NoCluster, script
from tests.kubernetes.conftest import require_images


@cache
def cluster() -> Admin:
    """A real cluster. Skips the test on machines that cannot run one."""
    try:
        return Admin(Path(script("ensure", "--built").strip().splitlines()[-1]))
    except NoCluster as why:
        pytest.skip(str(why))


@cache
def cluster_with_images() -> Admin:
    """A real cluster that has the images which the chart needs."""
    admin = cluster()
    require_images()
    return admin


@pytest.fixture(scope="package")
def release() -> Iterator[Release]:
    """The chart with its defaults on a real cluster, uninstalled before other suites need the node's resources."""
    with installed_release(cluster_with_images(), f"freepool-chart-{secrets.token_hex(3)}") as installed:
        yield installed
