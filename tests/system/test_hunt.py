#!/usr/bin/python3
"""The hunt for leftovers finds what is left: a process, a file, a cgroup, shared memory; and not what is another flare's."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import CGROUPS, Finished, SystemTest, leftovers, log_lines, parse_time, processes_of_flare, wait_for

FLARE, OTHER = "01TESTHUNT0000000000000001", "01TESTHUNT0000000000000002"


class Hunt(SystemTest):
    NODES = 0

    def setUp(self):
        self.box = self.sandbox()
        self.assertEqual(leftovers(FLARE, self.box), [])

    def test_process(self):
        process = subprocess.Popen(["sleep", "60"], env={**self.box.environment, "COVEY_FLARE_ID": FLARE})
        try:
            wait_for(lambda: processes_of_flare(FLARE), "the process")
            self.assertEqual([found.pid for found in processes_of_flare(FLARE)], [process.pid])
            self.assertEqual(len(leftovers(FLARE, self.box)), 1)
            self.assertEqual(leftovers(OTHER, self.box), [])
            with self.assertRaises(AssertionError):
                self.box.started.clear()
                wait_for(lambda: not self.box.processes("sleep"), "the end of sleep", 0.05)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(leftovers(FLARE, self.box), [])

    def test_file(self):
        folder = os.path.join(self.box.state, "node", f"flare-{FLARE}")
        os.makedirs(folder)
        self.assertEqual(leftovers(FLARE, self.box), [f"file {folder}"])
        self.assertEqual(leftovers(FLARE, self.box, [os.path.join(self.box.state, "node")]), [])

    def test_shared_memory(self):
        path = f"/dev/shm/covey-{FLARE}"
        with open(path, "w", encoding="utf-8"):
            pass
        try:
            self.assertEqual(leftovers(FLARE, self.box), [f"shared memory covey-{FLARE}"])
        finally:
            os.remove(path)

    def test_cgroup(self):
        for parent in (os.path.join(CGROUPS, "unified"), CGROUPS):
            path = os.path.join(parent, f"covey-{FLARE}")
            try:
                os.mkdir(path)
            except OSError:
                continue
            try:
                self.assertEqual(leftovers(FLARE, self.box), [f"cgroup {path}"])
            finally:
                os.rmdir(path)
            return
        self.skipTest("no cgroup can be made here")

    def test_what_it_reads(self):
        self.assertAlmostEqual(parse_time("2026-01-31T12:00:00.250Z") - parse_time("2026-01-31T11:59:59Z"), 1.25, 6)
        done = Finished([], 0, '{"rank":1,"stream":2,"at":"2026-01-31T12:00:00Z","text":"aGk="}\n{"state":"FAILED"}\n', "", 0)
        self.assertEqual([line["text"] for line in log_lines(done.objects())], ["hi"])
        self.assertEqual(done.last(), {"state": "FAILED"})


if __name__ == "__main__":
    unittest.main()
