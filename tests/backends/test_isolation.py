"""Isolation of two users' instances on one machine, tried from inside the real sandbox.

The code runs in a real kernel of a claimed slot and does what an attacker would: escape, or read another user's files.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import textwrap
from pathlib import Path

import pytest

from spawner.instance.features import MODELS, RUNTIME, place_sizes
from spawner.pool.backends.local.sandbox import HOME
from tests.backends import canary, machine
from tests.backends.canary import SEEN_BY_ALL
from tests.backends.conformance import SMALL
from tests.backends.notebook import CodeFailed, Notebook
from tests.backends.two_tenants import SECRET, WRITABLE, TwoTenants
from tests.features.ask import ask
from tests.models.made import TINY
from tests.stack import PROJECT

pytestmark = pytest.mark.asyncio(loop_scope="module")
IMAGE = (PROJECT / ".images" / "light").resolve()
SIZES = place_sizes(memory=int(SMALL.memory), disk=int(SMALL.disk)).by_path(HOME)

LINKS = """
import os
import re
def links(process):
    found = []
    try:
        for name in os.listdir(f'/proc/{process}/fd'):
            try:
                found.append(os.readlink(f'/proc/{process}/fd/{name}'))
            except FileNotFoundError:  # the one by which the folder was listed
                pass
    except OSError:
        return None
    return found
