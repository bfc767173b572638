#!/usr/bin/python3
"""covey-bench says what it should. Whether the goals are met is for a quiet machine and the release build."""
import json
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = os.path.join(os.environ["COVEY_BUILD_DIR"], "bin", "covey-bench")


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)


class SchedulerBench(unittest.TestCase):
    def test_figures_goals_peer_and_picture(self):
        with tempfile.TemporaryDirectory(prefix="covey-bench-") as folder:
            path = os.path.join(folder, "growth.svg")
            done = bench("scheduler", "--runs", "20", "--json", "--svg", path)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            paths = list(xml.etree.ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}path"))
            self.assertEqual(len(paths), 3)
        report = json.loads(done.stdout)
        self.assertEqual(len(report["results"]), 4)
        self.assertEqual([row["nodes"] for row in report["growth"]], [100, 1000, 10000, 100000])
        for row in report["results"] + report["growth"]:
            self.assertGreater(row["median"], 0)
            self.assertLessEqual(row["median"], row["p99"])
            self.assertGreater(row["peer"]["median"], 0)
            if "goal" in row:
                self.assertIsInstance(row["passed"], bool)

    def test_bad_input(self):
        for arguments, said in [(["--runs", "19"], "from 20"), (["--runs", "x"], '"x"'), (["extra"], '"extra"')]:
            done = bench("scheduler", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


class OutputBench(unittest.TestCase):
    def test_figures(self):
        done = bench("output", "-n", "2", "--lines", "1000", "--runs", "3", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual((report["workers"], report["lines"], report["runs"]), (2, 1000, 3))
        self.assertEqual(report["bytes"], 2 * sum(len(f"[0] {i}\n") for i in range(1, 1001)))
        self.assertTrue(0 < report["p10"] <= report["median"] <= report["p99"])

    def test_bad_input(self):
        for arguments, said in [(["--lines", "0"], "from 1"), (["--peer", "slurm"], "openmpi"), (["extra"], '"extra"')]:
            done = bench("output", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


class PlanBench(unittest.TestCase):
    def test_figures(self):
        done = bench("plan", "--nodes", "2", "--queued", "5", "--runs", "7", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual((report["nodes"], report["queued"], report["runs"]), (2, 5, 7))
        self.assertTrue(0 < report["min"] <= report["median"] <= report["p99"])

    def test_bad_input(self):
        for arguments, said in [(["--nodes", "0"], "from 1 to 64"), (["--queued", "x"], '"x"'), (["extra"], '"extra"')]:
            done = bench("plan", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
