#!/usr/bin/python3
"""The lab itself: statuses, output, three guests, limits, and that nothing is left however it ends."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import labtest  # noqa: E402

USER = 61234  # nobody's number
RUN_SECONDS = 20  # for two guests on two cores that have nothing else to do

ON_EACH = """
echo "to out"
echo "to err" >&2
printf 'without end'
lab-sync first || exit 1
echo "$LAB_NODE" >"$LAB_OUT/number"
lab-sync second || exit 1
[ "$LAB_NODE" = 0 ] || exit 3
"""

# Every pair in turn: the lower number serves.
EACH_PAIR = """
for server in 0 1; do
    client=$((server + 1))
    while [ "$client" -le 2 ]; do
        if [ "$LAB_NODE" = "$server" ]; then
            timeout 60 ibv_rc_pingpong -d rxe0 -g 1 -n 50 -e >/dev/null &
            lab-wait tcp 18515
            lab-sync "$server-$client" || exit 1
            wait $! || exit 1
        else
            lab-sync "$server-$client" || exit 1
            if [ "$LAB_NODE" = "$client" ]; then
                timeout 60 lab-proof -- ibv_rc_pingpong -d rxe0 -g 1 -n 50 -e "node$server" >/dev/null || exit 1
                echo "reached node$server"
            fi
        fi
        lab-sync "$server-$client-done" || exit 1
        client=$((client + 1))
    done
done
"""


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="covey-lab-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.mark = "LAB_TEST_MARK=" + os.path.basename(self.folder)
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value, "XDG_RUNTIME_DIR": self.folder}

    def run_lab(self, *arguments, **options):
        return labtest.lab(*arguments, cwd=self.folder, env=self.environment, **options)

    def start(self, *arguments):
        process = subprocess.Popen([labtest.LAB, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(labtest.kill, process)
        return process

    def assert_nothing_left(self):
        labtest.wait_for(lambda: not labtest.alive_with(self.mark), 2, "the end of every process of the lab")
        labtest.wait_for(lambda: not os.path.exists(os.path.join(self.folder, "covey-lab")), 2, "the removal of its folder")

    def test_output_status_barriers_and_files(self):
        started = time.monotonic()
        done = self.run_lab("run", "--", "sh", "-c", ON_EACH)
        took = time.monotonic() - started
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(sorted(done.stdout.splitlines()),
                         sorted(f"node{node} | {text}" for node in (0, 1) for text in ("to out", "without end")))
        for node in (0, 1):
            self.assertIn(f"node{node} | to err\n", done.stderr)
            with open(f"{self.folder}/lab-out/node{node}/number", encoding="ascii") as file:
                self.assertEqual(file.read(), f"{node}\n")
        # Emulation gets its share of the cores only: the more want them, the longer it may take.
        self.assertLess(took, RUN_SECONDS * max(1.0, os.getloadavg()[0] / os.cpu_count()))
        self.assert_nothing_left()
        print(f"\nlab run, two guests: {took:.1f} s; {done.stderr.splitlines()[0]}")

    def test_three_guests_reach_each_other(self):
        done = self.run_lab("run", "--guests", "3", "--", "sh", "-c", EACH_PAIR, seconds=150)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(sorted(done.stdout.splitlines()),
                         ["node1 | reached node0", "node2 | reached node0", "node2 | reached node1"])

    def test_time_limit(self):
        started = time.monotonic()
        done = self.run_lab("run", "--time-limit", "10", "--", "sleep", "60")
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertLess(time.monotonic() - started, 15)
        self.assertIn("time limit of 10 s reached", done.stderr)
        self.assert_nothing_left()

    def running(self):
        """A lab whose guests run a command."""
        process = self.start("run", "--", "sh", "-c", "echo up; exec sleep 100")
        for _ in range(2):
            self.assertIn(" | up", process.stdout.readline())
        return process

    def test_killed_leaves_nothing(self):
        process = self.running()
        self.assertGreater(len(labtest.alive_with(self.mark)), 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assert_nothing_left()

    def test_interrupt_leaves_nothing(self):
        process = self.running()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(5), 130)
        self.assert_nothing_left()

    def test_panic_is_told_and_its_console_kept(self):
        done = self.run_lab("run", "--netem", "delay 1ms", "--", "sh", "-c",
                            "if [ $LAB_NODE = 1 ]; then echo c >/proc/sysrq-trigger; else lab-sync never; fi")
        self.assertEqual(done.returncode, 123, done.stderr)
        self.assertIn("node1 kernel panic: sysrq triggered crash", done.stderr)
        self.assertIn("node0 | lab-sync: never: node1 kernel panic", done.stderr)
        with open(f"{self.folder}/lab-out/node1.console", encoding="utf-8") as file:
            self.assertIn("Kernel panic", file.read())
        self.assert_nothing_left()

    @unittest.skipUnless(os.getuid() == 0, "only root can become another user")
    def test_ordinary_user(self):
        home = os.path.join(self.folder, "home")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        shutil.copytree(os.path.join(cache, "covey", "lab"), os.path.join(home, ".cache", "covey", "lab"), symlinks=True)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", home], check=True)
        os.chmod(self.folder, 0o755)
        done = subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-u", "XDG_RUNTIME_DIR",
                               "-u", "XDG_CACHE_HOME", f"HOME={home}", labtest.LAB, "run", "--", "sh", "-c",
                               "rdma link; echo mine >$LAB_OUT/file"],
                              cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("state ACTIVE"), 2)
        self.assertEqual(os.stat(os.path.join(home, "lab-out", "node1", "file")).st_uid, USER)


if __name__ == "__main__":
    labtest.main()
