#!/usr/bin/python3
"""What lab says to bad arguments and on machines where it cannot run. No guest is started."""
import os
import subprocess
import tempfile
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
LAB = os.path.join(TOP, "soft-roce-setup", "lab")


def lab(*arguments, **environment):
    return subprocess.run([LAB, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **environment})


class BadArguments(unittest.TestCase):
    # Arguments: what the message has to name.
    REFUSED = [
        ([], "VERB"),
        (["bogus"], "bogus"),
        (["run"], "takes a command"),
        (["run", "--"], "takes a command"),
        (["run", "true"], "true"),
        (["run", "--guests", "0", "--", "true"], "from 1 to 16"),
        (["run", "--guests", "17", "--", "true"], "from 1 to 16"),
        (["run", "--guests", "two", "--", "true"], "two"),
        (["run", "--guests", "-1", "--", "true"], "-1"),
        (["run", "--memory", "64M", "--", "true"], "256M"),
        (["run", "--memory", "1T", "--", "true"], "1T"),
        (["run", "--memory", "999999G", "--", "true"], "64G"),
        (["run", "--cpus", "0", "--", "true"], "processors"),
        (["run", "--time-limit", "0", "--", "true"], "from 1s to 7d"),
        (["run", "--time-limit", "10x", "--", "true"], "10x"),
        (["run", "--netem", "", "--", "true"], "netem"),
        (["run", "--netem", "loss 1%; reboot", "--", "true"], "netem"),
        (["run", "--env", "1X=2", "--", "true"], "1X=2"),
        (["run", "--env", "LAB_NOT_THERE_AT_ALL", "--", "true"], "LAB_NOT_THERE_AT_ALL"),
        (["run", "--bogus", "--", "true"], "--bogus"),
        (["up", "--", "true"], "takes no command"),
        (["up", "--session", "../x"], "../x"),
        (["exec", "0"], "takes a command"),
        (["exec", "--", "true"], "NODE"),
        (["kill"], "NODE"),
        (["cut", "0"], "NODE"),
        (["mend", "0", "1", "2"], "2"),
        (["down", "all"], "all"),
        (["shell", "0"], "terminal"),
    ]

    def test_each_is_refused_with_a_message(self):
        for arguments, named in self.REFUSED:
            done = lab(*arguments)
            self.assertEqual(done.returncode, 2, f"{arguments}: {done.stderr}")
            self.assertTrue(done.stderr.startswith("lab: "), f"{arguments}: {done.stderr}")
            self.assertIn(named, done.stderr, arguments)
            self.assertEqual(done.stdout, "", arguments)

    def test_help_is_help(self):
        for arguments in [["--help"], ["run", "--help"], ["exec", "-h"]]:
            done = lab(*arguments)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stdout.startswith("usage: lab"))

    def test_bad_acceleration_is_refused(self):
        with tempfile.TemporaryDirectory() as runtime:
            done = lab("run", "--", "true", LAB_ACCELERATION="warp", XDG_RUNTIME_DIR=runtime)
        if done.returncode != 77:
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("warp", done.stderr)


class NoSession(unittest.TestCase):
    def test_each_request_says_so(self):
        for arguments in [["exec", "0", "--", "true"], ["exec", "all", "--", "true"], ["kill", "0"], ["cut", "0", "1"],
                          ["mend", "0", "1"], ["status"], ["down"]]:
            arguments[1:1] = ["--session", "nothere"]
            done = lab(*arguments)
            self.assertEqual(done.returncode, 125, f"{arguments}: {done.stderr}")
            self.assertIn('no session "nothere" is up', done.stderr)


class OtherMachines(unittest.TestCase):
    """PATH and cache folder of machines that lack something."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = {"PATH": self.folder, "XDG_CACHE_HOME": os.path.join(self.folder, "cache")}
        for name in ["qemu-system-x86_64", "ip", "rdma"]:
            self.tool(name, "exit 0")

    def tool(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)

    def assert_skipped(self, *named):
        done = lab("prepare", **self.environment)
        self.assertEqual(done.returncode, 77, done.stderr)
        for text in named:
            self.assertIn(text, done.stderr)

    def test_no_qemu(self):
        os.unlink(os.path.join(self.folder, "qemu-system-x86_64"))
        self.assert_skipped("qemu-system-x86_64", "scripts/install-deps lab")

    def test_no_apt(self):
        self.assert_skipped("no apt-cache here", "--kernel-package")

    def test_apt_without_lists(self):
        self.tool("apt-cache", "exit 0")
        self.assert_skipped("apt-get update")

    def test_offline(self):
        checksum = "a" * 64
        self.tool("apt-cache", f'case "$1" in depends) echo "  Depends: linux-image-6.1.0-1-amd64";; *) echo "SHA256: {checksum}";; esac')
        self.tool("apt-get", 'echo "E: Temporary failure resolving" >&2; exit 100')
        self.assert_skipped("cannot download linux-image-6.1.0-1-amd64", "Temporary failure resolving", "--kernel-package")

    def test_damaged_download_is_not_used(self):
        self.tool("apt-cache", f'case "$1" in depends) echo "  Depends: linux-image-6.1.0-1-amd64";; *) echo "SHA256: {"a" * 64}";; esac')
        self.tool("apt-get", "echo damaged >x.deb")
        done = lab("prepare", **self.environment)
        self.assertEqual(done.returncode, 125)
        self.assertIn("SHA-256", done.stderr)
        self.assertEqual([name for name in os.listdir(os.path.join(self.folder, "cache", "covey", "lab")) if name != "lock"], [])

    def test_no_package_file(self):
        done = lab("prepare", "--kernel-package", "/nowhere/x.deb", **self.environment)
        self.assertEqual(done.returncode, 125)
        self.assertIn("/nowhere/x.deb", done.stderr)


if __name__ == "__main__":
    unittest.main()
