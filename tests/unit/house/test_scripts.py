#!/usr/bin/python3
"""What scripts/install-deps and ./quickstart say and do on machines unlike this one, and on bad input."""
import os
import subprocess
import tempfile
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

TOOLS = ["bash", "env", "sed", "sort", "cat", "dirname"]


class Machine:
    """A PATH with the few tools the scripts use, and made-up ones that note how they were called."""

    def __init__(self, folder):
        self.folder = folder
        for tool in TOOLS:
            os.symlink(subprocess.run(["which", tool], check=True, capture_output=True, text=True).stdout.strip(),
                       os.path.join(folder, tool))

    def tool(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\necho \"{name} $*\" >>'{self.folder}/calls'\n{text}\n")
        os.chmod(path, 0o755)

    def run(self, *command):
        return subprocess.run([os.path.join(TOP, command[0]), *command[1:]], env={"PATH": self.folder}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def calls(self):
        path = os.path.join(self.folder, "calls")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()


class InstallDeps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.machine = Machine(folder.name)
        self.fuzz = self.machine.run("scripts/install-deps", "--list", "fuzz").stdout.split()

    def installed(self, *packages):
        lines = "\n".join(f"echo 'installed {package}'" for package in packages)
        self.machine.tool("dpkg-query", lines + "\necho 'not-installed other'\nexit 1")

    def apt_calls(self):
        return [call for call in self.machine.calls() if call.startswith("apt-get")]

    def test_list_names_each_package_once(self):
        every = self.machine.run("scripts/install-deps", "--list", "all").stdout.split()
        self.assertGreater(len(every), 30)
        self.assertEqual(len(every), len(set(every)))
        self.assertIn("clang", self.fuzz)

    def test_nothing_missing_installs_nothing(self):
        self.installed(*self.fuzz)
        self.machine.tool("apt-get", "")
        self.machine.tool("id", "echo 0")
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.apt_calls(), [])

    def test_root_installs_only_what_is_missing(self):
        self.installed(self.fuzz[0])
        self.machine.tool("apt-get", "")
        self.machine.tool("id", "echo 0")
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 0, run.stderr)
        update, install = self.apt_calls()
        self.assertTrue(update.endswith(" update"))
        self.assertIn("--no-install-recommends", install)
        self.assertEqual(install.split()[-1:], self.fuzz[1:])
        self.assertNotIn(f" {self.fuzz[0]} ", install + " ")

    def test_failing_installation_fails(self):
        self.installed()
        self.machine.tool("apt-get", '[[ "$*" == *update* ]]')
        self.machine.tool("id", "echo 0")
        self.assertNotEqual(self.machine.run("scripts/install-deps", "fuzz").returncode, 0)

    def test_neither_root_nor_sudo_says_the_command(self):
        self.installed()
        self.machine.tool("apt-get", "")
        self.machine.tool("id", "echo 1000")
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 1)
        self.assertIn("apt-get update && apt-get install -y --no-install-recommends " + " ".join(self.fuzz), run.stderr)
        self.assertEqual(self.apt_calls(), [])

    def test_sudo_that_would_ask_is_not_used_without_a_terminal(self):
        self.installed()
        self.machine.tool("apt-get", "")
        self.machine.tool("id", "echo 1000")
        self.machine.tool("sudo", "exit 1")
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 1)
        self.assertIn("apt-get install", run.stderr)

    def test_sudo_is_used(self):
        self.installed()
        self.machine.tool("apt-get", "")
        self.machine.tool("id", "echo 1000")
        self.machine.tool("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(len(self.apt_calls()), 2)

    def test_no_debian_says_so(self):
        run = self.machine.run("scripts/install-deps", "fuzz")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no Debian", run.stderr)

    def test_unknown_group_is_bad_input(self):
        run = self.machine.run("scripts/install-deps", "bogus")
        self.assertEqual(run.returncode, 2)
        self.assertIn("bogus", run.stderr)


class BadArguments(unittest.TestCase):
    def test_each_script_refuses_and_explains(self):
        for command in [["./quickstart", "5X"], ["./quickstart", "0"], ["./quickstart", "-1"], ["./quickstart", "1M", "2M"],
                        ["./check", "--bogus"], ["./check", "--only", "bogus"], ["./check", "--only"]]:
            run = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(run.returncode, 2, command)
            self.assertTrue(run.stderr, command)

    def test_help_is_help(self):
        for script in ["./quickstart", "./check", "scripts/install-deps"]:
            run = subprocess.run([script, "--help"], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0)
            self.assertTrue(run.stdout.startswith("usage: "))


if __name__ == "__main__":
    unittest.main()
