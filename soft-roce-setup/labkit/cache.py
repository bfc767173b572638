"""The user's cache folder of the lab: what is in it was checked when it was put there, whole or not at all."""
import contextlib
import fcntl
import os
import shutil
import tempfile


def folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "covey", "lab")
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


@contextlib.contextmanager
def locked():
    """One process at a time fills the cache; the others wait for it and find what it made."""
    with open(os.path.join(folder(), "lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


@contextlib.contextmanager
def new_folder(name):
    """A folder to fill, which gets its name in the cache only where the block ends well."""
    made = tempfile.mkdtemp(prefix=".new-", dir=folder())
    try:
        os.chmod(made, 0o755)
        yield made
        final = os.path.join(folder(), name)
        remove(final)
        os.rename(made, final)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def write_text(name, text):
    path = os.path.join(folder(), name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


def read_text(name):
    try:
        with open(os.path.join(folder(), name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
