"""`helm install` on a real cluster: all pods become ready, users work, and upgrades keep notebooks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from spawner.pool.backends.kubernetes.manifest import harden, is_assigned
from tests.helm.release import PLATFORM, Release
from tests.kubernetes.admin import Admin
from tests.stack import eventually

pytestmark = pytest.mark.timeout(900)
MIB = 1024 * 1024
WORD = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module")
def ann(release: Release) -> Iterator[httpx.Client]:
    """Ann's HTTP client, which has opened her login link and her notebook."""
    with httpx.Client(follow_redirects=True, timeout=60) as client:
        assert client.get(release.link_for("ann")).status_code == 200
        assert release.start("ann").status_code in (201, 202)
        open_notebook(release, client, "ann")
        yield client
    release.stop("ann")


def desk_state(release: Release, client: httpx.Client) -> dict[str, Any]:
    answer = client.get(f"{release.url}/services/desk/api/state")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def open_notebook(release: Release, client: httpx.Client, user: str) -> None:
    """Open the user's JupyterLab, which logs them in, and wait for it."""
    lab = f"{release.url}/user/{user}/lab"
    eventually(lambda: "jupyter-config-data" in client.get(lab).text, seconds=120, what="JupyterLab")
    assert client.get(f"{release.url}/user/{user}/api/status").status_code == 200


def test_everything_is_ready_and_was_never_restarted(release: Release) -> None:
    for component in PLATFORM:
        (pod,) = release.pods(component)
        (status,) = pod["status"]["containerStatuses"]
        assert (status["ready"], status["restartCount"]) == (True, 0), component


def assigned_pods(release: Release) -> dict[str, Any]:
    """The pods of running notebooks by name."""
    return {pod["metadata"]["name"]: pod for pod in release.pods("instance") if is_assigned(pod["metadata"]["labels"])}


def test_a_link_leads_to_the_desk_and_to_a_notebook(release: Release, ann: httpx.Client) -> None:
    assert "ann" in ann.get(f"{release.url}/services/desk/").text
    assert desk_state(release, ann)["user"]["name"] == "ann"
    (assigned,) = assigned_pods(release).values()
    assert assigned["metadata"]["namespace"] == release.pool


def test_the_proxy_has_the_limits_of_one_machine(release: Release) -> None:
    """Its own table of routes shows whether it knows hub and desk, whose bodies are limited, by their addresses."""
    large = b"x" * (2 * MIB)
    for page in ("hub/login", "services/desk/api/instance"):
        answer = httpx.post(f"{release.url}/{page}", content=large, timeout=60)
        assert answer.status_code == 413, (page, answer.text)
        assert "at most 1048576 bytes are accepted here" in answer.text
        small = httpx.post(f"{release.url}/{page}", content=b"x", timeout=60)
        assert small.status_code in (400, 403, 405), (page, small.text)
    assert httpx.get(f"{release.url}/_chp_healthz").headers["Keep-Alive"] == "timeout=620"
    (pod,) = release.pods("proxy")
    table = release.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/tmp/routes.json")
    targets = {route: data["target"] for route, data in json.loads(table).items()}
    options = json.loads(pod["spec"]["containers"][0]["args"][1])
    assert targets["/services/desk"] == options["desk"]
    assert {targets[route] for route in targets if route in ("/", "/hub")} == {options["hub"]}


def test_routes_outlive_a_proxy_that_ends(release: Release, ann: httpx.Client) -> None:
    (pod,) = release.pods("proxy")
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]
    command = "import os, signal; os.kill(1, signal.SIGTERM)"
    release.kubectl("exec", pod["metadata"]["name"], "--", "python3", "-c", command, check=False)

    def is_back() -> bool:
        (status,) = release.pods("proxy")[0]["status"]["containerStatuses"]
        return bool(status["ready"] and status["restartCount"] == restarts + 1)

    eventually(is_back, seconds=60, what="the proxy")

    def answers() -> bool:
        with suppress(httpx.TransportError):  # the service has it a moment after the pod is ready
            return ann.get(f"{release.url}/user/ann/api/status").status_code == 200
        return False

    eventually(answers, seconds=30, what="the notebook, by the route that the proxy has kept")
    content = {"type": "file", "format": "text", "content": "x" * 8 * MIB}
    token = release.api("POST", "/users/ann/tokens", json={"note": "test"}).json()["token"]
    put = httpx.put(
        f"{release.url}/user/ann/api/contents/big",
        json=content, headers={"Authorization": f"token {token}"}, timeout=60,
    )  # fmt: skip
    assert put.status_code == 201, put.text


def test_helm_test_passes(release: Release) -> None:
    printed = release.test()
    for line in ("/hub/health is healthy", "/services/desk/health is healthy", "no account is mounted"):
        assert line in printed


def reviewed(account: Admin, asked: list[tuple[str, str, str]]) -> list[bool]:
    """Whether an account may do each of these (verb, resource or resource/subresource, namespace), as
    `kubectl auth can-i` asks; all in one call."""
    reviews = []
    for verb, what, namespace in asked:
        resource, _, part = what.partition("/")
        attributes = {"verb": verb, "resource": resource, "subresource": part, "namespace": namespace}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                        "spec": {"resourceAttributes": attributes}})  # fmt: skip
    given = json.dumps({"kind": "List", "apiVersion": "v1", "items": reviews})
    said = account.kubectl("create", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}', given=given)
    return [line == "true" for line in said.split()]


