"""Driving one side over HTTP, in the same way whichever it is, and taking the time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import httpx

from tests.bench.sides import USER, Side

LOOK_SECONDS = 0.02
LONGEST_START = 120.0


class Failed(Exception):
    """A start that did not lead to a server."""


@dataclass
class Driver:
    """One user of one side, over one connection that stays open."""

    side: Side
    client: httpx.Client = field(init=False)
    user_token: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.side.url, timeout=LONGEST_START)
        self._api("POST", "", expected=(201, 409))
        self.user_token = self._api("POST", "/tokens", expected=(201,), json={"note": "bench"}).json()["token"]

    def _api(self, method: str, path: str, *, expected: tuple[int, ...], **kwargs: object) -> httpx.Response:
        try:
            answer = self.client.request(
                method,
                f"/hub/api/users/{USER}{path}",
                headers={"Authorization": f"token {self.side.token}"},
                **kwargs,  # type: ignore[arg-type]
            )
        except httpx.HTTPError as error:
            raise Failed(f"{method} {path}: {type(error).__name__}") from error
        if answer.status_code not in expected:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _until(self, running: bool, since: float) -> None:
        while time.perf_counter() - since < LONGEST_START:
            server = self._api("GET", "", expected=(200,)).json()["servers"].get("")
            if running and server and server["ready"]:
                return
            if not running and server is None:
                return
            if running and (server is None or not server["pending"]):
                raise Failed("the start ended without a server")
            time.sleep(LOOK_SECONDS)
        raise Failed(f"nothing within {LONGEST_START:.0f} s")

    def start(self) -> float:
        """POST until the server is ready, in seconds."""
        began = time.perf_counter()
        if self._api("POST", "/server", expected=(201, 202)).status_code == 202:
            self._until(True, began)
        return time.perf_counter() - began

    def page(self) -> None:
        """GET JupyterLab's page. A server that is ready answers it, or it does not count as started."""
        try:
            answer = self.client.get(f"/user/{USER}/lab", headers={"Authorization": f"token {self.user_token}"})
        except httpx.HTTPError as error:
            raise Failed(f"the page: {type(error).__name__}") from error
        if answer.status_code != 200 or "JupyterLab" not in answer.text:
            raise Failed(f"the page: {answer.status_code}")

    def stop(self) -> None:
        """DELETE until the server is gone."""
        began = time.perf_counter()
        if self._api("DELETE", "/server", expected=(202, 204)).status_code == 202:
            self._until(False, began)

    def clear(self) -> None:
        """After a failure: whatever is left is stopped, so that the next start begins from nothing."""
        try:
            self.stop()
        except Failed:
            time.sleep(1)  # it is being stopped by the hub itself, or was never there
