"""The system call filter of local sandboxes, as a BPF program for bubblewrap.

It allows what containerd 2's default profile (the one behind a pod's `seccompProfile: RuntimeDefault`) allows a
container without capabilities, and fewer address families. All others fail: io_uring, keyrings, userfaultfd, bpf,
perf_event_open, mounts, and what makes or enters namespaces. libseccomp compiles it; it knows the numbers of this
machine's architecture.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache

LIBRARY = "libseccomp.so.2"
ALLOWED = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod
fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set
kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules
lsm_set_self_attr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat
mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend
mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep
newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect
poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6
ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area
set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat sync sync_file_range syncfs
sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork
vmsplice wait4 waitid write writev
""".split()  # noqa: SIM905  (one a line would be five pages)
"""By name, for architectures of 64 bits."""
ALLOWED_HERE = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "aarch64": ("arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls"),
    "riscv64": ("riscv_flush_icache", "riscv_hwprobe"),
}
NEW = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
}
"""Numbers, the same on every architecture, for a libseccomp that is older than the call."""
FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink. containerd refuses AF_ALG and AF_VSOCK; the others are of no use without capabilities."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL, _MASKED_EQUAL = 4, 7
_BAD_ARCHITECTURE = 2
_LOAD_NUMBER, _IF_GREATER, _RETURN = 0x20, 0x25, 0x06


class _Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Filter:
    """libseccomp's context. Each call raises `OSError` where libseccomp refuses it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self._library.seccomp_init.restype = ctypes.c_void_p
        made = self._library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM))
        if not made:
            raise OSError(errno.ENOMEM, "libseccomp makes no filter")
        self._context = ctypes.c_void_p(made)

    def set(self, attribute: int, value: int) -> None:
        self._check(self._library.seccomp_attr_set(self._context, attribute, ctypes.c_uint32(value)))

    def number(self, name: str) -> int | None:
        """The call's number here; None where this architecture or this libseccomp has none."""
        found = int(self._library.seccomp_syscall_resolve_name(name.encode()))
        return found if found >= 0 else NEW.get(name)

    def rule(self, action: int, number: int, *comparisons: _Compare) -> None:
        array = (_Compare * len(comparisons))(*comparisons)
        self._check(
            self._library.seccomp_rule_add_array(
                self._context, ctypes.c_uint32(action), number, len(comparisons), array
            )
        )

    def program(self) -> bytes:
        with os.fdopen(os.memfd_create("filter"), "w+b") as file:
            self._check(self._library.seccomp_export_bpf(self._context, file.fileno()))
            file.seek(0)
            return file.read()

    def close(self) -> None:
        self._library.seccomp_release(self._context)

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            raise OSError(-result, f"libseccomp: {os.strerror(-result)}")


@cache
def program() -> bytes:
    """The compiled filter for this machine. Raises `OSError` where there is no libseccomp."""
    made = _Filter()
    try:
        made.set(_BAD_ARCHITECTURE, _ERRNO | errno.ENOSYS)
        for name in (*ALLOWED, *ALLOWED_HERE.get(os.uname().machine, ())):
            number = made.number(name)
            if number is not None:
                made.rule(_ALLOW, number)
        _add_rule(made, "socket", [_Compare(0, _EQUAL, family, 0) for family in FAMILIES])
        _add_rule(made, "personality", [_Compare(0, _EQUAL, value, 0) for value in PERSONALITIES])
        _add_rule(made, "clone", [_Compare(0, _MASKED_EQUAL, NAMESPACES, 0)])
        # The flags of clone3 are in memory, which a filter cannot read. C libraries then use clone.
        clone3 = made.number("clone3")
        if clone3 is not None:
            made.rule(_ERRNO | errno.ENOSYS, clone3)
        return _unknown_is_enosys() + made.program()
    finally:
        made.close()


def _add_rule(made: _Filter, name: str, alternatives: list[_Compare]) -> None:
    number = made.number(name)
    assert number is not None, name
    for one in alternatives:
        made.rule(_ALLOW, number, one)


def _unknown_is_enosys() -> bytes:
    """Calls that are newer than the list do not exist: C libraries try an older one after ENOSYS, not after EPERM."""
    instructions = (
        (_LOAD_NUMBER, 0, 0, 0),
        (_IF_GREATER, 0, 1, max(NEW.values())),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    )
    return b"".join(struct.pack("=HBBI", *one) for one in instructions)
