#!/usr/bin/python3
"""A disk that is full, and has room again: what was accepted is kept, and nobody has to be started again.

The folders of the controller and of the nodes are small file systems in memory, which are mounted in a mount namespace of this test's own.
"""
import ctypes
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BAD_INPUT, OK, Cluster, SystemTest, wait_for  # noqa: E402

CLONE_NEWNS = 0x20000
DISK_BYTES = 24 << 20


def own_mounts():
    """A mount namespace of this process; a sentence where it cannot have one."""
    if os.geteuid() != 0:
        return "only root can mount"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


class Disk:
    """A small file system."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "covey-test", folder], check=True)

    def fill(self):
        with open(os.path.join(self.folder, "ballast"), "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def make_room(self):
        os.unlink(os.path.join(self.folder, "ballast"))

    def unmount(self):
        subprocess.run(["umount", "-l", self.folder], check=True)


class SmallDisks(Cluster):
    """A cluster whose controller, and whose nodes, have a disk of their own each."""

    def __init__(self):
        self.disks = {}
        super().__init__()

    def covey(self, *arguments, **options):
        if not self.disks:
            self.disks = {name: Disk(os.path.join(self.state, name)) for name in ("controller", "node-1", "node-2")}
        return super().covey(*arguments, **options)

    def close(self):
        for disk in self.disks.values():
            disk.unmount()
        super().close()


class FullDisk(SystemTest):
    NODES = 0

    def setUp(self):
        self.cluster = SmallDisks()
        self.addCleanup(self.cluster.close)
        self.go = os.path.join(self.cluster.folder, "go")
        self.deploy_waiter("wait")
        self.disk = self.cluster.disks["controller"]

    def deploy_waiter(self, name, more_bytes=0):
        """A program without a result, which ends when it may go; its file is so much longer than the shell's."""
        path = os.path.join(self.cluster.folder, name)
        shutil.copy("/bin/sh", path)
        with open(path, "ab") as file:
            file.write(os.urandom(more_bytes))
        script = f"until [ -e {self.go} ]; do sleep 0.02; done"
        self.cluster.expect(OK, "deploy", "--name", name, path, "-c", script)

    def let_go(self):
        with open(self.go, "w", encoding="ascii"):
            pass

    def submit_until_refused(self):
        """The ids that were accepted before the disk was found to be full."""
        accepted = []
        while len(accepted) < 1000:
            done = self.cluster.covey("flare", "--detach", "-n", "1", "wait")
            if done.code != OK:
                self.assert_message(done, BAD_INPUT, "no room|no space")
                return accepted
            accepted.append(done.out.strip())
        self.fail("the disk was never full")

    def assert_all_succeed(self, *flare_ids):
        for flare_id in flare_ids:
            self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK, 60)

    def test_controller_without_room(self):
        running = self.cluster.flare("-n", "4", "wait")
        self.cluster.wait_state(running, "RUNNING")
        self.disk.fill()
        accepted = self.submit_until_refused()
        self.let_go()
        wait_for(lambda: not self.cluster.packs(running), "the end of what runs", 30)
        self.disk.make_room()
        wait_for(lambda: self.cluster.covey("flare", "-q", "-n", "1", "wait").code == OK, "a flare that is accepted again", 30)
        self.assert_all_succeed(running, *accepted)
        self.assertEqual([node["state"] for node in self.cluster.api.nodes()], ["UP", "UP"])

    def test_controller_without_room_is_killed(self):
        """How a flare ended while nothing could be written is told again, and waited for."""
        running = self.cluster.flare("-n", "4", "wait")
        self.cluster.wait_state(running, "RUNNING")
        self.disk.fill()
        accepted = self.submit_until_refused()
        self.let_go()
        wait_for(lambda: not self.cluster.packs(running), "the end of what runs", 30)
        controller = self.cluster.controller()
        self.cluster.kill(controller)
        self.cluster.respawn(controller)
        log = os.path.join(self.cluster.folder, f"coveyd-again-{controller.pid}.log")

        def listens():
            with open(log, encoding="utf-8") as file:
                return "listening" in file.read()
        wait_for(listens, "a controller that starts on a full disk", 30)
        self.disk.make_room()
        self.cluster.wait_nodes()
        self.assert_all_succeed(running, *accepted)
        self.assertEqual(self.cluster.get(running)["attempt"], 1)  # it was not run again
        self.assert_all_succeed(self.cluster.flare("-n", "4", "wait"))

    def test_nodes_without_room(self):
        """Code that is new there is kept in memory; what was there is used."""
        self.let_go()
        disks = [self.cluster.disks[name] for name in ("node-1", "node-2")]
        for disk in disks:
            disk.fill()
        self.deploy_waiter("large", 1 << 20)
        self.assert_all_succeed(self.cluster.flare("-n", "16", "large"), self.cluster.flare("-n", "16", "large"))
        self.assertEqual([os.listdir(os.path.join(disk.folder, "code")) for disk in disks], [[], []])
        for disk in disks:
            disk.make_room()
        self.deploy_waiter("larger", 2 << 20)
        self.assert_all_succeed(self.cluster.flare("-n", "16", "larger"), self.cluster.flare("-n", "16", "large"))
        self.assertEqual([len(os.listdir(os.path.join(disk.folder, "code"))) for disk in disks], [1, 1])


if __name__ == "__main__":
    WHY_NOT = own_mounts()
    if WHY_NOT:
        print(f"skipped: {WHY_NOT}")
        sys.exit(77)
    unittest.main()
