"""Seccomp filters of the shape that container engines put around a process, made without a library."""
import ctypes
import errno
import platform
import struct

SUPPORTED = platform.machine() == "x86_64"

CLONE, MOUNT, UMOUNT, PIVOT_ROOT, ADD_KEY, REQUEST_KEY, KEYCTL = 56, 165, 166, 155, 248, 249, 250
UNSHARE, PERF_EVENT_OPEN, SETNS, MEMFD_CREATE, BPF, USERFAULTFD = 272, 298, 308, 319, 321, 323
PIDFD_SEND_SIGNAL, IO_URING_SETUP, PIDFD_OPEN, CLONE3, CLOSE_RANGE, OPENAT2 = 424, 425, 434, 435, 436, 437
PIDFD_GETFD, FACCESSAT2, PROCESS_MADVISE, LANDLOCK_CREATE_RULESET = 438, 439, 440, 444

NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW* that clone takes

# Without CAP_SYS_ADMIN: no namespaces, no mounts; clone3's flags cannot be looked at, so it is as if it did not exist.
DOCKER = {CLONE3: errno.ENOSYS, **dict.fromkeys(
    (UNSHARE, SETNS, MOUNT, UMOUNT, PIVOT_ROOT, ADD_KEY, REQUEST_KEY, KEYCTL, BPF, PERF_EVENT_OPEN, USERFAULTFD, IO_URING_SETUP),
    errno.EPERM)}
# Older engines answered so to every call that was younger than they.
OLD_DOCKER = {**DOCKER, **dict.fromkeys(
    (PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLONE3, CLOSE_RANGE, OPENAT2, PIDFD_GETFD, FACCESSAT2, PROCESS_MADVISE, LANDLOCK_CREATE_RULESET),
    errno.EPERM)}

LOAD, EQUAL, AND_SET, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def program(denied):
    """Denies calls with an errno each, and clone where it makes a namespace."""
    steps = [(LOAD, 0, 0, 0)]
    for number, error in denied.items():
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | error)]
    steps += [(EQUAL, 0, 3, CLONE), (LOAD, 0, 0, 16), (AND_SET, 0, 1, NAMESPACE_FLAGS), (RETURN, 0, 0, ERRNO | errno.EPERM),
              (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps), len(steps)


def apply(denied):
    """For this process and what it starts; to be called between fork and exec."""
    code, count = program(denied)
    text = ctypes.create_string_buffer(code, len(code))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(text)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(filters), 0, 0)):
        if prctl(*(ctypes.c_ulong(argument) for argument in arguments)):
            raise OSError(ctypes.get_errno(), "prctl")
