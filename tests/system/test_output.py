#!/usr/bin/python3
"""What workers write: all of it, once, in order, whoever is slow, gone or killed meanwhile."""
import collections
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import CANCELLED, FAILED, LONG, OK, SANITIZED, SystemTest, program, wait_for, worker

WRITE, PROGRAM = worker("write.so"), worker("write")
KINDS = {"process": [WRITE], "thread": ["--worker", "thread", WRITE], "program": [PROGRAM]}
SEQ = "/usr/bin/seq"
LIMIT = {"COVEY_MAX_LOG_BYTES": "1GiB"}


def by_rank(text):
    """The lines of each rank, without it."""
    lines = collections.defaultdict(list)
    for line in text.splitlines():
        rank, _, rest = line.partition("] ")
        lines[int(rank[1:])].append(rest)
    return lines


def numbers(count):
    return [str(i) for i in range(1, count + 1)]


class Shapes(SystemTest):
    """One cluster for all of it."""

    ENVIRONMENT = LIMIT

    def run_kind(self, kind, workers, parameter, *options, code=OK):
        return self.cluster.expect(code, "run", "-q", "-n", str(workers), "--param", parameter, *options, *KINDS[kind])

    def each_kind(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                yield kind

    def test_every_line_comes_once_and_in_order(self):
        count = 5000 if SANITIZED else 50000
        for kind in self.each_kind():
            lines = by_rank(self.run_kind(kind, 8, f"lines {count}").out)
            if kind == "thread":  # they share their pack's output
                found = collections.Counter(line for rank in lines for line in lines[rank])
                self.assertEqual(found, {number: 8 for number in numbers(count)})
            else:
                self.assertEqual(lines, {rank: numbers(count) for rank in range(8)})

    def test_many_workers_at_once(self):
        cluster = self.own_cluster(2, 24, **LIMIT)
        done = cluster.expect(OK, "run", "-q", "-n", "48", SEQ, "2000")
        self.assertEqual(by_rank(done.out), {rank: numbers(2000) for rank in range(48)})

    def test_empty_lines(self):
        for kind in self.each_kind():
            self.assertEqual(self.run_kind(kind, 1, "empty 100000").out, "[0] \n" * 100000)

    def test_one_long_line(self):
        length = 10 << 20
        flare_id = self.cluster.flare("-n", "1", "--param", f"long {length}", self.deployed("program"))
        self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
        done = subprocess.run([program("covey"), "logs", "--plain", flare_id], env=self.cluster.environment, capture_output=True, check=True)
        self.assertEqual(done.stdout.replace(b"\n", b""), b"x" * length)
        pieces = self.cluster.logs(flare_id)
        self.assertEqual("".join(line["text"] for line in pieces), "x" * length)
        self.assertEqual([line["partial"] for line in pieces], [True] * (len(pieces) - 1) + [False])

    def deployed(self, kind):
        name = f"write-{kind}"
        self.cluster.deploy(name, KINDS[kind][-1], *KINDS[kind][:-1])
        return name

    def test_any_byte(self):
        for kind in self.each_kind():
            flare_id = self.cluster.flare("-n", "1", "--param", "bytes", self.deployed(kind))
            self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
            done = subprocess.run([program("covey"), "logs", "--plain", flare_id], env=self.cluster.environment, capture_output=True, check=True)
            self.assertEqual(done.stdout, bytes(range(256)) + b"\n")

    def test_no_last_newline(self):
        for kind in self.each_kind():
            self.assertEqual(self.run_kind(kind, 1, "unended").out, "[0] one\n[0] no newline\n")

    def test_output_and_error_each_in_order(self):
        for kind in self.each_kind():
            done = self.run_kind(kind, 1, "both 20000")
            self.assertEqual(done.out, "".join(f"[0] out {i}\n" for i in range(1, 20001)))
            self.assertEqual(done.err, "".join(f"[0] err {i}\n" for i in range(1, 20001)))

    def test_closed_by_the_worker(self):
        for kind in ("process", "program"):
            self.assertEqual(sorted(self.run_kind(kind, 2, "close").out.splitlines()), ["[0] before", "[1] before"])

    def test_last_words_of_who_is_killed(self):
        for kind in ("process", "program"):
            self.assertIn("[0] the last line\n", self.run_kind(kind, 1, "killed", code=FAILED).out)
        for kind in self.each_kind():
            self.assertEqual(self.run_kind(kind, 1, "aborted", code=FAILED).err.count("[0] the reason\n"), 1)

    def test_pack_that_dies_with_what_it_has_read(self):
        """Worker threads write to their own pack: what it was in the middle of comes from its agent, and only once."""
        cluster = self.own_cluster(1, 1, COVEY_FAULT="pack_keep:5:kill", **LIMIT)
        done = cluster.expect(FAILED, "run", "-q", "-n", "1", "--param", "count", *KINDS["thread"])
        lines = [line for line in done.err.splitlines() if line.startswith("[0] ")]
        wrong = [(line, number) for line, number in zip(lines, numbers(len(lines))) if line != f"[0] {number}"]
        self.assertEqual(wrong[:3], [], "lost or said twice")
        self.assertGreaterEqual(len(lines), 5, str(done))

    def test_who_holds_the_output_open_does_not_hold_the_flare(self):
        for kind in ("process", "program"):
            done = self.run_kind(kind, 2, "grandchild")
            self.assertEqual(sum("the parent" in line for line in done.out.splitlines()), 2)

    def test_only_zero_succeeds(self):
        for kind in ("process", "thread"):
            for status in (256, 512, -256):
                self.assertIn("exit status 255", self.run_kind(kind, 1, f"return {status}", code=FAILED).err)
            self.assertIn("exit status 3", self.run_kind(kind, 1, "return 259", code=FAILED).err)

    def test_results_of_several_lines_have_their_rank_on_each(self):
        flare = self.cluster.expect(OK, "run", "-q", "-n", "2", "--param", "echo\ntwo", worker("act.so"))
        self.assertEqual(flare.out.splitlines().count("result 1: two"), 1, str(flare))


class Loading(SystemTest):
    """Constructors, destructors and what is left when a process ends belong to the flare's log."""

    def talk(self, kind, *options, code=OK, lines=1):
        return self.cluster.expect(code, "run", "-n", "1", "--param", "lines 1", "--env", f"WRITE_TALK={lines}", *options, *KINDS[kind])

    def test_at_load_and_at_exit(self):
        for kind in ("process", "thread"):
            with self.subTest(kind=kind):
                done = self.talk(kind)
                self.assertEqual([done.out.count(f"[0] {text}\n") for text in ("loaded, in a buffer", "constructor 1", "1", "unloaded")], [1] * 4, str(done))
                self.assertIn("[0] loaded, at once\n", done.err)

    def test_once_for_each_pack_and_not_for_each_worker(self):
        done = self.cluster.expect(OK, "run", "-q", "-n", "8", "--param", "lines 1", "--env", "WRITE_TALK=1", WRITE)
        self.assertEqual(done.out.count("constructor 1\n"), 1, str(done))

    def test_more_than_a_pipe_and_a_window_hold(self):
        done = self.talk("process", lines=50000)
        self.assertNotIn("cut off", done.err)
        self.assertEqual([line for line in done.out.splitlines() if "constructor" in line],
                         [f"[0] constructor {i}" for i in range(50000, 0, -1)])

    def test_who_ends_while_it_is_loaded_is_heard(self):
        for kind in ("process", "thread"):
            done = self.talk(kind, "--env", "WRITE_EXIT=1", code=FAILED)
            self.assertIn("[0] loaded, at once\n", done.err)
            self.assertIn("[0] constructor 1\n", done.out)


class Killed(SystemTest):
    """Agents and controllers that are killed in the middle of it."""

    COUNT = 20000 if SANITIZED else 400000

    def follow(self, kill, times):
        cluster = self.own_cluster(**LIMIT)
        out = os.path.join(cluster.folder, "out")
        with open(out, "wb") as file:
            run = subprocess.Popen([program("covey"), "run", "-q", "-n", "8", SEQ, str(self.COUNT)], env=cluster.environment, stdout=file,
                                   stderr=subprocess.PIPE, cwd=cluster.folder, start_new_session=True)
        self.addCleanup(run.kill)
        for i in range(times):
            size = os.path.getsize(out)
            wait_for(lambda before=size: os.path.getsize(out) > before + 50000 or run.poll() is not None, "some output")
            if run.poll() is not None:
                break
            kill(cluster, i)
        _, err = run.communicate(timeout=240)
        self.assertEqual(run.returncode, OK, f"{err!r}\n{cluster.describe()}")
        with open(out, encoding="utf-8") as file:
            self.assertEqual(by_rank(file.read()), {rank: numbers(self.COUNT) for rank in range(8)})

    def test_agents(self):
        def kill(cluster, i):
            agent = cluster.agents()[i % 2]
            cluster.kill(agent)
            cluster.respawn(agent)
            cluster.wait_nodes()
        self.follow(kill, 4)

    def test_controller(self):
        def kill(cluster, _):
            controller = cluster.controller()
            cluster.kill(controller)
            cluster.respawn(controller)
            cluster.wait_nodes()
        self.follow(kill, 3)


class Readers(SystemTest):
    """Those who read are slow, or gone."""

    NODES = 0

    def start(self, cluster, arguments, stdout):
        process = subprocess.Popen([program("covey"), *arguments], env=cluster.environment, stdin=subprocess.DEVNULL, stdout=stdout,
                                   stderr=subprocess.PIPE, cwd=cluster.folder, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        if not process.stderr.closed:
            process.communicate()

    def only_flare(self, cluster):
        return wait_for(lambda: cluster.covey("ps", "--all", "--ids").out.split() or cluster.covey("ps", "--ids").out.split(), "a flare")[0]

    def test_a_reader_that_goes_ends_the_run_and_cancels_the_flare(self):
        cluster = self.own_cluster()
        for text in ("while echo line; do sleep 0.05; done", "echo line; sleep 600"):
            read, write = os.pipe()
            run = self.start(cluster, ["run", "-q", "-n", "2", "/bin/sh", "-c", text], write)
            os.close(write)
            self.assertIn(b"line", os.read(read, 100))
            flare_id = self.only_flare(cluster)
            os.close(read)
            _, err = run.communicate(timeout=LONG)
            self.assertEqual((run.returncode, err), (-signal.SIGPIPE, b""))
            flare = self.assert_ended(cluster, flare_id, "CANCELLED", CANCELLED)
            self.assertIn("cannot be written", flare["error"]["message"])

    def test_who_only_looks_on_cancels_nothing(self):
        cluster = self.own_cluster()
        cluster.expect(OK, "deploy", "--name", "sh", "/bin/sh", "-c", "echo line; sleep 600")
        flare_id = cluster.flare("-n", "1", "sh")
        read, write = os.pipe()
        logs = self.start(cluster, ["logs", "-f", flare_id], write)
        os.close(write)
        os.read(read, 1)
        os.close(read)
        logs.communicate(timeout=LONG)
        self.assertEqual(logs.returncode, -signal.SIGPIPE)
        self.assertEqual(cluster.get(flare_id)["state"], "RUNNING")

    def test_output_that_cannot_be_written_fails(self):
        cluster = self.own_cluster()
        flare_id = cluster.flare("-n", "1", "--param", "lines 10", self.deploy_write(cluster))
        cluster.wait(flare_id)
        for arguments in (["run", "-q", "-n", "2", SEQ, "10"], ["run", "-q", "--json", "-n", "2", SEQ, "10"], ["run", "-q", "-n", "1", "/usr/bin/yes"],
                          ["logs", flare_id], ["ps", "--all"], ["nodes"], ["version"], ["--help"], ["run", "--help"]):
            with self.subTest(arguments=arguments), open("/dev/full", "wb") as full:
                process = self.start(cluster, arguments, full)
                _, err = process.communicate(timeout=LONG)
                self.assertEqual(process.returncode, FAILED, err)
                self.assertRegex(err.decode(), "^covey[ a-z]*: cannot write to standard output: No space left on device[^\n]*\n$")

    @staticmethod
    def deploy_write(cluster):
        cluster.deploy("write", WRITE)
        return "write"

    def test_a_slow_reader_stops_only_who_writes(self):
        """Beyond the limit the writer waits for its reader; another flare, and the ends of workers, do not."""
        cluster = self.own_cluster(COVEY_MAX_LOG_BYTES="64KiB")
        cluster.deploy("act", worker("act.so"))
        read, write = os.pipe()
        run = self.start(cluster, ["run", "-q", "-n", "2", SEQ, "400000"], write)
        os.close(write)
        first = os.read(read, 1000)
        flare_id = self.only_flare(cluster)
        cluster.expect(OK, "run", "-q", "-n", "4", "--param", "where", worker("act.so"))
        self.assertEqual(cluster.get(flare_id)["state"], "RUNNING")
        # It is waited for while it reads, and reads all of it.
        with open(read, "rb") as file:
            text = first + file.read()
        run.communicate(timeout=LONG)
        self.assertEqual(run.returncode, OK)
        self.assertEqual(by_rank(text.decode()), {rank: numbers(400000) for rank in range(2)})
        self.assert_ended(cluster, flare_id, "SUCCEEDED", OK)

    def test_beyond_the_limit_a_reader_gets_all_and_later_ones_the_mark(self):
        cluster = self.own_cluster(COVEY_MAX_LOG_BYTES="64KiB")
        done = cluster.expect(OK, "run", "-q", "-n", "4", SEQ, "100000")
        self.assertEqual(by_rank(done.out), {rank: numbers(100000) for rank in range(4)})
        self.assertEqual(done.err.count("reached its limit of 65536 bytes"), 1, done.err[:1000])
        flare_id = self.only_flare(cluster)
        again = cluster.expect(OK, "logs", flare_id)
        self.assertIn("reached its limit", again.err)
        self.assertLess(len(again.out), 200000)

    def test_nobody_reads_beyond_the_limit(self):
        cluster = self.own_cluster(COVEY_MAX_LOG_BYTES="64KiB")
        cluster.expect(OK, "deploy", "--name", "seq", SEQ, "1000000")
        flare_id = cluster.flare("-n", "4", "seq")
        self.assert_ended(cluster, flare_id, "SUCCEEDED", OK)

    def test_a_reader_that_stops_holds_the_flare_only_so_long(self):
        cluster = self.own_cluster(COVEY_MAX_LOG_BYTES="64KiB")
        cluster.expect(OK, "deploy", "--name", "seq", SEQ, "1000000")
        flare_id = cluster.flare("-n", "2", "seq")
        read, write = os.pipe()
        logs = self.start(cluster, ["logs", "-f", flare_id], write)
        os.close(write)
        self.addCleanup(os.close, read)
        begun = time.monotonic()
        self.assert_ended(cluster, flare_id, "SUCCEEDED", OK, 120)
        self.assertIsNone(logs.poll())
        self.assertLess(time.monotonic() - begun, 120)


if __name__ == "__main__":
    unittest.main()
