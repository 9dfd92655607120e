"""A hub of another chart assigns notebooks of the pool that this chart has installed beside it.

Our chart was installed before, and has been uninstalled: here it is installed again, with other values.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from spawner.pool.backends.kubernetes.manifest import is_assigned
from tests.helm.chart import VALUE_SETS
from tests.helm.other_hub import TOKEN, objects
from tests.helm.release import PLATFORM, Release
from tests.stack import eventually

pytestmark = pytest.mark.timeout(900)
BESIDE = VALUE_SETS["hub of another chart"]


@pytest.fixture(scope="module")
def beside(release: Release) -> Release:
    """Our chart without hub and proxy, beside another chart's hub and proxy."""
    release.admin.apply(*objects(release.namespace))
    if release.values != BESIDE:  # where the first test was not asked for
        release.uninstall()
        wait_until_gone(release)
        release.install(BESIDE)
    for name in ("hub", "proxy"):
        release.kubectl("rollout", "status", f"deployment/{name}", "--timeout=110s")
    return release


def wait_until_gone(release: Release) -> None:
    """Wait for the end of the pool and of our pods."""
    eventually(
        lambda: not release.kubectl("get", "namespace", release.pool, check=False), seconds=300, what="the pool's end"
    )
    eventually(lambda: not any(release.pods(name) for name in PLATFORM), seconds=300, what="the pods' end")


def test_an_uninstall_leaves_only_the_secret_and_a_new_install_uses_it(release: Release) -> None:
    before = release.secret()
    kept_objects = release.uninstall()
    assert "[Secret] freepool" in kept_objects
    wait_until_gone(release)
    eventually(lambda: not release.get("pods")["items"], seconds=300, what="the pods' end")
    names = {secret["metadata"]["name"] for secret in release.get("secrets")["items"]}
    assert {name for name in names if "-token-" not in name} == {"freepool"}
    classes = release.get("priorityclasses")["items"]
    assert not [found for found in classes if found["metadata"]["name"].startswith(release.pool)]
    release.install(BESIDE)
    assert release.secret() == before, "a second installation opens the first one's database"


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
