#!/usr/bin/python3
"""The parts of the lab that need no guest: frames, barriers, links, archive, lines, the test of KVM."""
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "soft-roce-setup"))

from labkit import barriers, frames, initramfs, kernel, links, machine, terminal  # noqa: E402


class Frames(unittest.TestCase):
    def test_frames_cut_anywhere_come_out_whole(self):
        sent = [(frames.STDOUT, 7, b"abc"), (frames.EXIT, 7, b"\0"), (frames.PING, 0, b"")]
        data = b"".join(frames.pack(*frame) for frame in sent)
        for size in range(1, len(data) + 1):
            decoder = frames.Decoder()
            found = []
            for start in range(0, len(data), size):
                found += decoder.feed(data[start:start + size])
            self.assertEqual(found, sent)

    def test_too_long_a_frame_is_refused(self):
        with self.assertRaises(frames.ProtocolError):
            frames.Decoder().feed(frames.HEADER.pack(frames.STDOUT, 1, frames.MAX_PAYLOAD + 1))

    def test_strings_go_and_come(self):
        strings = ["", "a b", "ü", "\udcff"]
        (_, _, payload), = frames.Decoder().feed(frames.pack_strings(frames.START, 1, strings))
        self.assertEqual(frames.strings(payload), strings)
        with self.assertRaises(ValueError):
            frames.pack_strings(frames.START, 1, ["a\0b"])
        with self.assertRaises(frames.ProtocolError):
            frames.strings(b"abc")


class Barriers(unittest.TestCase):
    def setUp(self):
        self.answers = []
        self.barriers = barriers.Barriers(2, lambda *answer: self.answers.append(answer))

    def test_passes_when_all_are_there(self):
        self.barriers.arrive(0, "x", 1)
        self.assertEqual(self.answers, [])
        self.barriers.arrive(1, "x", 9)
        self.assertEqual(self.answers, [(0, 1, ""), (1, 9, "")])

    def test_name_can_be_used_again(self):
        for ticket in (1, 2):
            self.barriers.arrive(0, "x", ticket)
            self.barriers.arrive(1, "x", ticket)
        self.assertEqual(len(self.answers), 4)

    def test_one_node_twice_is_not_two_nodes(self):
        self.barriers.arrive(0, "x", 1)
        self.barriers.arrive(0, "x", 2)
        self.barriers.arrive(0, "y", 3)
        self.barriers.arrive(1, "z", 4)
        self.assertEqual(self.answers, [])
        self.barriers.arrive(1, "x", 5)
        self.assertEqual(self.answers, [(0, 1, ""), (1, 5, "")])

    def test_fails_when_one_cannot_come_any_more(self):
        self.barriers.arrive(0, "x", 1)
        self.barriers.leave(1, "it is off")
        self.barriers.arrive(0, "x", 2)
        self.assertEqual(self.answers, [(0, 1, "it is off"), (0, 2, "it is off")])

    def test_who_arrived_before_it_left_counts(self):
        self.barriers.arrive(1, "x", 1)
        self.barriers.leave(1, "it is off")
        self.barriers.arrive(0, "x", 2)
        self.assertEqual(self.answers, [(1, 1, ""), (0, 2, "")])


def frame(to, sender, text=b"payload"):
    return bytes.fromhex(links.mac(to).replace(":", "")) + bytes.fromhex(links.mac(sender).replace(":", "")) + b"\x08\0" + text


BROADCAST = b"\xff" * 6


def arrives(end, seconds=5.0):
    with selectors.DefaultSelector() as selector:
        selector.register(end, selectors.EVENT_READ)
        return end.recv(links.MAX_FRAME) if selector.select(seconds) else None


class Direct(unittest.TestCase):
    def setUp(self):
        self.link = links.DirectLink()
        self.addCleanup(self.link.close)
        self.ends = [self.link.guest_end(node) for node in (0, 1)]

    def test_cut_loses_frames_without_an_error_and_mend_ends_that(self):
        self.ends[0].send(b"before")
        self.assertEqual(arrives(self.ends[1]), b"before")
        self.link.set_cut(0, 1, True)
        for end in self.ends:
            self.assertEqual(end.send(b"lost"), 4)
        self.link.set_cut(0, 1, False)
        self.ends[0].send(b"after")
        self.ends[1].send(b"back")
        self.assertEqual(arrives(self.ends[1]), b"after")
        self.assertEqual(arrives(self.ends[0]), b"back")

    def test_dead_guest_never_blocks_the_other(self):
        self.link.remove(1)
        self.ends[0].setblocking(False)
        for _ in range(5000):
            self.ends[0].send(b"x" * 1000)

    def test_mend_does_not_wake_the_dead(self):
        self.link.remove(1)
        self.link.set_cut(0, 1, True)
        self.link.set_cut(0, 1, False)
        self.ends[0].send(b"x")
        self.assertIsNone(arrives(self.ends[1], 0.0))


