"""Processes that do not outlive the lab, however it ends."""
import ctypes
import os
import shutil
import signal
import sys
import time
import traceback

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent):
    """For a child just forked: it is killed when the thread that forked it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent():
    _libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)


def in_child(parent):
    """What a program that the lab starts does before it is executed: its own session, out of the terminal's reach."""
    def prepare():
        os.setsid()
        die_with(parent)
    return prepare


def close_all_but(keep):
    kept = sorted(set(keep) | {0, 1, 2})
    for low, high in zip(kept, kept[1:] + [65536]):
        os.closerange(low + 1, high)


def run_forked(function, keep, parent=None, log=os.devnull):
    """In a child just forked: runs the function, with these descriptors only, and ends. Never returns.

    With a parent named, it is killed when that one ends. What it says goes to the log, never to where the lab prints:
    who reads there would wait for this process too.
    """
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.setsid()
        if parent is not None:
            die_with(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(said, number)
        close_all_but(keep)
        function()
        status = 0
    except BaseException:  # the stack of the parent must not be unwound here
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)


class Janitor:
    """A process that waits for the end of the lab, also by SIGKILL, and removes its folder."""

    def __init__(self, folder):
        waits, self._held = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            run_forked(lambda: self._wait_and_clean(waits, folder), keep=[waits])
        os.close(waits)

    @staticmethod
    def _wait_and_clean(waits, folder):
        os.read(waits, 1)
        # The guests are being killed at this moment and may still make files.
        deadline = time.monotonic() + 10
        while os.path.exists(folder) and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rmdir(os.path.dirname(folder))
        except OSError:  # not empty: another lab has its folder there
            pass

    def finish(self):
        os.close(self._held)
        os.waitpid(self._pid, 0)