"""


# Reading


async def test_an_instance_has_every_feature(alice: Notebook) -> None:
    """The first test here: others leave files that break a server.

    FREEPOOL_FEATURES_REPORT names a file that gets the results, for docs/instances.md.
    """
    found = await ask(alice, SIZES)
    if report := os.environ.get("FREEPOOL_FEATURES_REPORT"):
        Path(report).write_text(json.dumps(found, indent=1, ensure_ascii=False))
    assert {name: one["detail"] for name, one in found.items() if one["result"] == "fails"} == {}
    assert {name for name, one in found.items() if one["result"] == "not here"} <= {"gpu"}


async def test_only_own_processes_are_visible(tenants: TwoTenants) -> None:
    seen = await tenants.alice.ask(
        "{p: open(f'/proc/{p}/cmdline').read() for p in __import__('os').listdir('/proc') if p.isdigit()}"
    )
    assert 2 <= len(seen) <= 8
    for line in seen.values():
        assert tenants.specs["bob"].id not in line
        assert "pytest" not in line
        assert "keeper" not in line
    outside = {process.pid for process in machine.processes_of(tenants.backend.folder, tenants.specs["alice"].id)}
    assert len(seen) <= len(outside)


async def test_nothing_of_the_platform_can_be_read(tenants: TwoTenants) -> None:
    state = tenants.state
    wanted = [
        state, state / "secrets", state / "secrets" / "slots", state / "ledger.sqlite", state / "readable",
        state / "slots", state / "slots" / tenants.specs["bob"].id, state / "slots" / tenants.specs["alice"].id,
        state / "slots" / tenants.specs["alice"].id / "orders.json", Path("/root/.ssh"), Path("/root/.bashrc"),
        Path("/etc/shadow"), Path("/etc/machine-id"), Path("/var"), Path("/sys"), Path("/run"), Path("/boot"),
        Path("/dev/sda"), Path("/dev/vda"), Path("/dev/mem"), Path("/proc/kcore"), Path("/proc/1/root/etc/shadow"),
        Path.home() / ".bash_history", Path.home() / ".ssh", Path(__file__), Path("/opt/freepool/spawner/ledger"),
        Path("/opt/freepool/spawner/settings.py"),
    ]  # fmt: skip
    # The image's own folder is seen where it is, and so are the names of the folders on the way to it.
    wanted = [path for path in wanted if path not in (*PROJECT.parents, *IMAGE.parents)]
    found = await tenants.alice.ask(
        "[w for w in wanted if readable(w)]",
        setup=f"""
        import os
        wanted = {[str(path) for path in wanted]}
        def readable(path):
            try:
                return bool(os.listdir(path)) if os.path.isdir(path) else bool(open(path, 'rb').read(1))
            except OSError:
                return False
        """,
    )
    assert found == []


async def test_a_search_of_all_readable_files_finds_no_secret(tenants: TwoTenants) -> None:
    """All that can be opened outside of the system's and the image's own folders."""
    secret = [SECRET, *(one.key.hex() for one in tenants.specs.values())]
    backwards = [text[::-1] for text in secret]
    found = await tenants.alice.ask(
        "[len(looked), hits]",
        setup=f"""
        import os
        # Written backwards, so that this code itself is not what is found.
        secrets = [secret[::-1] for secret in {backwards}]
        looked, hits = [], []
        for folder, folders, names in os.walk('/'):
            folders[:] = [n for n in folders if os.path.join(folder, n) not in
                          {{'/usr', '/proc/sys', '/proc/bus', '/proc/irq'}} and 'site-packages' != n]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                except OSError:
                    continue
                try:
                    text = os.read(descriptor, 1 << 16)
                except OSError:
                    text = b''
                finally:
                    os.close(descriptor)
                looked.append(path)
                hits += [path for secret in secrets if secret.encode() in text]
        """,
    )
    looked, hits = found
    assert looked > 100
    assert hits == []


async def test_the_slots_key_is_in_no_environment_command_line_or_descriptor(tenants: TwoTenants) -> None:
    key = tenants.specs["alice"].key.hex()
    found = await tenants.alice.ask(
        "[environments, lines, descriptors]",
        setup=f"""
        {textwrap.indent(LINKS, " " * 8).strip()}
        environments, lines, descriptors = {{}}, {{}}, {{}}
        for process in filter(str.isdigit, os.listdir('/proc')):
            for into, name in ((environments, 'environ'), (lines, 'cmdline')):
                try:
                    into[process] = open(f'/proc/{{process}}/{{name}}', 'rb').read().decode('latin-1')
                except OSError:
                    into[process] = None
            descriptors[process] = links(process)
        """,
    )
    environments, lines, descriptors = found
    assert key not in str(found)
    # The first process belongs to root, so it shows nothing at all, and what others show is their own claim's.
    if os.geteuid() == 0:
        assert environments["1"] is None
        assert descriptors["1"] is None
    assert any(environments.values())
    assert any("socket" in str(paths) for paths in descriptors.values())
    told = str(environments).replace(str(IMAGE), "").upper()
    assert "FREEPOOL" not in told.replace(HOME.upper(), "").replace("/OPT/FREEPOOL", "").replace("=FREEPOOL", "")
    for path in (path for paths in descriptors.values() for path in paths or ()):
        assert not path.startswith(str(tenants.state)), path
    assert str(tenants.state / "secrets") not in str(lines)


async def test_another_users_files_are_not_visible(tenants: TwoTenants) -> None:
    for folder in sorted(WRITABLE):
        await tenants.bob.run(
            f"open('{folder}/of-bob', 'w').write('of bob'); __import__('os').chmod('{folder}/of-bob', 0o777)"
        )
    assert await tenants.bob.ask("open('/mnt/workspace/of-bob').read()") == "of bob"
    found = await tenants.alice.ask(f"[f for f in {sorted(WRITABLE)} if __import__('os').path.exists(f + '/of-bob')]")
    assert found == []


# Writing


async def test_what_is_writable_is_exactly_the_mounts_that_are_wiped(alice: Notebook) -> None:
    found = await alice.ask(
        "sorted({mount(path) for path in writable})",
        setup=f"""
        {textwrap.indent(canary.WALK, " " * 8).strip()}
        writable = []
        for folder, folders, names in walk():
            for name in (*folders, *names):
                path = os.path.join(folder, name)
                try:
                    kind = os.lstat(path).st_mode
                except OSError:
                    continue
                if not stat.S_ISLNK(kind) and not stat.S_ISCHR(kind) and os.access(path, os.W_OK):
                    writable.append(path)
        """,
    )
    # Started by a user, /dev/pts is the notebook's own, too. It holds terminals and no files.
    assert set(found) - {"/dev/pts"} == WRITABLE


async def test_writable_mounts_are_sized_nosuid_tmpfs_and_all_others_read_only(alice: Notebook) -> None:
    found = await alice.ask(
        "{line.split()[4]: [line.split()[5], line.split(' - ')[1].split()[0]] for line in open('/proc/self/mountinfo')}"
    )
    for target in WRITABLE:
        options, kind = found[target]
        assert kind == "tmpfs"
        assert {"nosuid", "nodev"} <= set(options.split(","))
    for target, (options, _) in found.items():
        assert target in WRITABLE or target.startswith(("/proc", "/dev")) or "ro" in options.split(","), target
    sizes = await alice.ask(
        "{f: (lambda s: s.f_blocks * s.f_frsize)(os.statvfs(f)) for f in folders}",
        setup=f"import os; folders = {sorted(WRITABLE)}",
    )
    assert sizes == SIZES


async def test_what_all_see_is_written_by_none(tenants: TwoTenants) -> None:
    """The model cache: two strangers read the same file, and neither can change, replace or hide it."""
    path = f"{MODELS}/tiny/current/files/config.json"
    tries = {
        "write": f"open({path!r}, 'ab')",
        "new": f"open('{MODELS}/tiny/new', 'w')",
        "remove": f"os.unlink({path!r})",
        "rename": f"os.rename({path!r}, {path!r} + '2')",
        "rights": f"os.chmod({path!r}, 0o777)",
        "time": f"os.utime({path!r})",
        "attribute": f"os.setxattr({path!r}, 'user.a', b'b')",
        "mount": "subprocess.run(['mount', '-o', 'remount,rw', '/mnt/models'], check=True, capture_output=True)",
    }
    for notebook in (tenants.alice, tenants.bob):
        assert await notebook.ask(f"open({path!r}).read()") == TINY["config.json"].decode()
        found = await notebook.ask(
            "done",
            setup=f"""
            import os, subprocess
            done = []
            for name, code in {tries!r}.items():
                try:
                    exec(code)
                    done.append(name)
                except (OSError, subprocess.CalledProcessError):
                    pass
            """,
        )
        assert found == []
    assert {MODELS} == SEEN_BY_ALL


OF_THE_SLOT = re.compile("/proc/sys/(fs/mqueue/.+|kernel/(auto_msgmni|msg.+|sem|sem_next_id|shm.+|pid_max))")
"""Settings of a slot's own IPC and process namespaces, which are the notebook's where a user has started Freepool."""


async def test_the_kernels_settings_cannot_be_written(alice: Notebook) -> None:
    """Some can be opened by all users, so the test writes their present value."""
    found = await alice.ask(
        "written",
        setup="""
        import os
        written = []
        tops = ['/proc/sys', '/proc/irq', '/proc/bus', '/proc/fs', '/proc/sysrq-trigger', '/proc/acpi']
        if os.stat('/proc/1').st_uid != os.getuid():  # else it is a process of the notebook's own
            tops.append('/proc/1')
        for top in tops:
            paths = [top]
            if os.path.isdir(top):
                paths = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
            for path in paths:
                try:
                    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    continue
                try:
                    text = open(path, 'rb').read()
                    written += [path] if os.write(descriptor, text or b'0') else []
                except OSError:
                    pass
                finally:
                    os.close(descriptor)
        """,
    )
    assert [path for path in found if os.geteuid() == 0 or not OF_THE_SLOT.fullmatch(path)] == []


async def test_no_process_outside_can_be_killed_or_traced(tenants: TwoTenants) -> None:
    outside = [os.getpid(), os.getppid(), machine.keeper_of(tenants.backend.folder, tenants.specs["bob"].id).pid]
    found = await tenants.alice.ask(
        "results",
        setup=f"""
        import ctypes, os, signal
        libc, results = ctypes.CDLL(None, use_errno=True), []
        present = set(filter(str.isdigit, os.listdir('/proc')))
        for process in {outside}:
            if str(process) in present:
                continue  # a number of one's own here
            for attempt in (lambda: os.kill(process, signal.SIGCONT), lambda: os.pidfd_open(process),
                            lambda: os.sched_setaffinity(process, {{0}})):
                try:
                    attempt()
                    results.append(process)
                except OSError:
                    pass
            if libc.ptrace(16, process, 0, 0) == 0:  # PTRACE_ATTACH
                results.append(process)
        """,
    )
    assert found == []


async def test_the_first_process_cannot_be_killed_with_roots_rights(tenants: TwoTenants) -> None:
    """It is root's where root makes the sandbox; and killing everything ends only what is one's own."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(CodeFailed, match="PermissionError"):
        await tenants.alice.run("import os, signal; os.kill(1, signal.SIGTERM)")


