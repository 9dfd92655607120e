"""The network namespace of the test cluster, and how a test gets into it.

Our own cluster (`tests/cluster/up`) lives in a network namespace that has no way out. A test that talks to pods lives
in it, too, with the hub and the proxy that it starts: the main thread of pytest enters it before such a test and leaves
it before the next one of another kind. Threads and processes that a test starts inherit it.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import itertools
import os
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
SCRIPTS = PROJECT / "tests" / "cluster"
NUMBER_VARIABLE = "FREEPOOL_TEST_CLUSTER"
LEASE_VARIABLE = "FREEPOOL_TEST_LEASE"
"""The process that holds the lock of the cluster's number."""
CANNOT = 77
"""Exit code of `ensure` on a machine that can have no cluster."""
ON_CLUSTER = (
    "tests/kubernetes/",
    "tests/helm/test_browser.py",
    "tests/helm/test_install.py",
    "tests/helm/test_other_hub.py",
    "tests/helm/test_packets.py",
    "tests/helm/test_server.py",
)
"""Tests that use the cluster. They run one after the other, in one process: the cluster has one node."""
CLUSTERS, OUTSIDES = "freepool-tests-", "freepool-outside-"
"""How names of network namespaces begin: of clusters, and of what tests put beside them. `identity` follows."""
_CLONE_NEWNET = 0x40000000


def is_on_cluster(nodeid: str) -> bool:
    """Whether a test, by its id or path, uses the cluster."""
    return nodeid.startswith(ON_CLUSTER)


def usual_cache() -> Path:
    """The folder of what is built once per machine, where no setting names another."""
    if os.geteuid() == 0:
        return Path("/var/cache/freepool-tests")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "freepool-tests"


def cache() -> Path:
    """The folder that is used, as tests/cluster/parts/common.sh has it."""
    named = os.environ.get("FREEPOOL_TEST_CACHE")
    return Path(os.path.realpath(named)) if named else usual_cache()


def identity() -> str:
    """What tells this run's cluster from all others of this machine: its number, and the cache if it is not the usual.

    tests/cluster/parts/common.sh gives the network namespace the same name.
    """
    number = os.environ.get(NUMBER_VARIABLE, "1")
    if cache() in (usual_cache(), usual_cache().resolve()):
        return number
    return f"{hashlib.sha256(str(cache()).encode()).hexdigest()[:6]}-{number}"


def namespace_file() -> Path:
    """The cluster's network namespace. It is there while our own cluster runs."""
    return Path("/run/netns") / f"{CLUSTERS}{identity()}"


def outside_prefix() -> str:
    """How this run's names of network namespaces outside of the cluster begin, see `outside`."""
    return f"{OUTSIDES}{identity()}-"


def lease() -> int | None:
    """Reserve a cluster's number for this process and its children, as tests/cluster/lease does.

    Returns the descriptor that holds the lock, which lasts until the process ends; None where a number is reserved.
    A number that was chosen by hand is used as it is, and locked where it is free.
    """
    if LEASE_VARIABLE in os.environ:
        return None
    folder = cache() / "clusters"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = os.environ.get(NUMBER_VARIABLE)
    for candidate in [int(chosen)] if chosen else itertools.count(1):
        descriptor = os.open(folder / f"{candidate}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        os.environ[NUMBER_VARIABLE] = str(candidate)
        os.environ[LEASE_VARIABLE] = str(os.getpid())
        return descriptor
    return None


def cluster_kind() -> str:
    """`given`, `kind` or `own`; `none` where this machine can have no cluster. See `ensure`."""
    return subprocess.run([SCRIPTS / "ensure", "--kind"], check=True, capture_output=True, text=True).stdout.strip()


class Network:
    """Where the main thread of this process is: in the machine's network, or in the cluster's."""

    def __init__(self) -> None:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._is_inside = False
        self.failure = ""
        """Why our own cluster's network could not be entered. No test on the cluster may go on in the machine's."""

    def enter(self) -> None:
        """Start the cluster, if it is built, and enter its network if it is our own."""
        if self._is_inside or cluster_kind() != "own":
            return
        done = subprocess.run([SCRIPTS / "ensure", "--built"], check=False, capture_output=True, text=True)
        self.failure = done.stderr.strip() or "it cannot be started" if done.returncode else ""
        if self.failure:
            return
        try:
            inside = os.open(namespace_file(), os.O_RDONLY)
            try:
                _setns(inside)
            finally:
                os.close(inside)
        except OSError as error:
            self.failure = f"the network of the test cluster cannot be entered: {error}"
        else:
            self._is_inside = True

    def leave(self) -> None:
        """Return to the network in which the process began."""
        if self._is_inside:
            _setns(self._outside)
            self._is_inside = False


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"the cluster's network cannot be entered: {os.strerror(code)}")
