"""System calls that no instance may make, and a program that tries each. It runs in a notebook of any backend.

Arguments are such that a call without a filter does nothing: it fails for another reason than EPERM where it needs no
capability. So a caller without capabilities shows which errors are the filter's own.
"""

from __future__ import annotations

import json
import subprocess
import sys

NEW_USER = 0x10000000
REFUSED = {
    "io_uring_setup": (425, 425, 0, 0),
    "io_uring_enter": (426, 426, -1, 0, 0, 0),
    "io_uring_register": (427, 427, -1, 0, 0, 0),
    "add_key": (248, 217, 0, 0, 0, 0, 0),
    "request_key": (249, 218, 0, 0, 0, 0),
    "keyctl": (250, 219, 0, -3, 0),
    "userfaultfd": (323, 282, 1),
    "bpf": (321, 280, 0, 0, 0),
    "perf_event_open": (298, 241, 0, 0, -1, -1, 0),
    "unshare user": (272, 97, NEW_USER),
    "unshare net": (272, 97, 0x40000000),
    "setns": (308, 268, -1, 0),
    "mount": (165, 40, 0, 0, 0, 0, 0),
    "umount2": (166, 39, 0, 0),
    "pivot_root": (155, 41, 0, 0),
    "chroot": (161, 51, 0),
    "open_tree": (428, 428, -1, 0, 0),
    "move_mount": (429, 429, -1, 0, -1, 0, 0),
    "fsopen": (430, 430, 0, 0),
    "fsmount": (432, 432, -1, 0, 0),
    "mount_setattr": (442, 442, -1, 0, 0, 0, 0),
    "open_by_handle_at": (304, 265, -1, 0, 0),
    "fanotify_init": (300, 262, 0x100, 0),
    "pidfd_getfd": (438, 438, -1, 0, 0),
    "process_madvise": (440, 440, -1, 0, 0, 0, 0),
    "kcmp": (312, 272, 1, 1, 99, 0, 0),
    "move_pages": (279, 239, 0, 0, 0, 0, 0, 0),
    "mbind": (237, 235, 1, 0, 0, 0, 0, 0),
    "init_module": (175, 105, 0, 0, 0),
    "finit_module": (313, 273, -1, 0, 0),
    "delete_module": (176, 106, 0, 0),
    "kexec_load": (246, 104, 0, 0, 0, 0),
    "acct": (163, 89, 1),
    "quotactl": (179, 60, 0, 0, 0, 0),
    "swapon": (167, 224, 0, 0),
    "swapoff": (168, 225, 0),
    "syslog": (103, 116, 3, 0, 0),
    "settimeofday": (164, 170, 0, 1),
    "reboot": (169, 142, 0, 0, 0, 0),
    "socket AF_ALG": (41, 198, 38, 5, 0),
    "socket AF_VSOCK": (41, 198, 40, 1, 0),
    "personality": (135, 92, 0x0800000),
}
"""Numbers on x86_64 and on aarch64, then the arguments."""
FREE = {
    "io_uring_setup", "keyctl", "add_key", "request_key", "userfaultfd", "unshare user", "setns", "pidfd_getfd",
    "process_madvise", "mbind", "clone user",
}  # fmt: skip
"""Of these, what a user without capabilities can call where there is no filter (kernels differ in the others)."""

PROGRAM = f"""
import ctypes, errno, os, platform, signal
calls = {REFUSED!r}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
here = {{'x86_64': 0, 'aarch64': 1}}[platform.machine()]
def attempt(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return 0 if result >= 0 else ctypes.get_errno()
def apart(number, *arguments):  # in a child, so that what works changes nothing here
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(attempt(number, *arguments)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        found = said.read()
    os.waitpid(child, 0)
    return found
def name_of(text):
    return errno.errorcode.get(int(text), 'worked') if text.isdecimal() else text
found = {{name: name_of(apart(call[here], *call[2:])) for name, call in calls.items()}}
def clones():
    child = libc.syscall(ctypes.c_long((56, 220)[here]), ctypes.c_long({NEW_USER} | signal.SIGCHLD), 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child < 0:
        return errno.errorcode[ctypes.get_errno()]
    os.waitpid(child, 0)
    return 'worked'
found['clone user'] = clones()
found['clone3'] = name_of(apart(435, 0, 0))
found['too new'] = name_of(apart(999, 0))
"""
EXPECTED = dict.fromkeys((*REFUSED, "clone user"), "EPERM") | {"clone3": "ENOSYS", "too new": "ENOSYS"}


def without_filter(user: int) -> dict[str, str]:
    """What the same program sees as a user without capabilities, outside of any sandbox."""
    drop = [
        "setpriv",
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        "--inh-caps=-all",
        "--no-new-privs",
    ]
    code = f"{PROGRAM}\nimport json\nprint(json.dumps(found))"
    done = subprocess.run(
        [*drop, "/usr/bin/python3" if user else sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return dict(json.loads(done.stdout))
