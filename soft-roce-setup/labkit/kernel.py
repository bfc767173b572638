"""The guests' kernel: Debian's own package, fetched by apt, checked by its SHA-256 and unpacked in the cache. Nothing is installed."""
import glob
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from . import cache
from .errors import CannotRun, LabError

META_PACKAGE = "linux-image-amd64"
# Enough for the lab and for modprobe in its guests, without the drivers of hardware that no guest has.
UNPACKED = ["./boot/vmlinuz-*", "./boot/config-*", "./lib/modules/*/modules.builtin*", "./lib/modules/*/modules.order"]
UNPACKED_MODULES = ["arch", "block", "crypto", "fs/9p", "fs/configfs", "fs/fscache", "fs/netfs", "fs/overlayfs", "fs/fuse", "lib", "mm", "net",
                    "drivers/block", "drivers/char", "drivers/crypto", "drivers/infiniband", "drivers/net/*.ko*",
                    "drivers/net/bonding", "drivers/net/ipvlan", "drivers/net/wireguard", "drivers/virtio", "drivers/virt"]
IN_THE_INITRAMFS = ["crc32_generic", "crc32c_generic", "virtio_pci", "virtio_net", "virtio_console", "virtio_rng", "9p",
                    "9pnet_virtio", "overlay", "veth", "rdma_rxe", "ib_uverbs", "rdma_ucm", "rdma_cm"]
# What was unpacked by other rules is another entry of the cache.
RULES = hashlib.sha256(" ".join(UNPACKED + UNPACKED_MODULES).encode()).hexdigest()[:8]
XZ_MAGIC = b"\xfd7zXZ\0"


class Kernel:
    """An unpacked kernel in the cache."""

    def __init__(self, folder):
        self.folder = folder
        self.image = os.path.join(folder, "vmlinux")
        modules = glob.glob(os.path.join(folder, "lib", "modules", "*"))
        if not os.path.exists(self.image) or len(modules) != 1:
            raise LabError(f"{folder} is damaged; remove it: the next run makes it again")
        self.modules = modules[0]
        self.release = os.path.basename(modules[0])

    def initramfs_modules(self):
        """Paths below the modules' folder, in the order in which they have to be loaded."""
        needs, path_of = {}, {}
        with open(os.path.join(self.modules, "modules.dep"), encoding="ascii") as file:
            for line in file:
                path, _, rest = line.partition(":")
                path_of[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = path
                needs[path] = rest.split()
        ordered = []

        def add(path):
            # Each file's own list names what has to be loaded first last.
            for need in reversed(needs[path]):
                add(need)
            if path not in ordered:
                ordered.append(path)

        for name in IN_THE_INITRAMFS:
            if name in path_of:
                add(path_of[name])
            elif not self.is_built_in(name):
                raise LabError(f"kernel {self.release} has no module {name}")
        return ordered

    def is_built_in(self, name):
        with open(os.path.join(self.modules, "modules.builtin"), encoding="ascii") as file:
            return any(os.path.basename(line.strip()).replace("-", "_") == name + ".ko" for line in file)


def apt(*command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRun(f"no {command[0]} here: the lab takes its kernel from Debian by apt, "
                        "or from a package given with --kernel-package") from error


def wanted_package():
    """Name and SHA-256 of the package that Debian's kernel package stands for."""
    said = apt("apt-cache", "depends", META_PACKAGE)
    names = re.findall(r"Depends: (linux-image-[0-9]\S+)", said.stdout)
    if not names:
        raise CannotRun(f"apt knows no package {META_PACKAGE}: as root, apt-get update")
    shown = apt("apt-cache", "show", "--no-all-versions", names[0])
    checksums = re.findall(r"^SHA256: ([0-9a-f]{64})$", shown.stdout, re.MULTILINE)
    if not checksums:
        raise CannotRun(f"apt has no checksum of {names[0]}: as root, apt-get update")
    return names[0], checksums[0]


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def download(name, checksum, folder):
    done = subprocess.run(["apt-get", "-q", "download", name], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    found = glob.glob(os.path.join(folder, "*.deb"))
    if done.returncode != 0 or len(found) != 1:
        reason = "\n".join(line for line in done.stderr.splitlines() if line.startswith("E:")) or done.stderr.strip()
        raise CannotRun(f"cannot download {name} ({reason}).\nOffline? Fetch it elsewhere with: apt-get download {name}\n"
                        "and run: soft-roce-setup/lab prepare --kernel-package FILE.deb")
    if sha256(found[0]) != checksum:
        raise LabError(f"{name} was downloaded, but its SHA-256 is not the one that apt names")
    return found[0]


def extract_image(vmlinuz, out):
    """The ELF kernel within: it starts without firmware and boot loader, and is not unpacked again under emulation."""
    with open(vmlinuz, "rb") as file:
        data = file.read()
    start = data.find(XZ_MAGIC)
    image = lzma.LZMADecompressor().decompress(data[start:]) if start >= 0 else b""
    if image[:4] != b"\x7fELF":
        raise LabError(f"{os.path.basename(vmlinuz)} holds no kernel compressed by xz, as Debian's do")
    with open(out, "wb") as file:
        file.write(image)


def unpack(package, into):
    patterns = UNPACKED + [f"./lib/modules/*/kernel/{path}" + ("" if "*" in path else "/*") for path in UNPACKED_MODULES]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        tar = subprocess.run(["tar", "-x", "--no-same-owner", "--wildcards", "-C", into, *patterns], stdin=source.stdout,
                             stderr=subprocess.PIPE, text=True, check=False)
        source.stdout.close()
        source.wait()
    images = glob.glob(os.path.join(into, "boot", "vmlinuz-*"))
    if len(images) != 1:
        raise LabError(f"{package} is no Debian kernel package: {tar.stderr.strip()}")
    extract_image(images[0], os.path.join(into, "vmlinux"))
    release = os.path.basename(images[0]).removeprefix("vmlinuz-")
    depmod = shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not depmod:
        raise CannotRun("depmod is missing: install the package kmod")
    subprocess.run([depmod, "-b", into, release], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def cached_name(checksum):
    return f"kernel-{checksum[:32]}-{RULES}"


def make(package, checksum):
    name = cached_name(checksum)
    if not os.path.isdir(os.path.join(cache.folder(), name)):
        with cache.new_folder(name) as folder:
            unpack(package, folder)
    cache.write_text("kernel", name)


def get(say, package=None, refresh=False):
    """The kernel in use; where there is none yet, or one is asked for, it is fetched first."""
    if package:
        if not os.path.isfile(package):
            raise LabError(f"no file {package}")
        make(package, sha256(package))
    elif refresh or not is_current():
        name, checksum = wanted_package()
        if not os.path.isdir(os.path.join(cache.folder(), cached_name(checksum))):
            say(f"fetching {name} (70 MB, once)")
            with tempfile.TemporaryDirectory(prefix=".new-", dir=cache.folder()) as folder:
                make(download(name, checksum, folder), checksum)
        else:
            cache.write_text("kernel", cached_name(checksum))
    return Kernel(os.path.join(cache.folder(), cache.read_text("kernel")))


def is_current():
    name = cache.read_text("kernel")
    return name is not None and name.endswith(RULES) and os.path.isdir(os.path.join(cache.folder(), name))
