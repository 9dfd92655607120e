"""The chart's Role is as small as it can be: without any one of its verbs something fails, and with all of them
nothing else can be done."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.backends.kubernetes.manifest import harden
from spawner.settings import KubernetesPool
from tests.backends.conformance import SMALL, spec
from tests.kubernetes.admin import Admin
from tests.kubernetes.conftest import ACCOUNT, LIGHT, rights
from tests.kubernetes.unscheduled_pods import PAPER
from tests.stack import free_port

VERBS = ("get", "list", "watch", "create", "patch", "delete")
NOWHERE = SMALL.model_copy(update={"pod": SMALL.pod.model_copy(update={"node_selector": {"freepool/none": "none"}})})
"""A flavor whose pods never find a node: here only rights are tested."""


def account_without(namespace: str, verb: str) -> list[dict[str, Any]]:
    """An account whose Role is the chart's without one verb."""
    found = json.loads(json.dumps(rights(namespace)[1:]).replace(f'"name": "{ACCOUNT}"', f'"name": "no-{verb}"'))
    for one in found:
        for rule in one.get("rules", []):
            rule["verbs"] = [other for other in rule["verbs"] if other != verb]
    return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def namespace(admin: Admin) -> Iterator[str]:
    """A namespace with an account for each verb that is missing, and one with them all."""
    name = f"freepool-test-{secrets.token_hex(3)}"
    admin.apply(*rights(name), *(part for verb in VERBS for part in account_without(name, verb)))
    try:
        yield name
    finally:
        admin.kubectl("delete", "namespace", name, "--wait=false")


@pytest_asyncio.fixture
async def others(admin: Admin, namespace: str) -> AsyncIterator[KubernetesBackend]:
    """A backend with an administrator's rights: makes and sees what the one that is tested may not."""
    backend = KubernetesBackend(KubernetesPool(namespace=namespace, kubeconfig=admin.kubeconfig))
    yield backend
    for slot_id in await backend.list():
        await backend.destroy(slot_id)
    await backend.close()


ALL_WELL = dict.fromkeys(("create", "list", "watch", "find", "assign", "destroy"), "done")
WITHOUT = {
    None: {},
    "get": {"find": "BackendUnavailable", "destroy": "BackendUnavailable"},
    "list": {"list": "BackendUnavailable", "watch": "BackendUnavailable"},
    "watch": {"watch": "BackendUnavailable"},
    "create": {"create": "SlotFailed"},
    "patch": {"assign": "BackendUnavailable"},
    "delete": {"destroy": "BackendUnavailable"},
}


@pytest.mark.parametrize("missing", WITHOUT, ids=lambda verb: f"without-{verb}" if verb else "with-all")
async def test_each_verb_is_needed(
    missing: str | None, admin: Admin, namespace: str, others: KubernetesBackend, tmp_path: Path
) -> None:
    account = f"no-{missing}" if missing else ACCOUNT
    settings = KubernetesPool(
        namespace=namespace, kubeconfig=admin.account(namespace, account, tmp_path / "kubeconfig")
    )
    backend = KubernetesBackend(settings)
    wanted = replace(spec(), flavor=NOWHERE, image=PAPER)
    found: dict[str, str] = {}
    try:
        found["create"] = await _try(backend.create(wanted))
        if found["create"] != "done":
            await others.create(wanted)
        found["list"] = await _try(backend.list())
        found["watch"] = await _try(_watch_for(backend, others))
        found["find"] = await _try(backend.find(wanted.id))
        found["assign"] = await _try(backend.assign(wanted.id, seconds=60))
        found["destroy"] = await _try(backend.destroy(wanted.id))
    finally:
        await backend.close()
    assert found == ALL_WELL | WITHOUT[missing]
    assert (await others.find(wanted.id) is None) == (missing != "delete")


async def _try(doing: Any) -> str:
    try:
        async with asyncio.timeout(30):
            await doing
    except Exception as error:  # the test compares the exception's name
        says_what_to_do = getattr(error, "next_step", "") and "forbidden" in getattr(error, "details", "")
        return type(error).__name__ if says_what_to_do else repr(error)
    return "done"


