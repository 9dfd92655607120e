"""With `hostUsers: false` a notebook's users are none of the node's, and no two notebooks share any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.backends.notebook import Notebook
from tests.kubernetes.conftest import Cluster, wait_usable
from tests.kubernetes.node import Node
from tests.stack import Stack, eventually

PEOPLE = ("mapped-1", "mapped-2")
RANGE = 65536
"""How many users a pod has: the kubelet gives each pod so many of the node's."""
LOOK = """
import os
print(open('/proc/self/uid_map').read(), '|', open('/proc/self/gid_map').read(), '|', os.getuid())
"""


@pytest.fixture(scope="module")
def pods(shared: Cluster) -> Iterator[dict[str, str]]:
    """A notebook for each user: its pod's uid."""
    found = {}
    for user in PEOPLE:
        shared.stack.add_user(user)
        assert shared.stack.start(user, flavor="waits").status_code in (201, 202)
    for user in PEOPLE:
        instance = eventually(
            lambda user=user: next(
                (
                    instance
                    for instance in shared.stack.unended()
                    if instance.user_name == user and instance.state == "running"
                ),
                None,
            ),
            seconds=60,
            what=f"{user}'s instance",
        )
        pod = shared.pool.admin.json("get", "pod", "-n", shared.pool.name, f"freepool-{instance.slot_id}")
        assert pod["spec"]["hostUsers"] is False
        found[user] = pod["metadata"]["uid"]
    yield found
    for user in PEOPLE:
        shared.stack.stop(user)


def look(stack: Stack, user: str) -> tuple[list[int], list[int], int]:
    """The maps of users and of groups of a notebook, as it sees them, and its user: (inside, on the node, count)."""
    wait_usable(stack, user)

    async def run() -> str:
        async with aiohttp.ClientSession() as session:
            token = stack.user_token(user)
            return await Notebook(session, f"{stack.url}/user/{user}/", token, "").run(LOOK)

    users, groups, me = asyncio.run(run()).split("|")
    return [int(word) for word in users.split()], [int(word) for word in groups.split()], int(me)


def test_each_notebook_has_users_of_its_own(shared: Cluster, pods: dict[str, str], node: Node) -> None:
    seen = {user: look(shared.stack, user) for user in PEOPLE}
    for users, groups, me in seen.values():
        inside, on_node, count = users
        assert (inside, count) == (0, RANGE)
        assert on_node >= RANGE, "none of them is a user of the node"
        assert groups == users
        assert me == 1000, "the user that the images know"
    (first, second) = (users[1] for users, _, _ in seen.values())
    assert abs(first - second) >= RANGE, "no two notebooks share a user"
    print(f"\nusers of two notebooks on the node: from {first}, and from {second}")


def test_the_node_sees_no_user_of_its_own(shared: Cluster, pods: dict[str, str], node: Node) -> None:
    for uid in pods.values():
        for pid in node.first_processes(uid):
            status = Path(f"/proc/{pid}/status").read_text()
            (ids,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
            assert min(int(number) for number in ids) >= RANGE
