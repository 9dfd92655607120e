"""A canary: written to every place that a user of an instance can write to, and searched for in the next instance.

Both are code of the user, run in a notebook of a real instance. The places are not on a list: they are what
`/proc/self/mountinfo` and a search of the whole file system, as the user, find to be writable. Beside files a process
that wants to stay, its port, and what the kernel keeps for a user outside of any file system: shared memory, message
queues and keys.
"""

from __future__ import annotations

import secrets
import textwrap
from dataclasses import dataclass

from tests.backends.notebook import Notebook

DAEMON = """
import os, signal, socket, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
listener = socket.socket(fileno=int(sys.argv[2]))
listener.settimeout(600)
while True:
    with listener.accept()[0] as asker:
        asker.sendall(sys.argv[1].encode())
"""

# Names of mounts are written with \040 for a space and the like; none of ours has any.
SEEN_BY_ALL = {"/mnt/models"}
"""Mounts that outlive an instance: every instance sees them, and none can write to them."""

WALK = """
import os, stat
mounts = sorted((line.split()[4] for line in open('/proc/self/mountinfo')), key=len, reverse=True)
mount = lambda path: next(m for m in mounts if path == m or path.startswith(m.rstrip('/') + '/'))
def walk():
    for folder, folders, names in os.walk('/'):
        if folder == '/':
            folders[:] = [name for name in folders if name not in ('proc', 'sys')]
        below = [m for m in mounts if m.startswith(folder.rstrip('/') + '/')]
        if os.statvfs(folder).f_flag & os.ST_RDONLY and not below:
            folders.clear()  # all of it is one read-only mount
        yield folder, folders, names
"""

# The C library has no functions for keys, and Python none for any of the three.
KERNEL = """
import ctypes, platform, zlib
libc = ctypes.CDLL(None, use_errno=True)
libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
add_key, keyctl = {'x86_64': (248, 250), 'aarch64': (217, 219)}[platform.machine()]
number = zlib.crc32(canary.encode()) & 0x7fffffff
USER_KEYRING = ctypes.c_long(-4)
def put():
    name = canary.encode()
    return {'shared memory': libc.shmget(number, 4096, 0o1600),
            'message queue': libc.mq_open(b'/' + name, os.O_CREAT | os.O_RDWR, 0o600, None),
            'key': libc.syscall(add_key, b'user', name, name, ctypes.c_long(len(name)), USER_KEYRING)}
def get():
    name = canary.encode()
    return {'shared memory': libc.shmget(number, 0, 0),
            'message queue': libc.mq_open(b'/' + name, os.O_RDONLY, 0, None),
            'key': libc.syscall(keyctl, 10, USER_KEYRING, b'user', name, 0)}
"""

PLANT = """
import socket, subprocess, sys
folders, files = [], []
for folder, _, names in walk():
    if '/.hidden' not in folder and os.access(folder, os.W_OK | os.X_OK):
        folders.append(folder)
    else:
        paths = [os.path.join(folder, name) for name in names]
        files += [p for p in paths if stat.S_ISREG(os.lstat(p).st_mode) and os.access(p, os.W_OK)]
def leave(path):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, canary.encode())
    except OSError:
        pass  # a message queue takes a name, but no text this way
    os.close(descriptor)
for folder in folders:
    leave(os.path.join(folder, canary))
    try:
        os.makedirs(os.path.join(folder, '.hidden'), exist_ok=True)
        leave(os.path.join(folder, '.hidden', canary))
    except OSError:
        pass
for file in files:
    leave(file)
leave(os.path.expanduser('~/.bashrc'))
startup = os.path.expanduser('~/.ipython/profile_default/startup')
os.makedirs(startup, exist_ok=True)
open(os.path.join(startup, '00.py'), 'w').write(f'print("{canary}")')
listener = socket.create_server(('127.0.0.1', 0))
port = listener.getsockname()[1]
held = listener.fileno()
subprocess.run([sys.executable, '-c', daemon, canary, str(held)], pass_fds=(held,), check=True)
listener.close()
kept = [name for name, result in put().items() if result >= 0]
"""

SEARCH = """
import socket
hits = []
for folder, folders, names in walk():
    hits += [os.path.join(folder, name) for name in (*folders, *names) if canary in name]
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        continue
    for path in (os.path.join(folder, name) for name in names):
        try:
            if stat.S_ISREG(os.lstat(path).st_mode) and canary.encode() in open(path, 'rb').read():
                hits.append(path)
        except OSError:
            pass  # nothing that could be read by a user of this instance
for process in filter(str.isdigit, os.listdir('/proc')):
    for name in ('cmdline', 'environ'):
        try:
            hits += [f'process {process}'] * (canary.encode() in open(f'/proc/{process}/{name}', 'rb').read())
        except OSError:
            pass
try:
    with socket.create_connection(('127.0.0.1', port), timeout=5) as probe:
        hits += [f'port {port}'] * (canary.encode() in probe.recv(100))  # the port may be in use by another process
except OSError:
    pass
hits += [name for name, result in get().items() if result >= 0]
"""


@dataclass(frozen=True)
class Planted:
    """Where a canary was left: `mounts` are those of the folders that could be written to, `files` single files in
    folders that could not, `kept` what the kernel keeps. `token` is the instance's own API token."""

    canary: str
    mounts: frozenset[str]
    folders: tuple[str, ...]
    files: tuple[str, ...]
    kept: frozenset[str]
    port: int
    token: str


def new_canary() -> str:
    """A unique name."""
    return f"canary-{secrets.token_hex(8)}"


async def plant(notebook: Notebook) -> Planted:
    """Leave a canary in every place and check that it is found."""
    canary = new_canary()
    mounts, folders, files, kept, port, token = await notebook.ask(
        "[sorted({mount(path) for path in folders}), folders, files, kept, port, os.environ['JUPYTERHUB_API_TOKEN']]",
        setup=_code(canary, f"daemon = {DAEMON!r}", WALK, KERNEL, PLANT),
    )
    planted = Planted(canary, frozenset(mounts), tuple(folders), tuple(files), frozenset(kept), port, token)
    found = set(await search(notebook, planted))
    assert not planted.mounts & SEEN_BY_ALL, "what all instances see can be written"
    expected = {f"{folder.rstrip('/')}/{canary}" for folder in folders} | {f"port {port}"} | set(kept)
    assert expected <= found, f"what was left is not found: {expected - found}"
    assert any(hit.startswith("process") for hit in found)
    return planted


async def search(notebook: Notebook, planted: Planted) -> list[str]:
    """Where the canary is: paths, processes, ports, and what the kernel keeps."""
    found = await notebook.ask("hits", setup=_code(planted.canary, f"port = {planted.port}", WALK, KERNEL, SEARCH))
    return [str(hit) for hit in found]


def _code(canary: str, *parts: str) -> str:
    # Backwards, because this code is kept in IPython's history, which is a file too.
    return "\n".join((f"canary = {canary[::-1]!r}[::-1]", *(textwrap.dedent(part) for part in parts)))
