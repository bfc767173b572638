#!/usr/bin/python3
"""covey-sim as its user sees it: the same bytes twice, traces that survive a file, pictures that are XML, clear errors."""
import gzip
import json
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

SIM = os.path.join(os.environ["COVEY_BUILD_DIR"], "bin", "covey-sim")
TRACES = os.path.join(os.environ["COVEY_SOURCE_DIR"], "bench", "sim", "traces")
OK, BAD_INPUT = 0, 2
SMALL = ("--nodes", "32", "--jobs", "200")
JOB = "1 0 -1 10 4 -1 -1 4 20 -1 1 1 -1 -1 -1 -1 -1 -1\n"
POLICIES = ["covey", "fifo", "first-fit", "faas"]


def sim(*arguments):
    return subprocess.run([SIM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


class Simulator(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="covey-sim-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def expect(self, *arguments):
        done = sim(*arguments)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        return done.stdout

    def report(self, *arguments):
        return json.loads(self.expect("--json", *arguments))

    def test_same_seed_gives_the_same_bytes(self):
        first = self.expect("--seed", "1", "--json")
        self.assertEqual(first, self.expect("--seed", "1", "--json"))
        self.assertNotEqual(json.loads(first)["policies"], self.report("--seed", "2")["policies"])
        self.assertEqual(first.count("\n"), 1)

    def test_options_win_over_the_headers_of_a_trace(self):
        trace = self.path("headers.swf", "; MaxNodes: 8\n; MaxProcs: 32\n" + JOB)

        def machine(*options):
            cluster = self.report("--trace", trace, *options)["cluster"]
            return cluster["nodes"], cluster["cores"]
        self.assertEqual(machine(), (8, 4))
        self.assertEqual(machine("--nodes", "5"), (5, 4))
        self.assertEqual(machine("--cores", "6"), (8, 6))
        self.assertEqual(machine("--cores", "2", "--nodes", "3"), (3, 2))

    def test_report_says_what_it_should(self):
        report = self.report(*SMALL)
        self.assertEqual([row["policy"] for row in report["policies"]], POLICIES)
        self.assertEqual(report["cluster"], {"nodes": 32, "cores": 16, "slots": 512, "racks": 2, "zones": 1})
        for row in report["policies"]:
            with self.subTest(policy=row["policy"]):
                self.assertEqual(row["done"] + row["given_up"], 200)
                for name in ("utilisation", "utilisation_loaded", "fragmentation", "held_idle"):
                    self.assertTrue(0 <= row[name] <= 1, name)
                self.assertTrue(0 < row["fairness"] <= 1)
                for name in ("wait_s", "slowdown"):
                    spread = row[name]
                    self.assertLessEqual(spread["p50"], spread["p90"])
                    self.assertLessEqual(spread["p90"], spread["p99"])
                    self.assertLessEqual(spread["p99"], spread["max"])
                for inside in row["locality"].values():
                    self.assertTrue(0 <= inside["node"] <= inside["rack"] <= inside["zone"] <= 1)
                if row["policy"] != "faas":
                    self.assertEqual((row["held_idle"], row["partial_holds"], row["given_up"]), (0, 0, 0))

    def test_ours_keeps_more_inside_nodes_than_the_others(self):
        rows = {row["policy"]: row["locality"]["jobs"]["node"] for row in self.report()["policies"]}
        self.assertGreater(rows["covey"], rows["first-fit"])
        self.assertGreater(rows["first-fit"], rows["faas"])

    def test_written_trace_read_back_gives_the_same_report(self):
        for arrivals in ("poisson", "bursty"):
            path = self.path(arrivals + ".swf")
            given = (*SMALL, "--seed", "7", "--arrivals", arrivals)
            self.assertEqual(self.expect(*given, "--write-swf", path), "")
            made, read = self.report(*given), self.report("--seed", "7", "--trace", path)
            self.assertEqual(read.pop("source"), path)
            self.assertEqual(made.pop("source"), "generator")
            self.assertEqual(made, read)

    def test_shipped_traces_run(self):
        names = sorted(os.listdir(TRACES))
        self.assertEqual(len(names), 2)
        for name in names:
            rows = self.report("--trace", os.path.join(TRACES, name))["policies"]
            self.assertEqual([row["refused"] for row in rows], [0] * len(POLICIES))

    def test_policies_are_chosen_once_each(self):
        rows = self.report(*SMALL, "--policy", "faas", "--policy", "fifo", "--policy", "faas")["policies"]
        self.assertEqual([row["policy"] for row in rows], ["faas", "fifo"])

    def test_text_has_a_column_for_each_policy(self):
        self.assertIn(POLICIES, [line.split() for line in self.expect(*SMALL).splitlines()])

    def test_picture_is_xml_with_a_line_for_each_policy(self):
        path = self.path("picture.svg")
        self.expect(*SMALL, "--svg", path)
        top = xml.etree.ElementTree.parse(path).getroot()
        namespace = "{http://www.w3.org/2000/svg}"
        self.assertEqual(top.tag, namespace + "svg")
        self.assertEqual(len(list(top.iter(namespace + "path"))), 2 * len(POLICIES))
        said = [text.text for text in top.iter(namespace + "text")]
        for policy in POLICIES:
            self.assertEqual(said.count(policy), 2)

    def test_job_larger_than_the_machine_is_refused(self):
        path = self.path("large.swf", "1 0 -1 10 64 -1 -1 64 20 -1 1 1 -1 -1 -1 -1 -1 -1\n"
                                      "2 0 -1 10 4 -1 -1 4 20 -1 1 1 -1 -1 -1 -1 -1 -1\n")
        for row in self.report("--trace", path, "--nodes", "2", "--cores", "4")["policies"]:
            self.assertEqual((row["done"], row["refused"]), (1, 1))

    def test_packed_trace_gives_the_same_report(self):
        plain = os.path.join(TRACES, "bursts.swf")
        packed = self.path("bursts.swf.gz")
        with open(plain, "rb") as file, open(packed, "wb") as out:
            text = file.read()
            out.write(gzip.compress(text[:5000]) + gzip.compress(text[5000:]))
        reports = [self.report("--trace", path) for path in (plain, packed)]
        self.assertEqual([report.pop("source") for report in reports], [plain, packed])
        self.assertEqual(*reports)

    def test_what_is_not_of_the_format_is_named_and_the_rest_played(self):
        path = self.path("odd.swf", "\ufeff; MaxNodes: UNKNOWN\n; MaxProcs: 1,024\n" + "what\n" + JOB + JOB.replace("\n", " {7} q\n"))
        done = sim("--trace", path, "--nodes", "4", "--policy", "covey", "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(json.loads(done.stdout)["policies"][0]["done"], 2)
        for said in ("odd.swf:1: MaxNodes: says", 'odd.swf:3: field 1 (job number) is "what"', "odd.swf:5: 20 fields"):
            self.assertIn(said, done.stderr)

    def test_bad_input_is_one_clear_message(self):
        bad = self.path("bad.swf", "\x1b[31m \x07 1 10\n" + "1 2 3 four 5\n")
        cut = self.path("cut.swf.gz")
        with open(cut, "wb") as file:
            file.write(gzip.compress(JOB.encode() * 100)[:-12])
        empty = self.path("empty.swf", "; nothing\n")
        huge = self.path("huge.swf", "; MaxNodes: 1\n; MaxProcs: 1000000\n"
                                     "1 0 -1 10 4 -1 -1 4 20 -1 1 1 -1 -1 -1 -1 -1 -1\n")
        for arguments, said in [
                (["--trace", "/nonexistent/x.swf"], "/nonexistent/x.swf.*[Nn]o such"),
                (["--trace", bad], r"bad\.swf:1: field 1 \(job number\) is \"\\x1b\[31m\".*and 1 more(.|\n)*no job that ran"),
                (["--trace", cut], "cut.swf.gz is a gzip file that is damaged or cut off"),
                (["--trace", empty], "no job that ran"),
                (["--trace", huge], "--cores"),
                (["--trace", self.folder], "director"),
                (["--nodes", "0"], '"0" is no whole number from 1'),
                (["--nodes", "-4"], '"-4" is no whole number'),
                (["--nodes", "4x"], '"4x" is no whole number'),
                (["--cores", "99999"], "from 1 to 1024"),
                (["--nodes", "4", "--racks", "5"], "4 nodes cannot be in 5 racks"),
                (["--load", "nan"], '"nan" is no number'),
                (["--load", "0"], '"0" is no number'),
                (["--arrivals", "never"], '"never"'),
                (["--policy", "best"], 'no policy is called "best"; there are: covey'),
                (["extra"], '"extra"'),
                (["--svg", "/nonexistent/x.svg", *SMALL], "/nonexistent/x.svg"),
                (["--write-swf", "/nonexistent/x.swf"], "/nonexistent/x.swf")]:
            with self.subTest(arguments=arguments):
                done = sim(*arguments)
                self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, said)
                self.assertTrue(done.stderr.replace("\n", "").isprintable(), done.stderr)


if __name__ == "__main__":
    unittest.main()
