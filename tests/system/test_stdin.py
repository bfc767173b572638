#!/usr/bin/python3
"""Standard input for workers: all of it, whatever it is, to those who are to have it."""
import hashlib
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BAD_INPUT, OK, SANITIZED, SystemTest, program, wait_for, worker

MIB = 1 << 20
COUNT = ("python3", "-c", "import sys, hashlib; d = sys.stdin.buffer.read(); print(len(d), hashlib.sha256(d).hexdigest())")


def told(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


class StandardInput(SystemTest):
    SLOTS = 4

    def feed(self, data, *arguments, code=OK):
        """covey with these bytes on standard input, through a pipe."""
        done = subprocess.run([program("covey"), *arguments], input=data, capture_output=True, env=self.cluster.environment,
                              cwd=self.cluster.folder, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done)
        return done.stdout.decode(), done.stderr.decode()

    def lines(self, data, *arguments):
        return sorted(self.feed(data, *arguments)[0].splitlines())

    def run_count(self, data, count, *options):
        return self.lines(data, "run", "-q", "-n", str(count), *options, *COUNT)

    def test_first_all_and_none(self):
        data = bytes(range(256)) * 100 + b"no newline"
        empty, full = told(b""), told(data)
        self.assertEqual(self.run_count(data, 3, "--stdin", "0"), [f"[0] {full}", f"[1] {empty}", f"[2] {empty}"])
        self.assertEqual(self.run_count(data, 3, "--stdin", "all"), [f"[{rank}] {full}" for rank in range(3)])
        for options in (["--stdin", "none"], []):
            self.assertEqual(self.run_count(data, 2, *options), [f"[0] {empty}", f"[1] {empty}"])
        self.assertEqual(self.run_count(b"", 1, "--stdin", "0"), [f"[0] {empty}"])

    def test_all_of_much(self):
        data = os.urandom(MIB) * (8 if SANITIZED else 150)
        self.assertEqual(self.run_count(data, 4, "--stdin", "all"), [f"[{rank}] {told(data)}" for rank in range(4)])

    def test_worker_that_does_not_read_keeps_nobody(self):
        data = os.urandom(MIB) * 20
        script = 'test "$COVEY_RANK" = 0 && exit; exec "$@"'
        self.assertEqual(self.lines(data, "run", "-q", "-n", "3", "--stdin", "all", "sh", "-c", script, "sh", *COUNT),
                         [f"[{rank}] {told(data)}" for rank in (1, 2)])
        self.assertEqual(self.lines(data, "run", "-q", "-n", "2", "--stdin", "0", "echo", "done"), ["[0] done", "[1] done"])

    def test_each_reads_at_its_own_pace(self):
        data = b"".join(b"%d\n" % i for i in range(10))
        done = self.lines(data, "run", "-q", "-n", "2", "--stdin", "all", "sh", "-c", 'read x; read y; echo $((x + y))')
        self.assertEqual(done, ["[0] 1", "[1] 1"])

    def test_shared_objects(self):
        data = b"a line\nanother\n"
        for kind in ("process", "thread"):
            done = self.lines(data, "run", "-q", "-n", "2", "--placement", "spread", "--packing", "homogeneous", "-g", "1", "--worker", kind,
                              "--stdin", "all", "--param", "cat", worker("act.so"))
            self.assertEqual(done, ["[0] a line", "[0] another", "[1] a line", "[1] another"])

    def test_file_and_where_it_was_read_to(self):
        path = os.path.join(self.cluster.folder, "input")
        with open(path, "w", encoding="ascii") as file:
            file.write("first\nsecond\n")
        covey = f"{program('covey')} run -q --stdin 0 cat"
        for script, expected in ((covey, ["[0] first", "[0] second"]), (f"head -c 6 > /dev/null; {covey}", ["[0] second"])):
            with open(path, "rb") as file:
                done = subprocess.run(["sh", "-c", script], stdin=file, capture_output=True, env=self.cluster.environment, check=True)
            self.assertEqual(done.stdout.decode().splitlines(), expected, done)

    def test_flare_of_a_definition_and_detached(self):
        self.cluster.deploy("cat", "/bin/cat")
        self.assertEqual(self.lines(b"x\n", "flare", "-q", "-n", "2", "--stdin", "all", "cat"), ["[0] x", "[1] x"])
        flare_id = self.feed(b"kept\n", "flare", "--detach", "--stdin", "0", "cat")[0].strip()
        self.cluster.covey("wait", "-q", flare_id)
        self.assertEqual([line["text"] for line in self.cluster.logs(flare_id)], ["kept"])

    def test_it_is_there_when_the_controller_was_restarted(self):
        """Before its flare could start, though blobs that nothing names are not kept at all."""
        cluster = self.own_cluster(1, 2, COVEY_KEEP_BLOBS="0s")
        cluster.deploy("act", worker("act.so"))
        blocking = cluster.flare("-n", "2", "--param", "spin", "act")
        cluster.wait_logs(blocking, "is at work", 2)
        done = subprocess.run([program("covey"), "flare", "--detach", "-n", "2", "--stdin", "all", "--param", "cat", "act"], input=b"kept\n",
                              capture_output=True, env=cluster.environment, check=True)
        waiting = done.stdout.decode().strip()
        controller = cluster.controller()
        cluster.kill(controller)
        cluster.respawn(controller)
        cluster.wait_nodes(1)
        cluster.expect(OK, "cancel", blocking)
        self.assert_ended(cluster, waiting, "SUCCEEDED", OK)
        self.assertEqual([line["text"] for line in cluster.logs(waiting)], ["kept"] * 2)

    def test_more_than_the_controller_takes(self):
        cluster = self.own_cluster(1, 2, COVEY_MAX_BLOB_BYTES="1MiB")
        cluster.deploy("cat", "/bin/cat")
        endless = subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE)
        self.addCleanup(endless.wait)
        self.addCleanup(endless.kill)
        done = subprocess.run([program("covey"), "flare", "-q", "--stdin", "0", "cat"], stdin=endless.stdout, capture_output=True,
                              env=cluster.environment, timeout=120, check=False)
        endless.stdout.close()
        self.assertEqual(done.returncode, BAD_INPUT, done)
        self.assertIn("standard input has more than 1048576 bytes, which the controller takes at most (max-blob-bytes)", done.stderr.decode())

    def test_who_may_read_is_said_right(self):
        self.assertIn('--stdin must be 0, all or none, not "1"', self.feed(b"", "run", "--stdin", "1", "cat", code=BAD_INPUT)[1])

    def test_closed_standard_input(self):
        done = self.cluster.finish(self.cluster.start("/bin/sh", "-c", f"exec {program('covey')} run -q --stdin 0 {COUNT[0]} -c \"$1\" <&-", "sh",
                                                      COUNT[2]))
        self.assertEqual((done.code, done.out), (OK, f"[0] {told(b'')}\n"), str(done))

    def test_nothing_is_left_of_it(self):
        before = set(os.listdir(self.cluster.folder))
        self.feed(b"x" * MIB, "run", "-q", "--stdin", "0", "true")
        wait_for(lambda: set(os.listdir(self.cluster.folder)) == before, "the end of temporary files", 5)


if __name__ == "__main__":
    unittest.main()
