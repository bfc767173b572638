#!/usr/bin/python3
"""The examples on real input: TeraSort proved by teravalidate, PageRank beside a calculation of our own."""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import FAILED, OK, SANITIZED, SystemTest, base64, example

RECORD_BYTES = 100


class TeraSort(SystemTest):
    RECORDS = 200_000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.input = os.path.join(cls.cluster.folder, "input")
        done = cls.cluster.finish(cls.cluster.start(example("teragen"), str(cls.RECORDS), cls.input))
        assert done.code == 0, done

    def sort(self, source, name):
        output = os.path.join(self.cluster.folder, name)
        os.mkdir(output)
        return output, self.cluster.covey("run", "--json", "-n", "16", example("terasort"), source, output)

    def validate(self, output):
        return self.cluster.finish(self.cluster.start(example("teravalidate"), self.input, output), 60)

    def test_sorts_and_a_flipped_byte_is_found(self):
        output, done = self.sort(self.input, "sorted")
        self.assert_code(done, OK)
        self.assertEqual(sorted(os.listdir(output)), [f"part-{rank:05d}" for rank in range(16)])
        valid = self.validate(output)
        self.assertEqual(valid.code, 0, str(valid))
        self.assertRegex(valid.out, rf"(?m)^VALID records={self.RECORDS} checksum=[0-9a-f]+$")
        self.assert_nothing_left(self.cluster, done.last()["id"])
        with open(os.path.join(output, "part-00007"), "r+b") as file:
            file.seek(RECORD_BYTES * 100 + 60)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        invalid = self.validate(output)
        self.assertEqual(invalid.code, 1, str(invalid))
        self.assertIn("part-00007", invalid.out + invalid.err)
        self.assertNotIn("VALID", invalid.out)

    def test_folder_with_parts_of_another_sort_is_refused(self):
        output, done = self.sort(self.input, "twice")
        self.assert_code(done, OK)
        before = {name: os.stat(os.path.join(output, name)).st_mtime_ns for name in os.listdir(output)}
        again = self.cluster.covey("run", "--json", "-n", "3", example("terasort"), self.input, output)
        self.assert_code(again, FAILED)
        said = [line["text"] for line in again.logs() if "is not empty, it holds part-000" in line["text"]]
        self.assertEqual(len(said), 1, str(again))
        self.assertEqual({name: os.stat(os.path.join(output, name)).st_mtime_ns for name in os.listdir(output)}, before)

    def test_sort_that_fails_leaves_no_part(self):
        output = os.path.join(self.cluster.folder, "blocked")
        os.makedirs(os.path.join(output, "_part-00002.incomplete"))
        done = self.cluster.covey("run", "--json", "-n", "4", example("terasort"), self.input, output)
        self.assert_code(done, FAILED)
        self.assertEqual(os.listdir(output), ["_part-00002.incomplete"])

    def test_files_of_others_beside_the_parts_do_not_count(self):
        output = os.path.join(self.cluster.folder, "made-by-the-sort")
        self.assert_code(self.cluster.covey("run", "--json", "-n", "4", example("terasort"), self.input, output), OK)
        for name in ("_SUCCESS", ".part-00000.crc", "part-00001.crc"):
            with open(os.path.join(output, name), "wb"):
                pass
        for rank in range(4):
            os.rename(os.path.join(output, f"part-{rank:05d}"), os.path.join(output, f"part-r-{rank:05d}"))
        self.assertEqual(self.validate(output).code, 0)
        os.remove(os.path.join(output, "part-r-00001"))
        missing = self.validate(output)
        self.assertEqual(missing.code, 1)
        self.assertRegex(missing.err, "a part is missing in .*before part-r-00002")

    def test_truncated_input_is_refused(self):
        path = os.path.join(self.cluster.folder, "truncated")
        with open(self.input, "rb") as source, open(path, "wb") as target:
            target.write(source.read(RECORD_BYTES * 1000 + 50))
        _, done = self.sort(path, "nothing")
        self.assert_code(done, FAILED)
        self.assertIn("truncated", "\n".join(line["text"] for line in done.logs()), str(done))
        self.assertEqual(done.last()["state"], "FAILED")
        self.assert_nothing_left(self.cluster, done.last()["id"])

    def test_input_that_is_no_file_is_refused(self):
        pipe = os.path.join(self.cluster.folder, "input-pipe")
        os.mkfifo(pipe)
        for path in (pipe, "/dev/null"):
            _, done = self.sort(path, "of-" + os.path.basename(path))
            self.assert_code(done, FAILED)
            self.assertIn("is no file", "\n".join(line["text"] for line in done.logs()), str(done))

    def test_empty_input(self):
        path = os.path.join(self.cluster.folder, "empty")
        with open(path, "wb"):
            pass
        output, done = self.sort(path, "empty-sorted")
        self.assert_code(done, OK)
        self.assertEqual({os.path.getsize(os.path.join(output, name)) for name in os.listdir(output)}, {0})


def page_rank(nodes, edges):
    """Power iteration, written without a look at the example: damping 0.85, dangling rank spread over all."""
    followers = [[] for _ in range(nodes)]
    for source, target in edges:
        followers[source].append(target)
    ranks = [1.0 / nodes] * nodes
    while True:
        dangling = sum(rank for rank, targets in zip(ranks, followers) if not targets)
        moved = [0.15 / nodes + 0.85 * dangling / nodes] * nodes
        for source, targets in enumerate(followers):
            for target in targets:
                moved[target] += 0.85 * ranks[source] / len(targets)
        change = sum(abs(a - b) for a, b in zip(ranks, moved))
        ranks = moved
        if change < 1e-12:
            return ranks


