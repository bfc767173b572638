#!/usr/bin/python3
"""covey explain of a flare that did not succeed says what can be done next, by the kind of its end."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import CANCELLED, FAILED, OK, TIMED_OUT, SystemTest, example, worker


class Explain(SystemTest):
    NODES = 2
    SLOTS = 4

    def advice(self, flare_id):
        """The lines that say what to do: commands, each with what it is for."""
        lines = self.cluster.expect(OK, "explain", flare_id).out.splitlines()
        found = [line[len("next: "):] for line in lines if line.startswith("next: ")]
        self.try_commands(found)
        return found

    def try_commands(self, advice):
        """What is to be typed as it stands is typed."""
        for line in advice:
            command = line.partition("   ")[0].split()
            if command[:1] == ["covey"] and "plan" not in command:
                self.assertIn(self.cluster.covey(*command[1:]).code, (OK, FAILED, CANCELLED, TIMED_OUT), line)

    def end_of(self, code, *arguments):
        return self.cluster.expect(code, "run", "--json", "-q", *arguments).last()["id"]

    def says(self, flare_id, *starts):
        advice = self.advice(flare_id)
        for start in starts:
            self.assertTrue([line for line in advice if line.startswith(start)], f"{start!r} in {advice}")

    def test_exit_status(self):
        flare_id = self.end_of(FAILED, "-n", "2", "/bin/sh", "-c", "[ $COVEY_RANK = 0 ] || exit 3")
        self.says(flare_id, f"covey logs --rank 1 {flare_id} ")
        flare_id = self.end_of(FAILED, "-n", "1", "/bin/sh", "-c", "no-such-program")
        self.assertIn("could not run or find a program", "\n".join(self.advice(flare_id)))

    def test_signals(self):
        for number, what in ((signal.SIGSEGV, "-fsanitize=address"), (signal.SIGABRT, "abort()"), (signal.SIGKILL, "from outside")):
            flare_id = self.end_of(FAILED, "-n", "1", "/bin/sh", "-c", f"kill -{int(number)} $$")
            self.says(flare_id, f"covey logs --rank 0 {flare_id} ")
            self.assertIn(what, "\n".join(self.advice(flare_id)))

    def test_time_limit(self):
        flare_id = self.end_of(TIMED_OUT, "-n", "1", "--time-limit", "500ms", "/bin/sleep", "60")
        self.says(flare_id, "--time-limit TIME ", f"covey logs {flare_id} ")

    def test_code_that_cannot_be_loaded(self):
        missing = os.path.join(self.cluster.folder, "missing.so")
        os.system(f"echo 'int gone(void); int covey_work(void *c) {{ (void)c; return gone(); }}' |"
                  f" gcc -shared -fPIC -Wl,-z,now -x c -o {missing} -")
        if not os.path.exists(missing):
            self.skipTest("no compiler")
        done = self.cluster.expect(FAILED, "run", "--json", "-q", "-n", "1", missing)
        self.says(done.last()["id"], "ldd FILE ", f"covey logs {done.last()['id']} ")

    def test_cancelled(self):
        self.cluster.deploy("act", worker("act.so"))
        flare_id = self.cluster.flare("-n", "1", "--param", "spin", "act")
        self.cluster.covey("cancel", flare_id)
        self.cluster.covey("wait", flare_id)
        self.says(flare_id, "nothing has failed", f"covey logs {flare_id} ")

    def test_what_succeeded_and_what_runs_need_none(self):
        flare_id = self.end_of(OK, "-n", "1", example("hello.so"))
        self.assertEqual(self.advice(flare_id), [])
        self.cluster.deploy("act", worker("act.so"))
        running = self.cluster.flare("-n", "1", "--param", "spin", "act")
        self.cluster.wait_state(running, "RUNNING")
        self.assertEqual(self.advice(running), [])
        self.cluster.covey("cancel", running)

    def test_lost_node(self):
        self.cluster.deploy("act", worker("act.so"))
        flare_id = self.cluster.flare("-n", "8", "--param", "spin", "act")
        self.cluster.wait_state(flare_id, "RUNNING")
        agent = self.cluster.agents()[0]
        for process in [agent, *self.cluster.hosts(flare_id)]:
            process.kill()
        self.assertEqual(self.cluster.covey("wait", flare_id, seconds=60).code, FAILED)
        self.says(flare_id, "covey nodes ", "--max-restarts N ")
        self.cluster.respawn(agent)
        self.cluster.wait_nodes(2)


if __name__ == "__main__":
    unittest.main()
