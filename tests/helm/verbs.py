"""Helm's verbs in a process of their own: `python -m tests.helm.verbs`, with a call as JSON on standard input.

Helm comes as a Go library, whose threads are made when it is loaded. Tests enter the cluster's network later, and only
the thread that enters it is then there; so a call that needs the cluster is made by a new process, which begins there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python as helm

from tests.stack import PROJECT


class HelmFailed(Exception):
    """A failed call, with Helm's message."""


def call(verb: str, *arguments: Any, kubeconfig: Path, namespace: str, **options: Any) -> dict[str, Any]:
    """Run one verb and return its result. Raises `HelmFailed`."""
    asked = {"verb": verb, "arguments": arguments, "kubeconfig": str(kubeconfig), "namespace": namespace}
    done = subprocess.run(
        [sys.executable, "-m", "tests.helm.verbs"],
        input=json.dumps({**asked, "options": options}),
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    if done.returncode != 0:
        raise HelmFailed(done.stderr.strip())
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Run the call on standard input."""
    asked = json.load(sys.stdin)
    try:
        with helm.Config(kubeconfig_path=asked["kubeconfig"], namespace=asked["namespace"]) as config:
            answer = getattr(config, asked["verb"])(*asked["arguments"], **asked["options"])
    except helm.HelmError as error:
        sys.exit(str(error))
    known = ("info", "logs")
    print(json.dumps({name: str(answer[name]) for name in known if isinstance(answer, dict) and name in answer}))


if __name__ == "__main__":
    main()