def test_the_account_has_exactly_the_documented_rights(release: Release, tmp_path: Path) -> None:
    account = Admin(release.admin.account(release.namespace, release.name, tmp_path / "kubeconfig"))
    verbs = ("get", "list", "watch", "create", "patch", "delete", "update", "deletecollection", "*")
    asked = [
        *((verb, "pods", release.pool) for verb in verbs),
        ("get", "pods/log", release.pool),
        ("create", "pods/exec", release.pool),
        ("create", "pods/portforward", release.pool),
        ("create", "pods/ephemeralcontainers", release.pool),
        ("get", "secrets", release.pool),
        ("list", "configmaps", release.pool),
        ("list", "events", release.pool),
        ("create", "services", release.pool),
        ("get", "resourcequotas", release.pool),
        ("list", "nodes", release.pool),
        *(
            (verb, what, namespace)
            for namespace in (release.namespace, "default", "kube-system")
            for verb, what in (("list", "pods"), ("get", "secrets"), ("create", "pods"))
        ),
    ]
    allowed = [one for one, is_allowed in zip(asked, reviewed(account, asked), strict=True) if is_allowed]
    assert allowed == [(verb, "pods", release.pool) for verb in ("get", "list", "watch", "create", "patch", "delete")]
    assert account.pods(release.pool), "the account may list the warm slot"


def test_only_two_components_hold_a_token(release: Release) -> None:
    for component in PLATFORM:
        (pod,) = release.pods(component)
        mounted = {mount["mountPath"] for container in pod["spec"]["containers"] for mount in container["volumeMounts"]}
        assert ("/var/run/secrets/kubernetes.io/serviceaccount" in mounted) is (component in {"hub", "steward"})


def test_no_secret_is_in_an_environment(release: Release) -> None:
    words = {word for text in release.secret().values() for word in WORD.findall(text)}
    for component in PLATFORM:
        environment = release.kubectl("exec", f"deploy/freepool-{component}", "-c", component, "--", "env")
        found = {word for word in words if word in environment}
        assert found == ({release.secret()["proxy"]} if component == "proxy" else set()), component


def test_secrets_are_readable_by_their_user_only(release: Release) -> None:
    look = (
        "import os; "
        "print([oct(os.stat(file).st_mode & 0o777) for file in os.scandir('/srv/freepool/secrets') if file.is_file()])"
    )
    shown = release.kubectl("exec", "deploy/freepool-hub", "-c", "hub", "--", "python", "-c", look)
    assert set(re.findall("0o[0-7]+", shown)) == {"0o440"}


def test_the_namespace_refuses_pods_larger_than_any_flavor(release: Release) -> None:
    def attempt(limits: dict[str, str]) -> str:
        container = {"name": "odd", "image": "any", "resources": {"limits": limits}}
        # Allowed by Pod Security, so that only the size is refused.
        spec = harden({"containers": [container]})
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "odd"}, "spec": spec}
        with pytest.raises(AssertionError) as refused:
            release.admin.kubectl("-n", release.pool, "create", "-f", "-", given=json.dumps(pod))
        return str(refused.value)

    assert "maximum memory usage per Container is 32Gi" in attempt({"memory": "64Gi"})
    assert "exceeded quota" in attempt({"nvidia.com/gpu": "1"}), "no flavor has a GPU"


def test_an_upgrade_keeps_secrets_users_and_notebooks(release: Release, ann: httpx.Client) -> None:
    before = release.secret()
    pods = {component: release.pods(component)[0]["metadata"]["uid"] for component in PLATFORM}
    assigned = assigned_pods(release)
    assert assigned
    release.upgrade({"hub": {"config": {"JupyterHub": {"log_level": "DEBUG"}}}})
    assert release.secret() == before
    restarted = {name for name in PLATFORM if release.pods(name)[0]["metadata"]["uid"] != pods[name]}
    assert restarted == {"hub"}, "only the hub reads the changed value"
    uids = {pod["metadata"]["uid"] for pod in release.pods("instance")}
    assert {pod["metadata"]["uid"] for pod in assigned.values()} <= uids
    assert desk_state(release, ann)["user"]["name"] == "ann", "the session is kept"
    assert ann.get(f"{release.url}/user/ann/api/status").status_code == 200


def test_a_stop_ends_the_pod(release: Release, ann: httpx.Client) -> None:
    (assigned,) = assigned_pods(release)
    assert release.stop("ann").status_code in (202, 204)
    eventually(
        lambda: assigned not in [pod["metadata"]["name"] for pod in release.pods("instance")],
        seconds=60,
        what="the end of the pod",
    )


def test_an_upgrade_with_a_mistake_of_meaning_changes_nothing(release: Release) -> None:
    values = release.values
    pods = {component: release.pods(component)[0]["metadata"]["uid"] for component in PLATFORM}
    try:
        with pytest.raises(Exception, match="freepool-check"):
            release.upgrade({"catalog": {"defaults": {"flavor": "gone"}}, "hub": {"extraConfig": "nonsense\n"}})
    finally:
        release.values = values
    said = release.kubectl("logs", "job/freepool-check")
    release.kubectl("delete", "job/freepool-check")
    assert "defaults.flavor: 'gone' does not exist. Available: cpu-basic" in said
    assert "NameError" in said
    assert {component: release.pods(component)[0]["metadata"]["uid"] for component in PLATFORM} == pods
    assert "gone" not in release.get("configmap", "freepool")["data"]["catalog.yaml"]


def test_another_catalog_changes_the_quota(release: Release) -> None:
    hard = release.get("resourcequota", "freepool", namespace=release.pool)["spec"]["hard"]
    assert (hard["pods"], hard["requests.nvidia.com/gpu"]) == ("28", "0")
