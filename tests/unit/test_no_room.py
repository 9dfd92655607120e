"""What a scheduler or API server says when a pod finds no room tells whether the end of another one would help."""

from __future__ import annotations

import pytest

from spawner.pool.queue.no_room import Lack, an_end_helps, lack_of

QUOTA = 'pods "freepool-1" is forbidden: exceeded quota: freepool, requested: pods=1,requests.cpu=250m, used: '


@pytest.mark.parametrize(
    ("message", "helps"),
    [
        ("0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No victims", True),
        ("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: …", True),
        ("0/1 nodes are available: 1 Too many pods.", True),
        ("0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: …", False),
        ("0/2 nodes are available: 2 node(s) had untolerated taint(s). preemption: …", False),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", False),
        (QUOTA + "pods=28,requests.cpu=8, limited: pods=28,requests.cpu=8500m", True),
        (QUOTA + "pods=0,requests.cpu=0, limited: pods=0,requests.cpu=8500m", False),
        (QUOTA + "pods=3,requests.cpu=0, limited: requests.cpu=0", False),
        ("no node has room for it", True),
        ("", True),
    ],
)
def test_whether_an_end_helps(message: str, helps: bool) -> None:
    assert an_end_helps(message) is helps


@pytest.mark.parametrize(
    ("message", "lack"),
    [
        ("0/3 nodes are available: 3 Insufficient memory.", Lack.NODES),
        ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", Lack.NODES),
        ("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: …", Lack.CORDONED),
        (QUOTA + "pods=28, limited: pods=28", Lack.QUOTA),
        ("", Lack.NODES),
    ],
)
def test_what_the_cluster_lacked(message: str, lack: Lack) -> None:
    assert lack_of(message) is lack
