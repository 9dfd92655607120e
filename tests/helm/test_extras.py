"""What values add to the pods of each component: containers, volumes, variables, labels, and where the pods go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import MODELS, Manifest, Values, pods, render
from tests.helm.schema import COMPONENTS

OWN = {"database.embedded": "postgres", "imagePuller": "puller", "models.pull": "models"}
"""Labels of components that differ from the name of their values."""


def fields(word: str) -> Values:
    """Each field of a component's pods, recognizable by a word."""
    return {
        "extraEnv": [{"name": "OWN", "value": word}],
        "extraVolumes": [{"name": f"own-{word}", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": f"own-{word}", "mountPath": f"/own/{word}"}],
        "extraContainers": [{"name": f"beside-{word}", "image": "registry.example.org/beside"}],
        "extraInitContainers": [{"name": f"before-{word}", "image": "registry.example.org/before"}],
        "resources": {"requests": {"cpu": "123m"}},
        "nodeSelector": {"own": word},
        "tolerations": [{"key": word, "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": word, "whenUnsatisfiable": "ScheduleAnyway"}],
        "podLabels": {"own": word},
        "podAnnotations": {"own": word},
    }


def name_of(path: str) -> str:
    return OWN.get(path, path)


@pytest.fixture(scope="module")
def found() -> dict[str, list[Manifest]]:
    """The pods of each component, where all fields of all components are set."""
    values: Values = {"catalog": MODELS["catalog"], "models": {"enabled": True}}
    values["backup"] = {"enabled": True, "existingClaim": "dumps"}
    for path in COMPONENTS:
        *above, last = path.split(".")
        part = values
        for name in above:
            part = part.setdefault(name, {})
        part.setdefault(last, {}).update(fields(name_of(path)))
    pods_of: dict[str, list[Manifest]] = {}
    for component, pod in pods(render(values)):
        pods_of.setdefault(component, []).append(pod)
    return pods_of


@pytest.mark.parametrize("component", [name_of(path) for path in COMPONENTS])
def test_a_components_pods_have_all_that_its_values_add(component: str, found: dict[str, list[Manifest]]) -> None:
    for pod in found[component]:
        spec: dict[str, Any] = pod["spec"]
        own, beside = spec["containers"]
        assert beside == {"name": f"beside-{component}", "image": "registry.example.org/beside"}
        assert spec["initContainers"][0] == {"name": f"before-{component}", "image": "registry.example.org/before"}
        assert {"name": "OWN", "value": component} in own["env"]
        assert {"name": f"own-{component}", "mountPath": f"/own/{component}"} in own["volumeMounts"]
        assert {"name": f"own-{component}", "emptyDir": {}} in spec["volumes"]
        assert own["resources"]["requests"]["cpu"] == "123m"
        assert spec["nodeSelector"] == {"own": component}
        assert {"key": component, "operator": "Exists"} in spec["tolerations"]
        assert spec["affinity"] == {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
        (spread,) = spec["topologySpreadConstraints"]
        assert spread["topologyKey"] == component
        assert pod["metadata"]["labels"]["own"] == component
        assert pod["metadata"]["annotations"]["own"] == component


def test_what_reaches_the_database_before_its_component_has_the_same_variables_and_volumes(
    found: dict[str, list[Manifest]],
) -> None:
    """Such as the certificate of the database's authority, which the URL names by sslrootcert."""
    for component in ("hub", "desk", "steward"):
        (pod,) = found[component]
        (migrate,) = [one for one in pod["spec"]["initContainers"] if one["name"] == "migrate"]
        assert {"name": "OWN", "value": component} in migrate["env"]
        assert {"name": f"own-{component}", "mountPath": f"/own/{component}"} in migrate["volumeMounts"]
    (check,) = found["check"]
    (own, _) = check["spec"]["containers"]
    assert {"name": "own-hub", "mountPath": "/own/hub"} in own["volumeMounts"]
    assert {"name": "own-hub", "emptyDir": {}} in check["spec"]["volumes"]


def test_what_hub_and_check_have_both_is_in_the_check_once() -> None:
    """As with one YAML anchor for both; the API server refuses two volumes of one name, and two mounts at one path."""
    same = {
        name: value for name, value in fields("ca").items() if name in ("extraEnv", "extraVolumes", "extraVolumeMounts")
    }
    ((_, check),) = [(name, pod) for name, pod in pods(render({"hub": same, "check": same})) if name == "check"]
    (own,) = check["spec"]["containers"]
    for found, name in (
        ([one["name"] for one in check["spec"]["volumes"]], "own-ca"),
        ([one["mountPath"] for one in own["volumeMounts"]], "/own/ca"),
        ([one["name"] for one in own["env"]], "OWN"),
    ):
        assert found.count(name) == 1
