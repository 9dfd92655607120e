"""The free path through JupyterHub's REST API."""

from __future__ import annotations

import httpx

from tests.stack import Stack


def test_start_use_stop(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("walker")
    stack.wait_warm()
    assert stack.start("walker", flavor="cpu-basic").status_code == 201
    token = stack.user_token("walker")
    answer = httpx.get(f"{stack.url}/user/walker/api/status", headers={"Authorization": f"token {token}"})
    assert answer.status_code == 200
    assert stack.stop("walker").status_code == 204
    assert not [loan for loan in stack.unended() if loan.user_name == "walker"]
