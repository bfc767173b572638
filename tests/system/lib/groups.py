"""Control groups with limits, for the tests that start something in them; whichever hierarchy this machine has."""
import contextlib
import os
import signal
import time


def hierarchies():
    """Of each controller (or "" for the unified hierarchy): where this process's own group is, and the top of all groups."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        paths = [line.rstrip("\n").split(":", 2) for line in file]
    for fields in mounts:
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        for _, names, path in paths:
            for name in names.split(","):
                own = os.path.join(fields[4], os.path.relpath(path, fields[3]))
                if (kind == "cgroup2" and not names or kind == "cgroup" and name and name in options) and os.path.isdir(own):
                    found.setdefault(name, (os.path.normpath(own), fields[4]))
    return found


def enter(folder):
    """For preexec_fn: into the group."""
    def write():
        with open(os.path.join(folder, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")
    return write


@contextlib.contextmanager
def group(controller, **files):
    """A group with these limits (a file's name has _ for its dot), or None where none can be made here."""
    known = hierarchies()
    # A group that has processes may have no groups with controllers below it; the top may.
    for where in known.get(controller) or known.get("", ()):
        folder = os.path.join(where, f"covey-test-{os.getpid()}")
        if make(folder, files):
            try:
                yield folder
            finally:
                remove(folder)
            return
    yield None


def remove(folder):
    """Also where a test has failed, and what it started is still there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            os.rmdir(folder)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as file:
            for pid in file.read().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def make(folder, files):
    try:
        os.mkdir(folder)
    except OSError:
        return False
    try:
        for name, text in files.items():
            with open(os.path.join(folder, name.replace("_", ".", 1)), "w", encoding="ascii") as file:
                file.write(text)
    except OSError:
        os.rmdir(folder)
        return False
    return True


def is_older(controller):
    """Whether the controller has a hierarchy of its own here."""
    return controller in hierarchies()
