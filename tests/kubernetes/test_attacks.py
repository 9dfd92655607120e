"""What code in a notebook tries from inside its pod. tests/backends/test_isolation.py tries the same in a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

from spawner.instance.features import RUNTIME, WORKSPACE
from spawner.instance.sealing import CLAIM_PATH
from tests.backends.notebook import Notebook
from tests.backends.system_calls import EXPECTED, PROGRAM
from tests.kubernetes.conftest import PoolNamespace
from tests.stack import Stack

USER = "mallory"


@pytest.fixture(scope="module")
def stack(shared: Any) -> Iterator[Stack]:
    """The shared Freepool, with a notebook of the attacker's."""
    stack: Stack = shared.stack
    stack.add_user(USER)
    stack.run(USER, flavor="waits")
    yield stack
    stack.stop(USER)


def ask(stack: Stack, expression: str, setup: str = "") -> Any:
    """The value of an expression in the attacker's notebook."""

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            return await Notebook(session, f"{stack.url}/user/{USER}/", stack.user_token(USER), "").ask(
                expression, setup=setup
            )

    return asyncio.run(run())


def test_the_list_of_system_calls_is_refused_as_in_a_sandbox(stack: Stack) -> None:
    assert ask(stack, "found", PROGRAM) == EXPECTED


def test_every_process_has_the_filter_and_no_capability(stack: Stack) -> None:
    found = ask(
        stack,
        "[[s.get('Seccomp'), s['NoNewPrivs'], *(int(s[c], 16) for c in s if c.startswith('Cap'))] for s in all]",
        """
        import os
        all = []
        for process in filter(str.isdigit, os.listdir('/proc')):
            try:
                all.append(dict(line.split(':\\t', 1) for line in open(f'/proc/{process}/status') if ':\\t' in line))
            except OSError:
                pass
        all = [{name: value.strip() for name, value in status.items()} for status in all]
        """,
    )
    assert len(found) >= 2, "the server and its kernel"
    assert {tuple(one) for one in found} == {("2", "1", 0, 0, 0, 0, 0)}


def test_no_program_gains_root(stack: Stack) -> None:
    found = ask(
        stack,
        "[[name for name, call in tries.items() if works(call)], os.getresuid(), setuid]",
        """
        import ctypes, os, stat
        libc = ctypes.CDLL(None, use_errno=True)
        def works(call):
            try:
                return call() in (None, 0)
            except OSError:
                return False
        tries = {
            'setuid': lambda: os.setuid(0),
            'setgroups': lambda: os.setgroups([0]),
            'chroot': lambda: os.chroot('/tmp'),
            'mknod': lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0)),
            'chown': lambda: (open('/tmp/mine', 'w').close(), os.chown('/tmp/mine', 0, 0))[1],
            'mount': lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None),
            'write to the root': lambda: open('/of-mallory', 'w').close(),
            'write to /usr': lambda: open('/usr/bin/of-mallory', 'w').close(),
            'core_pattern': lambda: open('/proc/sys/kernel/core_pattern', 'w').close(),
            'sysrq': lambda: open('/proc/sysrq-trigger', 'w').close(),
            'memory': lambda: open('/proc/kcore', 'rb').close(),
        }
        setuid = [os.path.join(folder, name) for top in ('/usr', '/opt') for folder, _, names in os.walk(top)
                  for name in names if os.lstat(os.path.join(folder, name)).st_mode & 0o6000]
        """,
    )
    worked, users, setuid = found
    assert worked == []
    assert users == [1000, 1000, 1000]
    assert setuid == [], "no program of the image changes its user"


def test_nothing_of_the_cluster_or_the_platform_is_inside(stack: Stack, pool_namespace: PoolNamespace) -> None:
    (instance,) = [one for one in stack.unended() if one.user_name == USER]
    names, processes, environment, mounts = ask(
        stack,
        "[[p for p in paths if os.path.exists(p)], sum(map(str.isdigit, os.listdir('/proc'))), text, mounts]",
        """
        import os
        paths = ['/var/run/secrets/kubernetes.io', '/run/secrets', '/srv/freepool', '/etc/freepool', '/srv/clouds',
                 '/var/run/docker.sock', '/run/containerd', '/var/lib/kubelet', '/host', '/dev/sda', '/dev/vda',
                 '/dev/mem', '/dev/kmsg', '/opt/freepool/spawner/ledger']
        text = ''
        for process in filter(str.isdigit, os.listdir('/proc')):
            for name in ('environ', 'cmdline'):
                try:
                    text += open(f'/proc/{process}/{name}', 'rb').read().decode('latin-1')
                except OSError:
                    pass
        mounts = {line.split()[4]: line.split()[5].split(',')[0] for line in open('/proc/self/mountinfo')}
        """,
    )
    assert names == []
    assert processes < 12, "its own only"
    assert stack.settings.state.name not in environment
    for secret in (stack.settings.state / "secrets" / "slots", stack.settings.state / "secrets" / "link"):
        assert secret.read_text().strip() not in environment
    writable = {path for path, mode in mounts.items() if mode == "rw"}
    kept = {path for path in writable if not path.startswith(("/proc", "/dev", "/sys"))}
    assert kept <= {"/tmp", "/home/jovyan", WORKSPACE, RUNTIME, "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}, kept
    pod = pool_namespace.admin.json("get", "pod", "-n", pool_namespace.name, f"freepool-{instance.slot_id}")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not {"KUBERNETES_TOKEN", "CONFIGPROXY_AUTH_TOKEN"} & {e["name"] for e in pod["spec"]["containers"][0]["env"]}


def test_a_pod_takes_no_second_claim(stack: Stack) -> None:
    """The agent has become the notebook server: what was the slot's one order is now a path that asks for a login."""
    (instance,) = [one for one in stack.unended() if one.user_name == USER]
    assert instance.url is not None
    address = instance.url.split("/user/")[0].rstrip("/")
    answer = httpx.post(f"{address}{CLAIM_PATH}", content=b"x" * 100, timeout=20)
    assert answer.status_code in (302, 403, 404, 405, 409)
    assert ask(stack, "6 * 7") == 42


def test_another_users_notebook_refuses_the_tokens_of_this_one(stack: Stack) -> None:
    stack.add_user("victim")
    stack.run("victim", flavor="made")
    try:
        own = ask(stack, "__import__('os').environ['JUPYTERHUB_API_TOKEN']")
        for token in (own, stack.user_token(USER), "rubbish"):
            answer = httpx.get(
                f"{stack.url}/user/victim/api/contents", headers={"Authorization": f"token {token}"}, timeout=20
            )
            assert answer.status_code in (302, 403), answer.text
    finally:
        stack.stop("victim")
