"""SageMaker for tests: boto3 against moto's server in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from spawner.paid.providers.base import Account
from spawner.paid.providers.sagemaker.settings import SageMakerInstanceType, SageMakerSettings

REGION, OTHER_REGION = "us-east-1", "eu-west-1"
PLATFORM_KEY = {"access_key_id": "AKIAPLATFORMKEY00000", "access_key_secret": "platform-secret-for-tests"}
EXTERNAL_ID = "fp-0123456789abcdef0123456789abcdef"
ADA, LI = "222222222222", "333333333333"
MUTATING = ("CreateNotebookInstance", "StartNotebookInstance", "StopNotebookInstance", "DeleteNotebookInstance")


class Moto:
    """moto's server and its controls; see `tests.paid.moto_shim`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = requests.Session()
        self._http.trust_env = False

    def _ask(self, path: str, **data: Any) -> Any:
        answer = self._http.post(f"{self.url}{path}", json=data, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def reset(self) -> None:
        """Forget all state."""
        self._ask("/moto-api/reset")
        self._ask("/shim/reset")

    def fail(self, action: str, kind: str, times: int) -> None:
        """Let the next calls of an action fail."""
        self._ask("/shim/fault", action=action, kind=kind, times=times)

    def trust(self, arn: str, external_id: str | None) -> None:
        """Create a role that requires this external id; None: no external id."""
        self._ask("/shim/trust", arn=arn, external_id=external_id)

    def distrust(self, arn: str) -> None:
        """Remove a role."""
        self._ask("/shim/distrust", arn=arn)

    def seen(self) -> list[str]:
        """All actions received."""
        return list(self._ask("/shim/state")["seen"])

    def secrets(self) -> set[str]:
        """All secrets issued, and the platform's own."""
        return {PLATFORM_KEY["access_key_secret"], *self._ask("/shim/state")["secrets"]} - {""}

    def names(self) -> list[str]:
        """Names of all notebook instances, in all accounts and regions."""
        return list(self._ask("/shim/state")["names"])

    def close(self) -> None:
        self._http.close()


@contextlib.contextmanager
def moto_server() -> Iterator[Moto]:
    """moto's server until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.paid.moto_shim"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        moto = Moto(process.stdout.readline().strip())
        yield moto
        moto.close()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def sagemaker_settings(moto: Moto, folder: Path, **changes: Any) -> SageMakerSettings:
    """Settings that point at moto, with the platform's key in a file."""
    key = folder / "aws-key.json"
    key.write_text(json.dumps(PLATFORM_KEY))
    at = moto.url.removeprefix("http://")
    instance_types = (
        SageMakerInstanceType(id="ml.t3.medium", cpu=2, memory=4, price="0.05"),
        SageMakerInstanceType(id="ml.p3.2xlarge", cpu=8, memory=61, gpu_count=1, gpu_name="NVIDIA V100", gpu_memory=16),
    )
    return SageMakerSettings(
        **{
            "principal": "arn:aws:iam::111111111111:role/freepool",
            "key_file": key,
            "regions": (REGION, OTHER_REGION),
            "instance_types": instance_types,
            "api": at,
            "sts": at,
            "plain_http": True,
            "read_seconds": 5,
            **changes,
        }
    )


def linked(moto: Moto, *, account: str = ADA, region: str = REGION, trust: str | None = EXTERNAL_ID) -> Account:
    """An account with a role; `trust` None: the role requires no external id."""
    arn = f"arn:aws:iam::{account}:role/FreepoolPaid"
    moto.trust(arn, trust)
    return Account(provider="sagemaker", region=region, account_id=account, role=arn, external_id=EXTERNAL_ID)
