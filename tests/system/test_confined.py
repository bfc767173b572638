#!/usr/bin/python3
"""A node offers what is left to it: by memory limits and cpu quotas of control groups, affinity and cpusets."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import groups
from covey_system import FAILED, OK, UNPLACEABLE, Sandbox, SystemTest, only, wait_for, worker

MIB = 1 << 20
CPUS = sorted(os.sched_getaffinity(0))


class Confined(SystemTest):
    NODES = 0

    def up(self, before, *arguments, nodes=1):
        sandbox = Sandbox()
        self.addCleanup(sandbox.close)
        done = sandbox.finish(sandbox.start("up", "--nodes", str(nodes), *arguments, preexec_fn=before), 60)
        self.assertEqual(done.code, OK, f"{done}\n{sandbox.describe()}")
        return sandbox

    def down(self, sandbox):
        self.assertEqual(sandbox.covey("down").code, OK)
        wait_for(lambda: not sandbox.processes(), "the end of all processes", 10)

    def nodes(self, sandbox):
        return [node["capacity"] for node in sandbox.covey("nodes", "--json").objects()]

    def require(self, folder):
        if not folder:
            self.skipTest("no control group with this limit can be made here")

    def test_memory_limit_is_what_there_is(self):
        older = groups.is_older("memory")
        name = "memory_limit_in_bytes" if older else "memory_max"
        with groups.group("memory", **{name: str(512 * MIB)}) as folder:
            self.require(folder)
            sandbox = self.up(groups.enter(folder), "--slots", "4", nodes=2)
            for capacity in self.nodes(sandbox):
                self.assertEqual(capacity["memory_bytes"], str(512 * MIB))
                self.assertEqual(capacity["machine_memory_bytes"], str(512 * MIB))
            shown = sandbox.covey("nodes").out
            self.assertIn("only memory 512 of ", shown)
            self.assertIn(f"by {folder}/{name.replace('_', '.', 1)}", shown)
            # Both nodes together have it once.
            self.assertEqual(sandbox.covey("run", "-q", "-n", "1", "--memory", "500M", "/bin/true").code, OK)
            self.assertEqual(sandbox.covey("run", "-q", "-n", "1", "--memory", "4G", "/bin/true").code, UNPLACEABLE)
            self.assertEqual(sandbox.covey("run", "-q", "-n", "2", "--memory", "300M", "/bin/true").code, UNPLACEABLE)
            self.down(sandbox)

    def test_what_the_kernel_kills_for_memory_is_named(self):
        files = {"memory_limit_in_bytes": str(256 * MIB)} if groups.is_older("memory") else {
            "memory_max": str(256 * MIB), "memory_swap_max": "0"}
        with groups.group("memory", **files) as folder:
            self.require(folder)
            sandbox = self.up(groups.enter(folder), "--slots", "2")
            # What ends with the signal is the worker; killed by hand, nothing is said of memory.
            for script, said in (("kill -9 $$", None), ("exec tail /dev/zero", folder), ("kill -9 $$", None)):
                with self.subTest(script=script):
                    flare = sandbox.covey("run", "--json", "-q", "-n", "1", "/bin/sh", "-c", script, seconds=60).last()
                    error = flare["error"]
                    self.assertEqual((flare["state"], error["signal"], error.get("out_of_memory", False)),
                                     ("FAILED", 9, bool(said)), f"{error}\n{sandbox.describe()}")
                    if said:
                        self.assertRegex(error["message"], f"the kernel ended it because memory was out: {said}/.* allows 256 MiB")
                        self.assertRegex(sandbox.covey("explain", flare["id"]).out, "(?m)^next: --memory SIZE ")
                    else:
                        self.assertNotIn("memory", error["message"])
            self.down(sandbox)

    def test_limit_of_processes_is_named(self):
        with groups.group("pids", pids_max="40") as folder:
            self.require(folder)
            sandbox = self.up(groups.enter(folder), "--slots", "64")
            for kind in (("/bin/sleep", "100"), ("--worker", "thread", worker("act.so"))):
                done = sandbox.covey("run", "-q", "-n", "60", *kind, seconds=60)
                self.assertEqual(done.code, FAILED, f"{done}\n{sandbox.describe()}")
                self.assertIn(f"{folder}/pids.max allows 40 processes and threads", done.err)
            self.down(sandbox)

    def test_cpu_quota_is_what_there_is(self):
        if groups.is_older("cpu"):
            files = {"cpu_cfs_period_us": "100000", "cpu_cfs_quota_us": "100000"}
        else:
            files = {"cpu_max": "100000 100000"}
        if len(CPUS) < 2:
            self.skipTest("one cpu cannot become less")
        with groups.group("cpu", **files) as folder:
            self.require(folder)
            sandbox = self.up(groups.enter(folder))
            capacity = only(self.nodes(sandbox))
            self.assertEqual((capacity["slots"], capacity["milli_cpus"]), (1, 1000))
            self.assertEqual(capacity["cpus"], [])  # none is its own
            self.assertIn("only cpus 1 of ", sandbox.covey("nodes").out)
            self.assertEqual(sandbox.covey("run", "-q", "-n", "1", "--cpus", "1", "/bin/true").code, OK)
            self.assertEqual(sandbox.covey("run", "-q", "-n", "1", "--cpus", "2", "/bin/true").code, UNPLACEABLE)
            self.down(sandbox)

    def check_one_cpu(self, before):
        sandbox = self.up(before)
        capacity = only(self.nodes(sandbox))
        self.assertEqual((capacity["slots"], capacity["processing_units"], capacity["cpus"]), (1, 1, [CPUS[-1]]))
        self.assertRegex(sandbox.covey("nodes").out, r"only cpus 1 of \d+ by its affinity or cpuset")
        done = sandbox.covey("run", "-q", "-n", "1", "--cpus", "1", "/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status")
        self.assertEqual(re.findall(r"\d+$", done.out.strip()), [str(CPUS[-1])], str(done))
        self.down(sandbox)

    @unittest.skipIf(len(CPUS) < 2, "one cpu cannot become less")
    def test_affinity(self):
        self.check_one_cpu(lambda: os.sched_setaffinity(0, {CPUS[-1]}))

    @unittest.skipIf(len(CPUS) < 2, "one cpu cannot become less")
    def test_cpuset(self):
        with groups.group("cpuset", cpuset_cpus=str(CPUS[-1]), cpuset_mems="0") as folder:
            self.require(folder)
            self.check_one_cpu(groups.enter(folder))

    def test_nothing_is_said_where_nothing_is_less(self):
        sandbox = self.up(None)
        for capacity in self.nodes(sandbox):
            if len(CPUS) == os.cpu_count():
                self.assertNotIn("cpus", capacity.get("less", ""))
        self.down(sandbox)


if __name__ == "__main__":
    unittest.main()
