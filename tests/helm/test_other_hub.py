"""A hub of another chart assigns notebooks of the pool that this chart has installed beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from spawner.pool.backends.kubernetes.manifest import is_assigned
from tests.helm.chart import VALUE_SETS
from tests.helm.other_hub import TOKEN, objects
from tests.helm.release import Release, installed_release
from tests.kubernetes.admin import Admin
from tests.stack import eventually

pytestmark = pytest.mark.timeout(900)
NAMESPACE = "freepool-beside"


@pytest.fixture(scope="module")
def beside(admin_with_images: Admin) -> Iterator[Release]:
    """Our chart without hub and proxy, beside another chart's hub and proxy."""
    with installed_release(admin_with_images, NAMESPACE, VALUE_SETS["hub of another chart"]) as release:
        release.admin.apply(*objects(NAMESPACE))
        for name in ("hub", "proxy"):
            release.kubectl("rollout", "status", f"deployment/{name}", "--timeout=110s")
        yield release


def ask(release: Release, method: str, path: str, **kwargs: Any) -> httpx.Response:
    url = f"{release.reach('proxy-public')}{path}"
    return httpx.request(method, url, headers={"Authorization": f"token {TOKEN}"}, timeout=120, **kwargs)


def test_our_chart_runs_only_desk_steward_and_pool(beside: Release) -> None:
    ours = beside.get("deployments")["items"]
    names = {found["metadata"]["name"] for found in ours}
    assert names == {"hub", "proxy", "freepool-desk", "freepool-steward", "freepool-postgres"}


def test_the_other_hub_starts_a_notebook(beside: Release) -> None:
    eventually(lambda: ask(beside, "GET", "/hub/health").status_code == 200, seconds=120, what="their hub")
    assert ask(beside, "POST", "/hub/api/users/ann").status_code == 201
    assert ask(beside, "POST", "/hub/api/users/ann/server", json={"flavor": "cpu-basic"}).status_code in (201, 202)

    def runs() -> bool:
        return ask(beside, "GET", "/user/ann/api/status").status_code == 200

    eventually(runs, seconds=120, what="the notebook")
    (assigned,) = [pod for pod in beside.pods("instance") if is_assigned(pod["metadata"]["labels"])]
    assert assigned["metadata"]["namespace"] == beside.pool
    assert ask(beside, "DELETE", "/hub/api/users/ann/server").status_code in (202, 204)


def test_the_desk_is_behind_the_other_proxy(beside: Release) -> None:
    def is_healthy() -> bool:
        return ask(beside, "GET", "/services/desk/health").status_code == 200

    eventually(is_healthy, seconds=90, what="the desk")
    url = beside.reach("proxy-public")
    assert "A free JupyterLab" in httpx.get(f"{url}/", follow_redirects=True).text
    sign_in = httpx.get(f"{url}/services/desk/sign-in", follow_redirects=True)
    assert sign_in.url.path == "/hub/login", "the desk asks for a login"
    assert "desk" in sign_in.url.params["next"]


def test_the_other_hubs_tables_are_unchanged(beside: Release) -> None:
    listed = beside.kubectl("exec", "deploy/hub", "--", "ls", "/srv/jupyterhub")
    assert "jupyterhub.sqlite" in listed
