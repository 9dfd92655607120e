"""Tells what an image that was just built holds: the size of each layer, and a bill of materials in dist/.

Usage: contents.py ENGINE IMAGE NAME LIKE. Fails where the image is larger than images/limits allows for LIKE:
images grow by one package at a time; node disks and first starts pay for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sbom import ask_image, bill_of_materials

HERE = Path(__file__).resolve().parent
DIST = HERE.parent / "dist"
MB = 1_000_000


@dataclass(frozen=True)
class Layer:
    """One layer. `size` is bytes, unpacked."""

    size: int
    made_by: str


def output(*command: str) -> str:
    """What a command prints. Raises where it fails."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def layers(engine: str, image: str) -> list[Layer]:
    """The layers of an image, the lowest first."""
    if engine == "docker":
        lines = output("docker", "history", "--no-trunc", "--human=false", "--format", "{{json .}}", image).splitlines()
        found = [json.loads(line) for line in reversed(lines)]
        return [Layer(int(layer["Size"]), layer["CreatedBy"]) for layer in found if int(layer["Size"])]
    told = json.loads(output("buildah", "inspect", "--type", "image", image))
    sizes = [layer["size"] for layer in json.loads(told["Manifest"])["layers"]]
    makers = [step.get("created_by") or "base" for step in told["OCIv1"]["history"] if not step.get("empty_layer")]
    return [Layer(size, maker) for size, maker in zip(sizes, makers, strict=True)]


def limits() -> dict[str, int]:
    """The largest size of each image in bytes, from images/limits."""
    lines = [line.split("#")[0].split() for line in (HERE / "limits").read_text().splitlines()]
    return {words[0]: int(words[1]) * MB for words in lines if words}


def main() -> None:
    engine, image, name, like = sys.argv[1:5]
    found = layers(engine, image)
    for layer in found:
        sys.stdout.write(f"{layer.size / MB:8.1f} MB  {' '.join(layer.made_by.split())[:90]}\n")
    total, limit = sum(layer.size for layer in found), limits()[like]
    sys.stdout.write(f"{total / MB:8.1f} MB  {image}, of {limit / MB:.0f} MB allowed\n")
    DIST.mkdir(exist_ok=True)
    bill = bill_of_materials(ask_image(image), name=name, version=image.rpartition(":")[2])
    (DIST / f"{name}.cdx.json").write_text(bill)
    if total > limit:
        raise SystemExit(f"images: {image} is larger than images/limits allows. Find what grew, or raise the limit.")


if __name__ == "__main__":
    main()
