"""`freepool examples measure`: what the examples need, on this machine, in the images that are installed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from spawner.catalog import Catalog, Example, load_catalog
from spawner.errors import SetupError
from spawner.local.preflight import read_local_file
from spawner.models.measure import differences, measure

Say = Callable[[str], object]
KEPT_VARIABLES = ("no_proxy", "http_proxy", "https_proxy", "HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "CUDA_VISIBLE_DEVICES")
MIB = 1024**2


def run(options: argparse.Namespace, say: Say, *, environment: Mapping[str, str] = os.environ) -> None:
    """Measure, and compare with the catalog. Raises `SetupError` where it promises too much, or a notebook fails."""
    named = read_local_file(options.settings)
    catalog = load_catalog(Path(options.catalog or named["catalog"]))
    chosen = [catalog.example(one) for one in options.examples] or list(catalog.examples)
    wrong: list[str] = []
    for example in chosen:
        python = python_of(example, catalog, Path(named["images"]))
        if python is None:
            say(f"{example.id}: the image {example.image} is not installed\n")
            wrong += [f"{example.id}: its image is not installed"] if options.examples else []
            continue
        try:
            found = measure(
                example,
                python=python,
                examples=Path(named["examples"]),
                models=Path(named["models"]) if named.get("models") else None,
                environment={name: environment[name] for name in KEPT_VARIABLES if name in environment},
            )
        except SetupError as error:
            wrong.append(str(error))
            continue
        less = differences(found, example)
        took = f"{found.seconds:.1f} s ({found.processor:.1f} s of processors)"
        say(f"{example.id}: {found.memory // MIB} MiB, {took}; needs: {found.needs()}\n")
        wrong += [f"{example.id}: {one}" for one in less]
    if wrong:
        raise SetupError(
            "The catalog promises too much, or an example fails:\n{listing}\n",
            next_step="Write what was measured into the catalog.",
            listing="\n".join(wrong),
        )


def python_of(example: Example, catalog: Catalog, images: Path) -> Path | None:
    """The Python of the example's image; None where the image is not installed on this machine."""
    environment = catalog.image(example.image).environment
    python = images / environment / "bin" / "python" if environment else None
    return python if python is not None and python.exists() else None
