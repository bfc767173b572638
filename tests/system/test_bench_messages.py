#!/usr/bin/python3
"""Every measurement of messages, with tiny counts: that it runs, checks its data and says what it should. No figure is judged."""
import csv
import json
import os
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["COVEY_BUILD_DIR"]
BENCH = os.path.join(BUILD, "bin", "covey-bench")
DISTURBED = 3  # measured on a machine that is busier than it was: nothing that a test may judge
KEYS = {"name", "peer", "value", "unit", "ratio", "runs", "machine", "p99", "spread", "valid", "limit_ns"}
COLLECTIVES = ["barrier", "bcast", "reduce", "allreduce", "gather", "scatter", "allgather", "alltoall"]
HAS_MPI = os.path.exists(os.path.join(BUILD, "lib", "covey", "mpi")) and shutil.which("mpirun") is not None


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Nowhere to keep what the machine did before, so that every round counts, however busy it is.
        cls.environment = {**os.environ, "XDG_CACHE_HOME": "/dev/null"}

    def bench(self, *arguments, environment=None):
        return subprocess.run([BENCH, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280,
                              env=environment or self.environment)

    def rows(self, operation, *arguments):
        """The rows of a run."""
        done = self.bench(operation, "--runs", "1", "--samples", "2", "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        for row in rows:
            self.assertLessEqual(KEYS, set(row))
            self.assertEqual(row["operation"], operation)
            self.assertTrue(row["valid"])
            self.assertGreater(row["value"], 0)
            self.assertTrue(all(row["limit_ns"].values()))
        return rows

    def test_between_two(self):
        for operation, unit in [("latency", "us"), ("rate", "M/s"), ("bandwidth", "GB/s")]:
            for more in [(), ("--worker", "thread"), ("--nodes", "2"), ("--owned",), ("-n", "4"), ("--protocol", "once")]:
                for row in self.rows(operation, "--bytes", "8,100K", *more):
                    self.assertEqual((row["unit"], row["peer"], row["ratio"]), (unit, None, None))
                    self.assertEqual("read_value" in row, "--owned" in more)

    def test_collectives(self):
        for operation in COLLECTIVES:
            for more in [(), ("--worker", "thread"), ("--nodes", "2"), ("--protocol", "once")]:
                for row in self.rows(operation, "-n", "4", "--bytes", "8,100K", "--window", "4", *more):
                    self.assertEqual((row["unit"], row["peer"]), ("us", None))
        for row in self.rows("bcast", "-n", "4", "--owned"):
            self.assertGreater(row["read_value"], row["value"])

    @unittest.skipUnless(HAS_MPI, "Open MPI is not installed")
    def test_collectives_with_openmpi(self):
        for operation in COLLECTIVES:
            for row in self.rows(operation, "-n", "4", "--bytes", "4K", "--peer", "openmpi", "--window", "4"):
                self.assertEqual(row["peer"], "openmpi")
                self.assertGreater(row["peer_value"], 0)

    @unittest.skipUnless(HAS_MPI, "Open MPI is not installed")
    def test_openmpi_beside_it(self):
        for nodes in ["1", "2"]:
            for row in self.rows("latency", "--peer", "openmpi,limit", "--nodes", nodes):
                self.assertIn(row["peer"], ("openmpi", "limit"))
                self.assertGreater(row["peer_value"], 0)
                self.assertGreater(row["ratio"]["median"], 0)

    @unittest.skipUnless(shutil.which("ucx_perftest"), "ucx_perftest is not installed")
    def test_ucx_beside_it(self):
        for operation in ["latency", "rate", "bandwidth"]:
            for nodes in ["1", "2"]:
                for row in self.rows(operation, "--peer", "ucx", "--nodes", nodes, "--window", "4"):
                    self.assertEqual(row["peer"], "ucx")
                    self.assertGreater(row["peer_value"], 0)

    def test_missing_peers_are_named_with_their_package(self):
        with tempfile.TemporaryDirectory() as empty:
            for peer, package in [("openmpi", "openmpi-bin"), ("ucx", "ucx-utils")]:
                done = self.bench("latency", "--peer", peer, environment={**self.environment, "PATH": empty})
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"install {package}", done.stderr)

    def test_table_and_csv(self):
        done = self.bench("latency", "--runs", "1", "--samples", "2", "--bytes", "8", "--peer", "limit")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"8 B +covey +[0-9.]+")
        self.assertRegex(done.stdout, r"limit +mailbox [0-9.]+ us, copy [0-9.]+ GB/s, page fault [0-9.]+ us, fork")
        done = self.bench("latency", "--runs", "1", "--samples", "2", "--bytes", "8,16", "--csv")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([line["bytes"] for line in lines], ["8", "16"])
        self.assertNotIn(None, lines[0])

    def test_disturbed_machine_is_told(self):
        """A history of a machine that did a mailbox in no time: nothing that is measured now counts."""
        with tempfile.TemporaryDirectory(prefix="covey-bench-") as folder:
            environment = {**self.environment, "XDG_CACHE_HOME": folder}
            first = self.bench("latency", "--runs", "1", "--samples", "2", "--json", environment=environment)
            self.assertEqual((first.returncode, first.stderr), (0, ""))
            (path,) = [os.path.join(folder, "covey-bench", name) for name in os.listdir(os.path.join(folder, "covey-bench"))]
            with open(path, "w", encoding="utf-8") as file:
                file.write("mailbox-8" + " 0.001" * 5 + "\n")
            done = self.bench("latency", "--runs", "1", "--samples", "2", "--json", environment=environment)
            self.assertIn(done.returncode, (0, DISTURBED), done.stderr)
            row = json.loads(done.stdout)
            # After three rounds the median is of this machine.
            self.assertGreaterEqual(row["disturbed"], 3)
            self.assertEqual(row["valid"], done.returncode == 0)
            self.assertEqual("machine disturbed" in done.stderr, done.returncode == DISTURBED)

    def test_compare_with_an_earlier_run(self):
        with tempfile.TemporaryDirectory(prefix="covey-bench-") as folder:
            path = os.path.join(folder, "old.json")
            row = self.rows("latency")[0]
            for factor, verdict in [(0.001, "worse"), (1000, "better")]:
                old = {**row, "value": row["value"] * factor, "spread": {"p10": row["value"] * factor, "p90": row["value"] * factor}}
                with open(path, "w", encoding="utf-8") as file:
                    file.write(json.dumps(old) + "\n")
                (now,) = self.rows("latency", "--compare", path)
                self.assertEqual(now["before"]["verdict"], verdict)
            with open(path, "a", encoding="utf-8") as file:
                file.write("no row\n")
            done = self.bench("latency", "--compare", path)
            self.assertEqual(done.returncode, 2)
            self.assertIn("line 2", done.stderr)

    def test_bad_input(self):
        for arguments, said in [(["latency", "--bytes", "8.."], '"8.."'), (["latency", "--peer", "mvapich"], "openmpi, ucx"),
                                (["latency", "-n", "3"], "even"), (["rate", "--nodes", "4"], "evenly"),
                                (["latency", "--worker", "fibre"], "process or thread"), (["rate", "extra"], '"extra"'),
                                (["latency", "--peer", "ucx", "-n", "4"], "between two"), (["rate", "--runs", "0"], "from 1"),
                                (["latency", "--protocol", "hot"], "warm or once"),
                                (["latency", "--json", "--csv"], "not both"), (["reduce", "--owned"], "no owned form"),
                                (["bcast", "--peer", "ucx"], "between two"), (["allreduce", "--bytes", "12"], "multiple of 8")]:
            done = self.bench(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