async def _watch_for(backend: KubernetesBackend, others: KubernetesBackend) -> None:
    """Wait for the event of a slot that another client creates during the watch."""
    late = replace(spec(), flavor=NOWHERE, image=PAPER)
    making: asyncio.Task[None] | None = None
    try:
        async with aclosing(backend.watch()) as wakes:
            async for _ in wakes:
                if making is None:
                    making = asyncio.create_task(others.create(late))
                elif late.id in backend._store.slots():
                    return
    finally:
        if making is not None:
            await making
            await others.destroy(late.id)


# --- no further rights ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[ACCOUNT, "default"])
def account(
    request: pytest.FixtureRequest, admin: Admin, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """The API server as the hub's account has it, and as the namespace's default account, which a pod gets that names
    none; beside a pod and a Secret that are not its business."""
    folder = tmp_path_factory.mktemp("account")
    config = json.loads(admin.account(namespace, request.param, folder / "kubeconfig").read_text())
    import base64
    import ssl

    cluster = config["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    admin.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "precious"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": "bystander"},
         "spec": harden({"nodeSelector": {"freepool/none": "none"}, "containers": [{"name": "one", "image": "none"}]})},
    )  # fmt: skip
    token = config["users"][0]["user"]["token"]
    with httpx.Client(
        base_url=cluster["server"],
        verify=trust,
        headers={"Authorization": f"Bearer {token}", "X-Account": request.param},
        timeout=30,
    ) as client:
        yield client


HERE = "/api/v1/namespaces/{here}"
FORBIDDEN = [
    ("GET", f"{HERE}/secrets"),
    ("GET", f"{HERE}/secrets/precious"),
    ("POST", f"{HERE}/secrets"),
    ("GET", f"{HERE}/configmaps"),
    ("GET", f"{HERE}/events"),
    ("GET", f"{HERE}/serviceaccounts"),
    ("POST", f"{HERE}/serviceaccounts/{ACCOUNT}/token"),
    ("POST", f"{HERE}/pods/bystander/exec?command=id&stdout=true"),
    ("POST", f"{HERE}/pods/bystander/attach?stdout=true"),
    ("POST", f"{HERE}/pods/bystander/portforward"),
    ("PATCH", f"{HERE}/pods/bystander/ephemeralcontainers"),
    ("GET", f"{HERE}/pods/bystander/log"),
    ("POST", f"{HERE}/pods/bystander/eviction"),
    ("POST", f"{HERE}/pods/bystander/binding"),
    ("PATCH", f"{HERE}/pods/bystander/status"),
    ("PUT", f"{HERE}/pods/bystander"),
    ("DELETE", f"{HERE}/pods"),
    ("GET", f"{HERE}/services"),
    ("GET", f"{HERE}/resourcequotas"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{here}/roles"),
    ("GET", HERE),
    ("GET", "/api/v1/namespaces"),
    ("GET", "/api/v1/nodes"),
    ("GET", "/api/v1/pods"),
    ("GET", "/api/v1/namespaces/kube-system/pods"),
    ("POST", "/api/v1/namespaces/default/pods"),
    ("DELETE", "/api/v1/namespaces/default/pods/bystander"),
]


@pytest.mark.parametrize(("method", "path"), FORBIDDEN, ids=lambda value: value.replace(HERE, "").split("?")[0])
def test_the_account_has_no_other_rights(method: str, path: str, account: httpx.Client, namespace: str) -> None:
    body = {} if method in ("POST", "PUT", "PATCH") else None
    kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = account.request(method, path.format(here=namespace), json=body, headers=kind)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        *((verb, "pods", True) for verb in VERBS),
        *((verb, "pods", False) for verb in ("update", "deletecollection", "*")),
        *((verb, "secrets", False) for verb in ("get", "list", "watch", "create")),
        *(("create", f"pods/{part}", False) for part in ("exec", "attach", "portforward", "eviction")),
        ("patch", "pods/ephemeralcontainers", False),
        ("get", "pods/log", False),
        ("get", "nodes", False),
        ("impersonate", "users", False),
        ("escalate", "roles", False),
    ],
)
def test_access_reviews_agree(verb: str, resource: str, allowed: bool, account: httpx.Client, namespace: str) -> None:
    kind, _, part = resource.partition("/")
    group = "rbac.authorization.k8s.io" if kind == "roles" else ""
    asked = {"verb": verb, "resource": kind, "subresource": part, "namespace": namespace, "group": group}
    is_hubs = account.headers["X-Account"] == ACCOUNT
    answer = account.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        json={"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
              "spec": {"resourceAttributes": asked}},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"]["allowed"] is (allowed and is_hubs)