async def test_no_program_gains_root(alice: Notebook) -> None:
    found = await alice.ask(
        "[tried, status, uids]",
        setup="""
        import ctypes, os, subprocess
        libc, tried = ctypes.CDLL(None, use_errno=True), {}
        def attempt(name, call):
            try:
                call()
                tried[name] = True
            except (OSError, subprocess.SubprocessError):
                tried[name] = False
        attempt('setuid', lambda: os.setuid(0))
        attempt('setgid', lambda: os.setgid(0))
        attempt('setgroups', lambda: os.setgroups([0]))
        attempt('chroot', lambda: os.chroot('/tmp'))
        attempt('mknod', lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0)))
        attempt('chown', lambda: (open('/tmp/mine', 'w').close(), os.chown('/tmp/mine', 0, 0)))
        tried['mount'] = libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0
        tried['umount'] = libc.umount2(b'/usr', 2) == 0
        tried['sethostname'] = libc.sethostname(b'x', 1) == 0
        tried['reboot'] = libc.reboot(0) == 0
        tried['swapoff'] = libc.swapoff(b'/x') == 0
        for program in ('su', 'sudo', 'mount', 'passwd', 'newgrp', 'chsh', 'pkexec', 'fusermount3', 'newuidmap'):
            path = f'/usr/bin/{program}'
            if os.path.exists(path):
                done = subprocess.run(['/bin/sh', '-c', f'{path} -c id; {path} id'], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, timeout=10)
                tried[program] = 'uid=0' in done.stdout
        status = {line.split(':')[0]: line.split(':')[1].strip() for line in open('/proc/self/status')}
        uids = os.getresuid()
        """,
    )
    tried, status, uids = found
    assert [name for name, worked in tried.items() if worked] == []
    assert 0 not in uids
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