def read_graph(path):
    with open(path, encoding="utf-8") as file:
        _, nodes, _, edges = file.readline().split()
        names = [file.readline().strip() for _ in range(int(nodes))]
        pairs = [tuple(map(int, line.split())) for line in file]
    assert len(pairs) == int(edges), f"{len(pairs)} edges, {edges} announced"
    return names, pairs


class PageRank(SystemTest):
    STANZAS = """Package: app
Depends: lib-a (>= 1.0), lib-b | lib-c

Package: lib-a
Depends: base

Package: lib-b
Depends: base, lib-a

Package: lib-c
Depends: base

Package: base

Package: lonely
Depends: not-here, app
"""

    def graph(self, stanzas, name):
        path = os.path.join(self.cluster.folder, name)
        with open(path, "wb") as file:
            subprocess.run([example("debgraph")], input=stanzas, stdout=file, check=True)
        return path

    def ranks(self, path, workers):
        """(names in order of the graph with their rank, lines logged)."""
        done = self.cluster.covey("run", "--json", "-n", str(workers), "--param", path, example("pagerank.so"))
        self.assert_code(done, OK)
        flare = done.last()
        pieces = self.cluster.expect(OK, "results", "--json", "--rank", "0", flare["id"]).objects()
        text = b"".join(base64.b64decode(piece["data"]) for piece in pieces).decode()
        return [(name, float(rank)) for name, rank in map(str.split, text.splitlines())], done.logs()

    def assert_ranks(self, path, workers, tolerance):
        names, edges = read_graph(path)
        expected = page_rank(len(names), edges)
        found, logs = self.ranks(path, workers)
        self.assertEqual([name for name, _ in found], names)
        worst = max(abs(rank - right) for (_, rank), right in zip(found, expected))
        self.assertLess(worst, tolerance)
        top = sorted(range(len(names)), key=lambda node: -expected[node])[:1]
        self.assertTrue(any(f" 1. {names[top[0]]} " in line["text"] for line in logs), logs)

    def test_small_graph(self):
        path = self.graph(self.STANZAS.encode(), "small")
        names, edges = read_graph(path)
        named = {(names[a], names[b]) for a, b in edges}
        self.assertEqual(named, {("app", "lib-a"), ("app", "lib-b"), ("app", "lib-c"), ("lib-a", "base"), ("lib-b", "base"),
                                 ("lib-b", "lib-a"), ("lib-c", "base"), ("lonely", "app")})
        for workers in (1, 5, 13):
            with self.subTest(workers=workers):
                self.assert_ranks(path, workers, 1e-8)

    def test_name_of_any_length_is_one_node(self):
        path = os.path.join(self.cluster.folder, "long")
        with open(path, "w", encoding="utf-8") as file:
            file.write("nodes 2 edges 1\n" + "1" * 1000 + "\n1\n0 1\n")
        self.assert_ranks(path, 2, 1e-8)

    def test_file_that_is_not_what_its_header_says_is_refused(self):
        for text, said in [("nodes 3 edges 1\na\nb\nc\n0 1\n2 0\n", ":6: more follows, but the header says 1 edges"),
                           ("nodes 2 edges 2\na\nb\n0 1\n", ":4: the file ends where an edge should follow"),
                           ("nodes 2 edges 1\na\nb c\n0 1\n", ":3: the name of node 1 is not one word"),
                           ("nodes 2 edges 1\na\nb\n0 2\n", ":4: an edge is two numbers of nodes, from 0 to 1"),
                           ("nodes 2 edges 1\na\nb\n0 1 1\n", ":4: an edge is two numbers"),
                           ("nodes 2 edges -1\na\nb\n", ':1: "nodes N edges M" was expected'),
                           ("nodes 2 edges 0 x\na\nb\n", ':1: "nodes N edges M" was expected'),
                           ("", ':0: the file ends where "nodes N edges M" should follow')]:
            with self.subTest(text=text):
                path = os.path.join(self.cluster.folder, "wrong")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                done = self.cluster.covey("run", "--json", "-n", "2", "--param", path, example("pagerank.so"))
                self.assert_code(done, FAILED)
                self.assertIn(said, "\n".join(line["text"] for line in done.logs()), str(done))

    def test_what_is_no_file_is_refused(self):
        pipe = os.path.join(self.cluster.folder, "pipe")
        os.mkfifo(pipe)
        for path in (pipe, "/dev/null", self.cluster.folder):
            with self.subTest(path=path):
                done = self.cluster.covey("run", "--json", "-n", "2", "--param", path, example("pagerank.so"), seconds=60)
                self.assert_code(done, FAILED)
                self.assertIn("is no file", "\n".join(line["text"] for line in done.logs()), str(done))

    def test_list_of_packages_is_read_to_its_end(self):
        with open(os.path.join(self.cluster.folder, "nul"), "wb") as file:
            file.write(b"Package: a\n\nPackage: b\0\nDepends: a\n")
        for path, said in ((file.name, "it has a NUL"), (self.cluster.folder, "cannot be read to its end")):
            source = os.open(path, os.O_RDONLY)
            done = subprocess.run([example("debgraph")], stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, check=False)
            os.close(source)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)

    def test_packages_of_this_machine(self):
        stanzas = b""
        if shutil.which("apt-cache"):
            stanzas = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=False).stdout
        if stanzas.count(b"\nPackage: ") < 100:
            self.skipTest("apt-cache knows no packages here")
        if SANITIZED:
            self.skipTest("the small graph runs under sanitizers")
        self.assert_ranks(self.graph(stanzas, "apt"), 12, 1e-8)


if __name__ == "__main__":
    unittest.main()
