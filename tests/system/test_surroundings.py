#!/usr/bin/python3
"""A first job in the surroundings that machines, containers and parents give: it runs, or one sentence says why not."""
import os
import resource
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import seccomp
from covey_system import OK, SANITIZED, Sandbox, SystemTest, example, files_below, program, wait_for

NOBODY = 65534
SAID_BY_OTHERS = ("[", "==")  # workers; sanitizers, which miss /proc too
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


UNSHARED = ("/usr/bin/unshare", "--mount", "/bin/sh", "-c")
AS_NOBODY = ("/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def mounted(what, path):
    return (*UNSHARED, f'mount -t {what} none {path} && exec "$@"', "sh")


# Name: (before exec, command in front, None where it must run, else what may be said in place of it).
CELLS = {
    "plain": (None, (), None),
    "docker": (lambda: seccomp.apply(seccomp.DOCKER), (), None),
    "old docker": (lambda: seccomp.apply(seccomp.OLD_DOCKER), (), "the system call pidfd_open"),
    "no network": (None, ("/usr/bin/unshare", "--net"), "127.0.0.1"),
    "no /proc": (None, mounted("tmpfs", "/proc"), "/proc is not mounted here"),
    "/proc of processes only": (None, mounted("proc -o subset=pid", "/proc"), "/proc is mounted with subset=pid here"),
    "/proc of own processes": (None, mounted("proc -o hidepid=2", "/proc"), None),
    "ids that cannot be mapped": (None, (*UNSHARED, 'mount --bind /proc /proc && mount -o remount,ro,bind /proc && exec "$@"', "sh"), None),
    "no /sys": (None, mounted("tmpfs", "/sys"), "/sys is not mounted here"),
    "no /dev": (None, mounted("tmpfs", "/dev"), "/dev/null"),
    "no /etc": (None, mounted("tmpfs", "/etc"), None),
    "home that cannot be read": (None, ("/bin/sh", "-c", 'chmod 0 "$HOME" && exec "$@"', "sh"), "may not be read: let it be, or set HOME"),
    "64 descriptors": (limit(resource.RLIMIT_NOFILE, 64), (), None),
    "20 descriptors": (limit(resource.RLIMIT_NOFILE, 20), (), "the limit of open files is 20"),
    "files of 64 KiB": (limit(resource.RLIMIT_FSIZE, 64 * KIB), (), "files may have 64 KiB"),
    "files of 0 KiB": (limit(resource.RLIMIT_FSIZE, 0), (), "files may have 0 KiB"),
    "files of 20 MiB": (limit(resource.RLIMIT_FSIZE, 20480 * KIB), (), "the limit of a file is 20480 KiB (ulimit -f)"),
    "stack of 128 KiB": (limit(resource.RLIMIT_STACK, 128 * KIB), (), "the stack limit is 128 KiB"),
    "5 processes": (limit(resource.RLIMIT_NPROC, 5), (), "the limit of this user's processes is 5 (ulimit -u)"),
    "20 processes": (limit(resource.RLIMIT_NPROC, 20), (), "the limit of this user's processes is 20 (ulimit -u)"),
    "500 MiB of addresses": (limit(resource.RLIMIT_AS, 500 << 20), (), "the limit of addresses is 512000 KiB (ulimit -v)"),
    "no locked memory": (limit(resource.RLIMIT_MEMLOCK, 0), (), None),
    "empty environment": (None, ("/usr/bin/env", "-i"), None),
    "stdin closed": (closed(0), (), None),
    "stdout closed": (closed(1), (), None),
    "stdin and stdout closed": (closed(0, 1), (), None),
    "folder that cannot be written": (None, ("/bin/sh", "-c", 'cd /proc && exec "$@"', "sh"), None),
    "noexec": (None, (*UNSHARED, 'mount -t tmpfs -o noexec,mode=0700 none "$XDG_RUNTIME_DIR" && exec "$@"', "sh"), None),
    "SIGCHLD ignored": (ignore_children, (), None),
    "signals blocked": (block_signals, (), None),
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
        if user and front[:1] == ("/usr/bin/unshare",):
            front = (*front, *AS_NOBODY)  # unshare itself takes a capability
        elif user:
            options.update(user=user, group=user, extra_groups=[])
        command = [*front, program("covey"), "run", "-q", "-n", "2", example("hello.so")]
        if front[:1] == ("/usr/bin/env",):
            command[2:2] = [f"HOME={sandbox.home}"]
        return sandbox.finish(sandbox.start(*command, preexec_fn=before, **options), 60)

    def check(self, sandbox, done, refusal, alone=True):
        if done.code == OK:
            self.assertEqual((done.out + done.err).count("hello from worker"), 2, str(done))
        else:
            self.assertIsNotNone(refusal, f"{done}\n{sandbox.describe()}")
            self.assertIn(done.code, range(1, 6), str(done))
            self.assertIn(refusal, done.err, str(done))
            # What is not ours to say was said by a worker, and has its rank.
            self.assertEqual([line[:11] for line in done.err.splitlines() if not line.startswith(SAID_BY_OTHERS)], ["covey run: "], str(done))
        if alone:
            self.check_nothing_left(sandbox)

    def check_nothing_left(self, sandbox):
        wait_for(lambda: not sandbox.processes(), "the end of all processes")
        left = {path for path in files_below(sandbox.folder) if not path.startswith(sandbox.home)}
        self.assertEqual(left - {sandbox.state, sandbox.runtime, os.path.join(sandbox.runtime, "covey")}, set())

    def matrix(self, user):
        for name, (before, front, refusal) in CELLS.items():
            with self.subTest(cell=name):
                if "docker" in name and not seccomp.SUPPORTED:
                    continue
                if SANITIZED and "addresses" in name:
                    continue  # sanitizers take more
                sandbox = self.sandbox(user)
                self.check(sandbox, self.run_hello(sandbox, user, before, front), refusal)

    def test_as_we_are(self):
        self.matrix(0)

    def test_as_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        if os.system(f"setpriv --reuid {NOBODY} --clear-groups test -x {program('covey')}"):
            self.skipTest("another user cannot execute the programs in their folder")
        self.matrix(NOBODY)

    def test_private_runs_take_no_fixed_port(self):
        """25 at once on a machine where all ports that could have been fixed are taken."""
        taken = []
        self.addCleanup(lambda: [listener.close() for listener in taken])
        for port in [8470, *range(8500, 8600)]:
            listener = socket.socket()
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                listener.close()
                continue  # somebody else has it
            taken.append(listener)
        sandbox = self.sandbox(0)
        # Workers of two nodes, which greet each other: each run needs ports for both.
        runs = [sandbox.start("run", "-q", "-n", "2", example("hello.so")) for _ in range(25)]
        for run in runs:
            self.check(sandbox, sandbox.finish(run, 300), None, alone=False)
        self.check_nothing_left(sandbox)

    @unittest.skipIf(os.geteuid() != 0, "only root can make a pid namespace here")
    def test_agent_that_is_the_first_process_leaves_no_zombies(self):
        sandbox = self.sandbox(0)
        script = f"""
            server=unix:{sandbox.runtime}/c.sock
            {program("coveyd")} --listen $server --state-dir {sandbox.state}/c &
            (
                export COVEY_SERVER=$server
                until {program("covey")} nodes 2>/dev/null | grep -q "n1 .*up"; do sleep 0.05; done
                {program("covey")} run -q -n 4 /bin/sh -c 'setsid sleep 300 > /dev/null 2>&1 & sleep 0.3' || echo failed
                for i in $(seq 100); do
                    left=$(ps -eo stat=,ppid=,comm= | grep -c "^Z.* 1 sleep")
                    [ $left = 0 ] && break
                    sleep 0.1
                done
                echo zombies $left
                kill -TERM 1
            ) &
            exec {program("covey-node")} --name n1 --controller $server --slots 4 --isolation environment \
                --state-dir {sandbox.state}/n --runtime-dir {sandbox.runtime}/n"""
        done = sandbox.finish(sandbox.start("/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", script), 60)
        self.assertIn("zombies 0\n", done.out, str(done))
        self.assertNotIn("failed", done.out, str(done))


if __name__ == "__main__":
    unittest.main()