async def test_a_user_namespace_of_ones_own_gives_nothing_over_the_system(alice: Notebook) -> None:
    """Where the kernel allows one, what is mounted there is seen there only, and what is read-only stays so."""
    found = await alice.ask(
        "results",
        setup="""
        import subprocess
        results = {}
        for name, script in {
            'write': 'mount -o remount,rw /usr && touch /usr/of-alice && echo done',
            'root': 'mount -o remount,rw / && touch /of-alice && echo done',
            'bind': 'mount --bind /tmp /etc && touch /usr/bin/of-alice && echo done',
            'unmask': 'umount /etc/passwd && cat /etc/shadow && echo done',
            'disk': 'mknod /tmp/sda b 8 0 && dd if=/tmp/sda count=1 of=/dev/null && echo done',
            'host': 'mount -t sysfs sysfs /tmp && echo done',
        }.items():
            done = subprocess.run(['unshare', '-Urm', 'sh', '-c', script], capture_output=True, text=True, timeout=20)
            results[name] = 'done' in done.stdout
        """,
    )
    assert [name for name, worked in found.items() if worked] == []
    assert await alice.ask("[__import__('os').path.exists(p) for p in ('/usr/of-alice', '/of-alice')]") == [
        False,
        False,
    ]


# Connecting


LISTENING = f"""
{LINKS}
mine = {{link for process in filter(str.isdigit, os.listdir('/proc')) for link in links(process) or ()}}
ports = sorted({{int(f[1].split(':')[1], 16) for table in ('tcp', 'tcp6') for f in
                (line.split() for line in list(open(f'/proc/net/{{table}}'))[1:])
                if f[3] == '0A' and f'socket:[{{f[9]}}]' in mine}})
"""


REACHES = """
import socket
def reaches(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=2).close()
        return True
    except OSError:
        return False
"""


async def test_kernels_take_orders_on_no_port(tenants: TwoTenants) -> None:
    """Their channels are private files. The one port they open is for the output of processes that they fork."""
    connection = await tenants.alice.ask(
        "json.load(open(ipykernel.connect.get_connection_file()))", setup="import ipykernel, json"
    )
    assert connection["transport"] == "ipc"
    assert connection["ip"].startswith(RUNTIME)
    assert len(await tenants.alice.ask("ports", setup=LISTENING)) <= 1


async def test_a_neighbour_reaches_no_port_of_a_kernel(tenants: TwoTenants) -> None:
    """Two large messages to the one for output end a kernel; and so would they to what a user listens on."""
    with private_server() as private:
        mine = private.getsockname()[1]
    await tenants.alice.run(f"import socket; server = socket.create_server(('0.0.0.0', {mine}))")
    ports = await tenants.alice.ask("ports", setup=LISTENING)
    assert mine in ports
    tried = f"{{port: reaches(port) for port in {ports}}}"
    assert await tenants.alice.ask(tried, setup=REACHES) == {str(port): True for port in ports}
    assert await tenants.bob.ask(tried, setup=REACHES) == {str(port): False for port in ports}
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", mine), timeout=2)
    assert not [port for port in ports if is_kernel_at(port)]


