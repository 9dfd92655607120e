"""The model cache in the chart: a claim that one Job writes to, and that notebooks see read-only."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from spawner.cli_parser import build_parser
from spawner.pool.backends.kubernetes.manifest import MODELS_VOLUME, make_manifest
from spawner.settings import KubernetesPool
from tests.helm.chart import MODELS, POOL, Manifest, Values, containers, of_kind, render
from tests.unit.test_manifest import spec


def merged(**models: Any) -> Values:
    return {**MODELS, "models": {**MODELS["models"], **models}}


def in_the_pool(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Objects of the pool's namespace."""
    return [one for one in of_kind(manifests, kind) if one["metadata"].get("namespace") == POOL]


def pool_of(values: Values) -> KubernetesPool:
    config = next(one for one in of_kind(render(values), "ConfigMap") if "settings.yaml" in one["data"])
    return KubernetesPool.model_validate(yaml.safe_load(config["data"]["settings.yaml"])["kubernetes"])


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert not [one for one in render({}) if one["metadata"]["labels"]["app.kubernetes.io/component"] == "models"]
    assert (pool_of({}).models_claim, pool_of({}).models_image) == (None, None)


def test_a_job_in_the_pools_namespace_fills_the_claim_that_notebooks_see_read_only() -> None:
    manifests = render(MODELS)
    (job,), (claim,) = in_the_pool(manifests, "Job"), in_the_pool(manifests, "PersistentVolumeClaim")
    name = claim["metadata"]["name"]
    template = job["spec"]["template"]
    (container,) = containers(template)
    assert {"name": "models", "persistentVolumeClaim": {"claimName": name}} in template["spec"]["volumes"]
    options = build_parser().parse_args(container["args"][1:])
    assert (str(options.folder), str(options.catalog)) == ("/models", "/etc/freepool/catalog.yaml")
    assert {"name": "HF_ENDPOINT", "value": "https://hf.example.org"} in container["env"]
    pod = make_manifest(spec(), pool_of(MODELS))["spec"]
    volume = next(one for one in pod["volumes"] if one["name"] == MODELS_VOLUME)
    assert volume["persistentVolumeClaim"] == {"claimName": name, "readOnly": True}
    mount = next(one for one in pod["containers"][0]["volumeMounts"] if one["name"] == MODELS_VOLUME)
    assert mount == {"name": MODELS_VOLUME, "mountPath": "/mnt/models", "readOnly": True}


def job_name(values: Values) -> str:
    return str(in_the_pool(render(values), "Job")[0]["metadata"]["name"])


def test_other_models_make_another_job_and_other_changes_do_not() -> None:
    (model,) = MODELS["catalog"]["models"]
    other = {**MODELS, "catalog": {"models": [{**model, "revision": "v2"}]}}
    assert job_name(MODELS) == job_name({**MODELS, "public": "https://lab.example.org/"})
    assert job_name(MODELS) != job_name(other)


def test_a_claim_of_ones_own_or_an_image_is_used_as_it_is() -> None:
    own = merged(existingClaim="mine", pull={"enabled": False})
    assert pool_of(own).models_claim == "mine"
    assert in_the_pool(render(own), "Job") == in_the_pool(render(own), "PersistentVolumeClaim") == []
    image = merged(image="registry.example.org/models:1")
    assert in_the_pool(render(image), "Job") == []
    pod = make_manifest(spec(), pool_of(image))["spec"]
    volume = next(one for one in pod["volumes"] if one["name"] == MODELS_VOLUME)
    assert volume["image"] == {"reference": "registry.example.org/models:1", "pullPolicy": "IfNotPresent"}
    with pytest.raises(Exception, match="two places for the same thing"):
        render(merged(image="a", existingClaim="b"))
