"""The virtual machines: QEMU's command line, and whether KVM works here or the guests are emulated."""
import os
import select
import shutil
import subprocess
import tempfile
import time

from . import cache, initramfs, kernel as kernels, processes
from .errors import CannotRun, LabError

QEMU = "qemu-system-x86_64"
MTU = 4500  # lets RoCE have its largest own MTU, 4096
SELF_TEST_SECONDS = 5
SELF_TEST_WORD = "Run /init as init process"
# A guest that panics ends (with -no-reboot) instead of standing still.
KERNEL_ARGUMENTS = ("console=ttyS0 net.ifnames=0 mitigations=off panic=-1 loglevel=4 printk.devkmsg=on")


def check_tools():
    missing = [f"{tool} (package {package})" for tool, package in
               [(QEMU, "qemu-system-x86"), ("ip", "iproute2"), ("rdma", "iproute2")] if not shutil.which(tool, path=search_path())]
    if missing:
        raise CannotRun("missing: " + ", ".join(missing) + "; as root: scripts/install-deps lab")


def search_path():
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def qemu():
    return shutil.which(QEMU, path=search_path())


def base_command(acceleration, kernel, initramfs, memory_mib, cpus, more_arguments=""):
    return [qemu(), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35,graphics=off",
            "-accel", acceleration + (",thread=multi" if acceleration == "tcg" else ""),
            "-cpu", "host" if acceleration == "kvm" else "max", "-smp", str(cpus), "-m", str(memory_mib),
            "-kernel", kernel.image, "-initrd", initramfs, "-append", f"{KERNEL_ARGUMENTS} {more_arguments}".strip()]


def comma(path):
    """As QEMU wants a path within an option."""
    return path.replace(",", ",,")


def guest_command(base, folder, out, agent_fd, link_fd, mac):
    return base + [
        "-name", os.path.basename(folder),
        "-serial", "file:" + comma(os.path.join(folder, "console")),
        "-device", "virtio-rng-pci",
        "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent_fd}",
        "-device", "virtserialport,chardev=agent,name=covey.lab",
        "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-fsdev", f"local,id=out,path={comma(out)},security_model=none",
        "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
        "-netdev", f"dgram,id=link,local.type=fd,local.str={link_fd}",
        "-device", f"virtio-net-pci,netdev=link,mac={mac},host_mtu={MTU},romfile="]


def start(command, folder, keep):
    with open(os.path.join(folder, "qemu"), "wb") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, pass_fds=keep, cwd="/",
                                preexec_fn=processes.in_child(os.getpid()))


def this_boot():
    """What an answer about KVM holds for."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    version = subprocess.run([qemu(), "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout
    return f"{boot} {os.uname().release} {version.splitlines()[0] if version else ''}"


def kvm_self_test(kernel, initramfs):
    """Why KVM is no use here, or None: a guest must get as far as its first process."""
    with tempfile.TemporaryDirectory(prefix="covey-lab-kvm-") as folder:
        command = base_command("kvm", kernel, initramfs, 512, 1, "loglevel=7") + ["-serial", "stdio"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
                              preexec_fn=processes.in_child(os.getpid())) as guest:
            said, ended = "", False
            deadline = time.monotonic() + SELF_TEST_SECONDS
            try:
                while SELF_TEST_WORD not in said and not ended and (left := deadline - time.monotonic()) > 0:
                    if select.select([guest.stdout], [], [], left)[0]:
                        data = os.read(guest.stdout.fileno(), 65536)
                        said += data.decode(errors="replace")
                        ended = not data
            finally:
                guest.kill()
    if SELF_TEST_WORD in said:
        return None
    if ended:
        return "QEMU ended: " + (said.strip().splitlines() or ["without a word"])[0]
    return f"a guest does not start within {SELF_TEST_SECONDS} s"


def acceleration(kernel, initramfs, say):
    """"kvm" or "tcg". The self-test's answer is kept until the machine boots again; LAB_ACCELERATION decides otherwise."""
    forced = os.environ.get("LAB_ACCELERATION", "")
    if forced in ("kvm", "tcg"):
        return forced
    if forced:
        raise LabError(f"LAB_ACCELERATION is \"{forced}\", neither kvm nor tcg", 2)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    key = this_boot()
    kept = (cache.read_text("kvm") or "").split("\n")
    if kept[0] != key:
        reason = kvm_self_test(kernel, initramfs)
        if reason:
            say(f"/dev/kvm is there, but fails its test ({reason}): emulating, until the machine boots again")
        cache.write_text("kvm", f"{key}\n{'tcg' if reason else 'kvm'}\n{reason or ''}\n")
        kept = ["", "tcg" if reason else "kvm"]
    return kept[1]


def prepare(say, package=None, refresh=False):
    """(kernel, initramfs, acceleration), made where they are not there yet."""
    with cache.locked():
        kernel = kernels.get(say, package, refresh)
        archive = initramfs.get(kernel)
        return kernel, archive, acceleration(kernel, archive, say)
