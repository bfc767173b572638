"""Where a lab keeps its sockets and files while it runs."""
import os
import re
import stat
import tempfile

from .errors import LabError

CONTROL = "control"
SESSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")


def base():
    """A folder of this user's alone; made where it is missing."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = os.path.join(runtime, "covey-lab") if runtime and os.access(runtime, os.W_OK) else f"/tmp/covey-lab-{os.getuid()}"
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise LabError(f"{path} is there, but is no folder of this user's alone; remove it") from None
    return path


def new_run():
    return tempfile.mkdtemp(prefix="run-", dir=base())


def session(name):
    return os.path.join(base(), "session-" + name)


def control_socket(name):
    return os.path.join(session(name), CONTROL)