class Switched(unittest.TestCase):
    def setUp(self):
        self.link = links.SwitchedLinks(3, os.devnull)
        self.addCleanup(self.link.close)
        self.ends = [self.link.guest_end(node) for node in range(3)]

    def meet(self):
        """Every node says something to all, so that the switch knows where it is."""
        for node, end in enumerate(self.ends):
            said = BROADCAST + frame(0, node)[6:]
            end.send(said)
            for other in self.ends[:node] + self.ends[node + 1:]:
                self.assertEqual(arrives(other), said)

    def test_known_address_goes_to_one_only(self):
        self.meet()
        self.ends[0].send(frame(2, 0))
        self.assertEqual(arrives(self.ends[2]), frame(2, 0))
        self.link.set_cut(0, 1, False)  # answered once what came before is forwarded
        self.assertIsNone(arrives(self.ends[1], 0.0))

    def test_cut_parts_two_and_leaves_the_third(self):
        self.meet()
        self.link.set_cut(0, 1, True)
        said = BROADCAST + frame(0, 0)[6:]
        self.ends[0].send(said)
        self.assertEqual(arrives(self.ends[2]), said)
        self.ends[0].send(frame(1, 0, b"lost"))
        self.ends[0].send(frame(2, 0))
        self.assertEqual(arrives(self.ends[2]), frame(2, 0))
        self.link.set_cut(0, 1, False)
        self.ends[0].send(frame(1, 0, b"mended"))
        self.assertEqual(arrives(self.ends[1]), frame(1, 0, b"mended"))

    def test_removed_guest_blocks_nobody(self):
        self.meet()
        self.link.remove(1)
        for _ in range(3000):
            self.ends[0].send(frame(1, 0, b"x" * 1000))
        self.ends[0].send(frame(2, 0))
        self.assertEqual(arrives(self.ends[2]), frame(2, 0))


class Archive(unittest.TestCase):
    def test_cpio_reads_it(self):
        archive = initramfs.Archive()
        archive.file("a/b/file", b"content\n", 0o755)
        archive.link("a/link", "b/file")
        with tempfile.TemporaryDirectory() as folder:
            if not shutil.which("busybox"):
                self.skipTest("there is no busybox here: scripts/install-deps lab")
            busybox = subprocess.run(["busybox", "cpio", "-i"], cwd=folder, input=archive.bytes(), capture_output=True, check=False)
            self.assertEqual(busybox.returncode, 0, busybox.stderr)
            with open(os.path.join(folder, "a", "link"), "rb") as file:
                self.assertEqual(file.read(), b"content\n")
            self.assertEqual(os.stat(os.path.join(folder, "a/b/file")).st_mode & 0o777, 0o755)


class Modules(unittest.TestCase):
    def test_what_a_module_needs_is_loaded_first(self):
        with tempfile.TemporaryDirectory() as folder:
            modules = os.path.join(folder, "lib", "modules", "1.0")
            os.makedirs(modules)
            open(os.path.join(folder, "vmlinux"), "wb").close()
            with open(os.path.join(modules, "modules.dep"), "w", encoding="ascii") as file:
                file.write("k/top-one.ko: k/mid.ko k/base.ko\nk/mid.ko: k/base.ko\nk/base.ko:\n")
            with open(os.path.join(modules, "modules.builtin"), "w", encoding="ascii") as file:
                file.write("k/inside.ko\n")
            with mock.patch.object(kernel, "IN_THE_INITRAMFS", ["top_one", "inside", "base"]):
                self.assertEqual(kernel.Kernel(folder).initramfs_modules(), ["k/base.ko", "k/mid.ko", "k/top-one.ko"])
            with mock.patch.object(kernel, "IN_THE_INITRAMFS", ["absent"]):
                with self.assertRaises(kernel.LabError):
                    kernel.Kernel(folder).initramfs_modules()


class Lines(unittest.TestCase):
    def test_only_whole_lines_with_the_name_in_front(self):
        read, write = os.pipe()
        lines = terminal.Lines("node1", write)
        for data in (b"a", b"b\nc\n\n", b"with\rreturn\n", b"rest"):
            lines.feed(data)
        lines.finish()
        lines.finish()
        os.close(write)
        with os.fdopen(read, "rb") as file:
            self.assertEqual(file.read(), b"node1 | ab\nnode1 | c\nnode1 | \nnode1 | with\rreturn\nnode1 | rest\n")


class SelfTestOfKvm(unittest.TestCase):
    """With programs in place of QEMU: one that works, one that hangs, one that fails."""

    def reason(self, script):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "qemu")
            with open(path, "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\n{script}\n")
            os.chmod(path, 0o755)
            with mock.patch.object(machine, "base_command", lambda *arguments: [path]), \
                    mock.patch.object(machine, "SELF_TEST_SECONDS", 1):
                started = time.monotonic()
                reason = machine.kvm_self_test(None, None)
                self.assertLess(time.monotonic() - started, 5)
                return reason

    def test_guest_that_starts_passes(self):
        self.assertIsNone(self.reason(f"echo '{machine.SELF_TEST_WORD}'; exec sleep 100"))

    def test_guest_that_hangs_fails_in_time(self):
        self.assertIn("does not start", self.reason("echo booting; exec sleep 100"))

    def test_guest_that_ends_fails_with_its_words(self):
        self.assertIn("no such MSR", self.reason("echo no such MSR; exit 1"))


class Janitor(unittest.TestCase):
    def test_folder_goes_when_its_owner_is_killed(self):
        folder = tempfile.mkdtemp(prefix="covey-lab-test-")
        self.addCleanup(lambda: os.path.exists(folder) and os.rmdir(folder))
        inner = os.path.join(folder, "inner")
        os.mkdir(inner)
        owner = subprocess.Popen([sys.executable, "-c", "import sys, os\n"
                                  f"sys.dont_write_bytecode = True; sys.path.insert(0, {os.path.join(TOP, 'soft-roce-setup')!r})\n"
                                  f"from labkit import processes; processes.Janitor({inner!r}); print('up', flush=True); os.read(0, 1)"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        owner.stdout.readline()
        owner.kill()
        owner.communicate()
        deadline = time.monotonic() + 5
        while os.path.exists(inner):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
