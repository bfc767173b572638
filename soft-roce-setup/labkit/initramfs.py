"""The guests' initramfs: Debian's static busybox, the modules of the kernel and our first process, in a cpio archive."""
import hashlib
import lzma
import os
import stat
import time

from . import cache
from .errors import CannotRun

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
APPLETS = ["sh", "mount", "insmod", "mkdir", "cp", "cat", "ln", "uname", "switch_root"]
LAB_FILES = {"lab/agent.py": "labkit/agent.py", "lab/frames.py": "labkit/frames.py", "init": "guest/init",
             **{f"lab/bin/{name}": f"guest/{name}" for name in ["setup-guest", "lab-sync", "lab-proof", "lab-wait"]}}
KEPT_SECONDS = 7 * 86400
BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"]


class Archive:
    """A cpio archive of the format "newc", which the kernel unpacks."""

    def __init__(self):
        self._parts = []
        self._next = 1
        self._folders = set()

    def _entry(self, name, mode, data):
        encoded = name.encode() + b"\0"
        fields = [self._next, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        self._next += 1
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        if name and name not in self._folders:
            self.folder(os.path.dirname(name))
            self._folders.add(name)
            self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def bytes(self):
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def is_static(path):
    """No program interpreter is named in it."""
    return b"/ld-linux-x86-64.so" not in read(path)


def busybox():
    for path in BUSYBOX:
        if os.path.exists(path):
            if not is_static(path):
                raise CannotRun(f"{path} is not static: install the package busybox-static in place of busybox")
            return path
    raise CannotRun("no busybox: install the package busybox-static")


def build(kernel):
    archive = Archive()
    for name in ["proc", "sys", "dev", "modules", "bin"]:
        archive.folder(name)
    archive.file("bin/busybox", read(busybox()), 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    order = []
    for path in kernel.initramfs_modules():
        name = os.path.basename(path).removesuffix(".xz")
        archive.file(f"modules/{name}", read(os.path.join(kernel.modules, path)))
        order.append(name)
    archive.file("modules/order", "".join(name + "\n" for name in order).encode())
    archive.file("modules/folder", (kernel.modules + "\n").encode())
    for name, source in LAB_FILES.items():
        archive.file(name, read(os.path.join(TOP, source)), 0o755)
    return archive.bytes()


def remove_old():
    """Those of a week ago: a younger one may be what another lab starts with just now."""
    for name in os.listdir(cache.folder()):
        path = os.path.join(cache.folder(), name)
        if name.startswith("initramfs-") and time.time() - os.path.getmtime(path) > KEPT_SECONDS:
            cache.remove(path)


def get(kernel):
    """Path of the archive, built where what goes into it has changed."""
    digest = hashlib.sha256()
    for path in [busybox(), __file__, *(os.path.join(TOP, source) for source in LAB_FILES.values())]:
        digest.update(read(path))
    digest.update(kernel.folder.encode())
    name = f"initramfs-{digest.hexdigest()[:32]}"
    path = os.path.join(cache.folder(), name)
    if not os.path.exists(path):
        data = build(kernel)
        remove_old()
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.rename(path + ".new", path)
    return path