def is_kernel_at(port: int) -> bool:
    """Whether a kernel answers at a port of this machine, where another program may have the same port by chance.

    ZeroMQ greets first, with 0xff: https://rfc.zeromq.org/spec/23/
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            return link.recv(1) == b"\xff"
    except OSError:
        return False


def private_server() -> socket.socket:
    """A server on a port that the system gives to no program by itself: each kernel has such a port open."""
    for port in random.sample(range(12_000, 32_000), 50):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise AssertionError("none of 50 ports is free")


async def test_an_instance_reaches_no_port_of_this_machine_but_the_forwarded_one(tenants: TwoTenants) -> None:
    with private_server() as private:
        ports = [private.getsockname()[1], tenants.hub.port, *(port_of(one) for one in (tenants.alice, tenants.bob))]
        found = await tenants.alice.ask(f"[reaches(port) for port in {ports}]", setup=REACHES)
    assert found == [False, True, False, False]


# A connection can be undone (AF_UNSPEC) and made anew, to any address of the network where the socket was made.
ANEW = """
import ctypes, json, os, socket
libc, found = ctypes.CDLL(None), {}
for name in os.listdir('/proc/self/fd'):
    try:
        mine = socket.socket(fileno=os.dup(int(name)))
    except OSError:
        continue
    if mine.type == socket.SOCK_STREAM:
        libc.connect(mine.fileno(), bytes(16), 16)
        try:
            mine.settimeout(2)
            mine.connect(('127.0.0.1', PORT))
            found[name] = 'reached'
        except (OSError, TypeError) as error:
            found[name] = str(error)
    mine.close()
json.dump(found, open('/mnt/workspace/found', 'w'))
class Now: pass
"""
# The server loads what its user registers as a converter, so the code runs where the server's own sockets are.
IN_SERVER = """
import os
import re
os.makedirs('/mnt/workspace/anew-1.dist-info')
entry = '[nbconvert.exporters]\\nanew = anew:Now\\n'
open('/mnt/workspace/anew-1.dist-info/entry_points.txt', 'w').write(entry)
open('/mnt/workspace/anew.py', 'w').write(code)
"""


async def test_no_socket_of_this_machines_network_is_inside(tenants: TwoTenants) -> None:
    with socket.create_server(("127.0.0.1", 0)) as private:
        code = ANEW.replace("PORT", str(private.getsockname()[1]))
        await tenants.alice.run(f"code = {code!r}\n{IN_SERVER}")
        headers = {"Authorization": f"token {tenants.alice.token}"}
        address = f"{tenants.alice.url}nbconvert/anew/any.ipynb"
        async with tenants.session.get(address, headers=headers) as answer:
            await answer.read()
    found = await tenants.alice.ask("json.load(open('/mnt/workspace/found'))", setup="import json")
    assert len(found) >= 2, "the listening socket, and the connection of this very request"
    assert "reached" not in found.values()
    assert await tenants.alice.ask("1 + 1") == 2


async def test_a_debugger_opens_no_port(alice: Notebook) -> None:
    """It would listen on the loopback interface, which instances share where a machine has no network namespaces."""
    before = await alice.ask("ports", setup=LISTENING)
    answer = await alice.debug("initialize", clientID="x", adapterID="python", pathFormat="path")
    assert not (answer or {}).get("success")
    assert await alice.ask("ports", setup=LISTENING) == before
    assert await alice.ask("1 + 1") == 2


async def test_another_users_kernels_cannot_be_reached(tenants: TwoTenants) -> None:
    """Their sockets are files in their own home; an abstract socket would be shared along with the network."""
    seen = await tenants.alice.ask(
        "[line.split()[-1] for line in open('/proc/net/unix') if '/' in line or '@' in line]"
    )
    sockets = await tenants.bob.ask("__import__('glob').glob('/mnt/jupyter/kernel*ipc*')")
    assert sockets, "the kernel's sockets are in the private home"
    reached = await tenants.alice.ask(
        "[path for path in paths if connects(path)]",
        setup=f"""
        import socket
        paths = {sockets}
        def connects(path):
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(path)
                    return True
                except OSError:
                    return False
        """,
    )
    assert reached == []
    assert not [path for path in seen if path.startswith("@") and "kernel" in path]


async def test_another_users_notebook_requires_authentication(tenants: TwoTenants) -> None:
    """Whoever reaches its port, as users do by the proxy."""
    for token in ("", tenants.alice.token, "rubbish"):
        headers = {"Authorization": f"token {token}"}
        async with tenants.session.get(f"{tenants.bob.url}api/contents", headers=headers) as answer:
            assert answer.status == 403


async def test_another_users_port_cannot_be_had(tenants: TwoTenants) -> None:
    """A port of the same number inside is another one, and outside the keeper holds it."""
    port = port_of(tenants.bob)
    await tenants.alice.run(f"import socket; taken = socket.create_server(('0.0.0.0', {port}))")
    assert not machine.can_bind(tenants.bob.url)
    assert await tenants.bob.ask("2 + 2") == 4
    await tenants.alice.run("taken.settimeout(0.1)")
    with pytest.raises(CodeFailed, match="TimeoutError"):
        await tenants.alice.run("taken.accept()")


def port_of(notebook: Notebook) -> int:
    return int(notebook.url.split(":")[2].split("/")[0])
