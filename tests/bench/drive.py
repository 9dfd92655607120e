"""Driving one side over HTTP, in the same way whichever it is, and taking the time."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

import httpx

from spawner.origins import LOCALHOST
from spawner.pool.start_times import PARTS
from tests.bench.sides import USER, Side

LOOK_SECONDS = 0.02
LONGEST = 120.0
AFTER = "hub, afterwards"
"""JupyterHub's work after the pool's, the proxy's, and the way of the answer."""
ALL_PARTS = (*PARTS, AFTER)


class Failed(Exception):
    """A start that did not lead to a server."""


@dataclass
class Driver:
    """One user of one side, over one connection that stays open."""

    side: Side
    client: httpx.Client = field(init=False)
    user_token: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.side.url, timeout=LONGEST)
        self._api("POST", "", expected=(201, 409))
        self.user_token = self._api("POST", "/tokens", expected=(201,), json={"note": "bench"}).json()["token"]

    @property
    def _as_admin(self) -> dict[str, str]:
        return {"Authorization": f"token {self.side.token}"}

    def _api(self, method: str, path: str, *, expected: tuple[int, ...], **kwargs: object) -> httpx.Response:
        try:
            answer = self.client.request(
                method,
                f"/hub/api/users/{USER}{path}",
                headers=self._as_admin,
                **kwargs,  # type: ignore[arg-type]
            )
        except httpx.HTTPError as error:
            raise Failed(f"{method} {path}: {type(error).__name__}") from error
        if answer.status_code not in expected:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _until_ready(self) -> None:
        """Follow the start's own progress stream: asking again and again would slow the hub that is measured."""
        path = f"/hub/api/users/{USER}/server/progress"
        try:
            with self.client.stream("GET", path, headers=self._as_admin) as answer:
                for line in answer.iter_lines():
                    event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                    if event.get("ready"):
                        return
                    if event.get("failed"):
                        raise Failed(str(event.get("message")))
        except httpx.HTTPError as error:
            raise Failed(f"progress: {type(error).__name__}") from error
        raise Failed(f"the start's progress ended without a server ({answer.status_code})")

    def _until_gone(self) -> None:
        began = time.perf_counter()
        while time.perf_counter() - began < LONGEST:
            if "" not in self._api("GET", "", expected=(200,)).json()["servers"]:
                return
            time.sleep(LOOK_SECONDS)  # a stop has no stream of its own
        raise Failed(f"the stop took more than {LONGEST:.0f} s")

    def start(self) -> float:
        """POST until the server is ready, in seconds."""
        began = time.perf_counter()
        if self._api("POST", "/server", expected=(201, 202), json=dict(self.side.options) or None).status_code == 202:
            self._until_ready()
        return time.perf_counter() - began

    def parts(self, seconds: float) -> dict[str, float]:
        """Where the time of the last start went, which took so long; empty where the side does not tell."""
        known = dict(self.side.parts())
        return known | {AFTER: seconds - sum(known.values())} if known else {}

    def page(self) -> None:
        """GET JupyterLab's page. A server that is ready answers it, or it does not count as started."""
        headers = {"Authorization": f"token {self.user_token}"}
        if self.client.base_url.host == LOCALHOST:  # then notebooks have hosts of their own
            headers["Host"] = f"{USER}.{LOCALHOST}:{self.client.base_url.port}"
        try:
            answer = self.client.get(f"/user/{USER}/lab", headers=headers)
        except httpx.HTTPError as error:
            raise Failed(f"the page: {type(error).__name__}") from error
        if answer.status_code != 200 or "JupyterLab" not in answer.text:
            raise Failed(f"the page: {answer.status_code}")

    def stop(self) -> None:
        """DELETE until the server is gone."""
        if self._api("DELETE", "/server", expected=(202, 204)).status_code == 202:
            self._until_gone()

    def clear(self) -> None:
        """After a failure: whatever is left is stopped, so that the next start begins from nothing."""
        try:
            self.stop()
        except Failed:
            time.sleep(1)  # it is being stopped by the hub itself, or was never there
