#!/usr/bin/python3
"""A first job in the surroundings that machines, containers and parents give: it runs, or one sentence says why not."""
import os
import resource
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import seccomp
from covey_system import OK, Sandbox, SystemTest, example, files_below, program, wait_for

NOBODY = 65534
KIB = 1024


def limit(which, value):
    return lambda: resource.setrlimit(which, (value, value))


def closed(*fds):
    def close():
        for fd in fds:
            os.close(fd)
    return close


def ignore_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def block_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})


# Name: (before exec, command in front, must it run).
CELLS = {
    "plain": (None, (), True),
    "docker": (lambda: seccomp.apply(seccomp.DOCKER), (), True),
    "old docker": (lambda: seccomp.apply(seccomp.OLD_DOCKER), (), True),
    "no network": (None, ("/usr/bin/unshare", "--net"), True),
    "64 descriptors": (limit(resource.RLIMIT_NOFILE, 64), (), True),
    "20 descriptors": (limit(resource.RLIMIT_NOFILE, 20), (), False),
    "files of 64 KiB": (limit(resource.RLIMIT_FSIZE, 64 * KIB), (), False),
    "stack of 128 KiB": (limit(resource.RLIMIT_STACK, 128 * KIB), (), True),
    "20 processes": (limit(resource.RLIMIT_NPROC, 20), (), False),
    "2 GiB of addresses": (limit(resource.RLIMIT_AS, 2 << 30), (), False),
    "empty environment": (None, ("/usr/bin/env", "-i"), True),
    "stdin closed": (closed(0), (), True),
    "all but stdout closed": (closed(0, 2), (), True),
    "SIGCHLD ignored": (ignore_children, (), True),
    "signals blocked": (block_signals, (), True),
}


class Surroundings(SystemTest):
    NODES = 0

    def sandbox(self, user):
        sandbox = Sandbox()
        self.addCleanup(sandbox.close)
        if user:
            for path in [sandbox.folder, *files_below(sandbox.folder)]:
                os.chown(path, user, user)
        return sandbox

    def run_hello(self, sandbox, user, before, front=(), **options):
        if user:
            options.update(user=user, group=user, extra_groups=[])
        command = [*front, program("covey"), "run", "-q", "-n", "2", example("hello.so")]
        if front[:1] == ("/usr/bin/env",):
            command[2:2] = [f"HOME={sandbox.home}"]
        return sandbox.finish(sandbox.start(*command, preexec_fn=before, **options), 60)

    def check(self, sandbox, done, must_run):
        if done.code == OK:
            self.assertEqual(done.out.count("hello"), 2, str(done))
        else:
            self.assertFalse(must_run, f"{done}\n{sandbox.describe()}")
            self.assertIn(done.code, range(1, 6), str(done))
            lines = done.err.strip().splitlines()
            self.assertEqual(len(lines), 1, str(done))
            self.assertRegex(lines[0], r"^covey run: .{20,}", str(done))
        wait_for(lambda: not sandbox.processes(), "the end of all processes", 5)
        left = {path for path in files_below(sandbox.folder) if not path.startswith(sandbox.home)}
        self.assertEqual(left - {sandbox.state, sandbox.runtime, os.path.join(sandbox.runtime, "covey")}, set())

    def matrix(self, user):
        for name, (before, front, must_run) in CELLS.items():
            with self.subTest(cell=name):
                if "docker" in name and not seccomp.SUPPORTED:
                    continue
                if user and name == "no network":
                    continue  # that takes a capability
                sandbox = self.sandbox(user)
                self.check(sandbox, self.run_hello(sandbox, user, before, front), must_run)

    def test_as_we_are(self):
        self.matrix(0)

    def test_as_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        if os.system(f"setpriv --reuid {NOBODY} --clear-groups test -x {program('covey')}"):
            self.skipTest("another user cannot execute the programs in their folder")
        self.matrix(NOBODY)


if __name__ == "__main__":
    unittest.main()
