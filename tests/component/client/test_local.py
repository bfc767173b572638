#!/usr/bin/python3
"""What covey starts on this machine, and that nothing of it stays: up, down, and the private controller of run.

The programs beside covey are fakes, which live and end as the true ones do.
"""
import json
import os
import signal
import subprocess
import unittest

from cluster import DEADLINE_S, Place, alive, interrupt, read_until, wait_for


class Local(unittest.TestCase):
    def setUp(self):
        self.place = Place()
        self.addCleanup(self.place.remove)
        self.place.copies("hang.so")
        self.program = self.place.programs()

    def covey(self, *arguments, status=0):
        done = self.place.run(*arguments, covey=self.program)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done

    def processes(self):
        """Every process that was started with a path of this place in its arguments or environment."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    mine = ("COVEY_STATE_DIR=" + self.place.path("state")).encode() in file.read().split(b"\0")
            except OSError:
                continue
            if mine and alive(pid):
                found.append(int(pid))
        return found

    def assert_processes(self, count):
        """A process is not seen while it executes its program: then it has no environment."""
        wait_for(lambda: len(self.processes()) == count, f"never {count} processes: {self.processes()}")

    def private_folders(self):
        return [name for name in os.listdir(self.place.path("run")) if name.startswith("covey-run-")]

    def assert_nothing_is_left(self):
        wait_for(lambda: not self.processes(), f"processes stay: {self.processes()}")
        wait_for(lambda: not self.private_folders(), f"folders stay: {self.private_folders()}")


class Up(Local):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.place.run, "down", covey=self.program)

    def run_file(self):
        with open(self.place.path("runtime/run.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_up_then_flares_then_down(self):
        self.assertIn("2 nodes are ready at unix:", self.covey("up", "--slots", "8").stdout)
        noted = self.run_file()
        self.assertEqual([process["name"] for process in noted["processes"]], ["coveyd", "node-1", "node-2"])
        self.assertTrue(all(alive(process["pid"]) for process in noted["processes"]))
        self.assert_processes(3)
        pids = sorted(process["pid"] for process in noted["processes"])
        wait_for(lambda: sorted(self.processes()) == pids, f"{pids} are {self.processes()}")
        self.assertIn("hello from a worker", self.covey("run", "-n", "2", "hello.so").stdout)
        self.assertEqual(self.private_folders(), [])
        self.assertIn("coveyd", self.covey("status").stdout)
        self.covey("down")
        self.assertEqual(self.processes(), [])
        self.assertFalse(os.path.exists(self.place.path("runtime/run.json")))
        self.assertIn("nothing was started here", self.covey("down", status=2).stderr)

    def test_second_up_is_refused(self):
        self.covey("up")
        self.assert_processes(3)
        before = self.processes()
        self.assertRegex(self.covey("up", status=2).stderr, "is running already at unix:.*: use it, or stop it first with covey down")
        wait_for(lambda: self.processes() == before, f"{before} became {self.processes()}")

    def test_down_cancels_flares(self):
        self.covey("up")
        process = self.place.start("run", "hang.so", covey=self.program)
        read_until(process.stderr, "running 1/1")
        self.covey("down")
        process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 130)

    def test_nothing_of_the_caller_is_held(self):
        """Who waits for the end of a pipe or for a lock does not wait for the cluster."""
        mine, others = os.pipe()
        done = subprocess.run([self.program, "up"], env=self.place.environment, pass_fds=[others], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        os.close(others)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.read(mine, 1), b"")
        os.close(mine)

    def test_stale_run_file_is_recognised(self):
        self.covey("up")
        for entry in self.run_file()["processes"]:
            os.kill(entry["pid"], signal.SIGKILL)
        wait_for(lambda: not self.processes(), "they live")
        self.assertEqual(self.place.run("status", covey=self.program).returncode, 4)
        self.covey("up")
        self.assert_processes(3)

    def test_down_after_a_part_was_killed(self):
        self.covey("up")
        os.kill(self.run_file()["processes"][0]["pid"], signal.SIGKILL)
        wait_for(lambda: len(self.processes()) == 2, "it lives")
        self.assertIn("2 of the 3 processes of an earlier covey up still run", self.covey("up", status=2).stderr)
        self.covey("down")
        self.assertEqual(self.processes(), [])

    def test_pid_of_another_process_is_not_touched(self):
        self.covey("up")
        noted = self.run_file()
        self.covey("down")
        for entry in noted["processes"]:
            entry["pid"] = os.getpid()
        with open(self.place.path("runtime/run.json"), "w", encoding="utf-8") as file:
            json.dump(noted, file)
        self.assertIn("nothing ran any more", self.covey("down").stdout)

    def test_malformed_run_file_is_named(self):
        os.makedirs(self.place.path("runtime"))
        with open(self.place.path("runtime/run.json"), "w", encoding="utf-8") as file:
            file.write("{]")
        self.assertIn("run.json cannot be read", self.covey("up", status=2).stderr)
        os.remove(self.place.path("runtime/run.json"))

    def test_address_that_is_taken_is_named_and_nothing_stays(self):
        done = self.covey("up", "--listen", "nonsense", status=2)
        self.assertIn("coveyd ended while it was starting", done.stderr)
        self.assertEqual(self.processes(), [])
        self.assertFalse(os.path.exists(self.place.path("runtime/run.json")))

    def test_missing_program_is_named(self):
        os.remove(self.place.path("bin/covey-host"))
        self.assertIn("covey-host is not installed beside covey", self.covey("up", status=2).stderr)
        self.assertEqual(self.processes(), [])


class Private(Local):
    def start_hanging(self):
        process = self.place.start("run", "-n", "2", "hang.so", covey=self.program)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        read_until(process.stderr, "running 2/2")
        self.assertEqual(len(self.private_folders()), 1)
        self.assert_processes(5)  # covey, its keeper, coveyd, two nodes
        return process

    def test_run_leaves_nothing(self):
        self.assertIn("[1] hello from a worker", self.covey("run", "-n", "2", "hello.so").stdout)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.private_folders(), [])

    def test_bad_code_starts_nothing(self):
        self.covey("run", "missing.so", status=2)
        self.assertEqual(self.private_folders(), [])

    def test_interrupt_leaves_nothing(self):
        process = self.start_hanging()
        interrupt(process)
        self.assertEqual(process.wait(DEADLINE_S), 130)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.private_folders(), [])

    def test_kill_leaves_nothing(self):
        process = self.start_hanging()
        process.kill()
        process.wait(DEADLINE_S)
        self.assert_nothing_is_left()

    def test_kill_of_the_keeper_leaves_nothing(self):
        process = self.start_hanging()
        said = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
        os.kill(int(said), signal.SIGKILL)
        self.assertEqual(process.wait(DEADLINE_S), 4)
        self.assert_nothing_is_left()

    def test_death_of_the_controller_ends_the_run(self):
        process = self.start_hanging()
        said = subprocess.run(["pgrep", "-x", "coveyd"], capture_output=True, text=True, check=True).stdout
        (controller,) = set(map(int, said.split())) & set(self.processes())
        os.kill(controller, signal.SIGKILL)
        self.assertEqual(process.wait(DEADLINE_S), 4)
        self.assert_nothing_is_left()

    def test_controller_that_does_not_start_is_named(self):
        os.remove(self.place.path("bin/coveyd"))
        with open(self.place.path("bin/coveyd"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho 'disk is full' >&2\nexit 1\n")
        os.chmod(self.place.path("bin/coveyd"), 0o755)
        done = self.covey("run", "hello.so", status=4)
        self.assertIn("coveyd ended while it was starting: disk is full", done.stderr)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.private_folders(), [])


if __name__ == "__main__":
    unittest.main()