# --- by kubectl, with the account's own kubeconfig -------------------------------------------------------------------

TARGET = "target"
TRIES = {
    "exec": ["exec", TARGET, "--", "python", "-c", "print(6 * 7)"],
    "attach": ["attach", TARGET],
    "port-forward": ["port-forward", TARGET, "{port}:8888"],
    "debug": ["debug", TARGET, f"--image={LIGHT}", "--image-pull-policy=Never", "--profile=restricted",
              "--", "python", "-c", "print(6 * 7)"],
    "logs": ["logs", TARGET],
    "get secrets": ["get", "secrets"],
    "get one secret": ["get", "secret", "precious"],
    "list secrets of all namespaces": ["get", "secrets", "--all-namespaces"],
    "a new token": ["create", "token", ACCOUNT],
    "get nodes": ["get", "nodes"],
    "another namespace": ["-n", "kube-system", "get", "pods"],
    "all namespaces": ["get", "pods", "--all-namespaces"],
}  # fmt: skip
PODS_TOO = {"list pods": ["get", "pods"], "delete a pod": ["delete", "pod", TARGET, "--dry-run=server"]}


@pytest.fixture(scope="module")
def target(admin: Admin, namespace: str, light: str) -> str:
    """A notebook's pod that runs, in the namespace, beside a Secret."""
    program = ["python", "-u", "-c", "import http.server as s; print('begun'); s.test(port=8888)"]
    container = {"name": "notebook", "image": light, "imagePullPolicy": "Never", "command": program,
                 "readinessProbe": {"tcpSocket": {"port": 8888}, "periodSeconds": 1}}  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": TARGET},
           "spec": harden({"containers": [container]})}  # fmt: skip
    admin.apply(pod, {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "precious"}})
    admin.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{TARGET}", "--timeout=60s")
    return namespace


@pytest.fixture(scope="module")
def holders(admin: Admin, target: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Admin]:
    """kubectl with the rights of an account: the namespace's default one, and the hub's."""
    folder = tmp_path_factory.mktemp("holders")
    return {
        holder: Admin(admin.account(target, holder, folder / holder), program_of=admin)
        for holder in ("default", ACCOUNT)
    }


def attempt(admin: Admin, namespace: str, words: list[str], *, seconds: float) -> tuple[int | None, str]:
    """Exit code and output of one call of kubectl; no code where it still went on after this time."""
    arguments = [word.format(port=free_port()) for word in words]
    command = admin.command(*([] if "-n" in words else ["-n", namespace]), *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            return process.wait(seconds), process.stdout.read() if process.stdout else ""
        except subprocess.TimeoutExpired:
            process.terminate()
            return None, process.stdout.read() if process.stdout else ""


@pytest.mark.parametrize("holder", ["default", ACCOUNT])
@pytest.mark.parametrize("name", [*TRIES, *PODS_TOO])
def test_kubectl_is_refused(holder: str, name: str, holders: dict[str, Admin], target: str) -> None:
    """As the namespace's default account, and as the hub's."""
    code, said = attempt(holders[holder], target, {**TRIES, **PODS_TOO}[name], seconds=30)
    if holder == ACCOUNT and name in PODS_TOO:
        assert code == 0, "that is what it is for"
        return
    assert code == 1
    assert f'orbidden: User "system:serviceaccount:{target}:{holder}" cannot ' in said


@pytest.mark.parametrize("name", TRIES)
def test_an_administrator_is_not(name: str, admin: Admin, target: str) -> None:
    """Guards the test above: these calls are well-formed, and work for an account that may make them."""
    code, said = attempt(admin, target, TRIES[name], seconds=3 if name in ("attach", "port-forward") else 30)
    assert code == (None if name in ("attach", "port-forward") else 0), said
    assert "Forbidden" not in said
    assert {"exec": "42", "port-forward": "Forwarding from", "logs": "begun"}.get(name, "") in said
