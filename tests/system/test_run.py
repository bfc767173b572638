#!/usr/bin/python3
"""From one command to the results: `covey run` with nothing set up, and flares on a cluster that is up."""
import collections
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import (BAD_INPUT, CANCELLED, FAILED, OK, SystemTest, base64, example, leftovers, parse_time,
                          processes_of_flare, wait_for, worker)

ACT = worker("act.so")
ACT_PROGRAM = worker("act")


def results_of(objects):
    """Results by rank, put together from their pieces."""
    results = collections.defaultdict(bytes)
    for piece in objects:
        if "offset" in piece and "data" in piece:
            data = base64.b64decode(piece["data"])
            assert int(piece["offset"]) == len(results[piece["rank"]]), f"a piece is out of order: {piece}"
            results[piece["rank"]] += data
    return dict(results)


class PrivateRun(SystemTest):
    NODES = 0

    def test_hello_on_two_private_nodes(self):
        sandbox = self.sandbox()
        before = set(os.listdir("/dev/shm"))
        done = sandbox.covey("run", "--json", "-n", "16", example("hello.so"))
        self.assert_code(done, OK)
        flare = done.last()
        self.assertEqual(flare["state"], "SUCCEEDED")
        self.assertEqual(len({pack["node"] for pack in flare["packs"]}), 2)
        self.assertEqual([worker["rank"] for worker in flare["workers"]], list(range(16)))
        self.assertEqual({worker["state"] for worker in flare["workers"]}, {"DONE"})
        self.assertEqual(len({worker["pid"] for worker in flare["workers"]}), 16)
        self.assertEqual(sorted(line["text"].rsplit(", pack", 1)[0] for line in done.logs()),
                         sorted(f"hello from worker {rank} of 16" for rank in range(16)))
        for line in done.logs():
            self.assertIn(f"worker {line['rank']} of", line["text"])
        self.assertTrue(flare["timeline"]["transport"], "what carried the messages between nodes is not said")
        self.assert_steps_in_order(flare["timeline"])
        self.assert_quiet(sandbox)
        self.assertEqual(leftovers(flare["id"], sandbox), [])
        self.assertEqual({name for name in set(os.listdir("/dev/shm")) - before if "covey" in name}, set())

    def assert_steps_in_order(self, timeline):
        steps = ["accepted_at", "placed_at", "ready_at", "started_at", "first_worker_at", "last_worker_at", "outcome_at",
                 "ended_at"]
        times = [parse_time(timeline[step]) for step in steps]
        self.assertEqual(times, sorted(times), timeline)

    def test_jq_line_of_the_documentation(self):
        sandbox = self.sandbox()
        done = sandbox.finish(sandbox.start(
            "/bin/sh", "-c", '"$1" run --json -n 16 "$2" | '
            'jq -es \'last|.state=="SUCCEEDED" and ([.packs[].node]|unique|length)==2\'', "sh",
            os.path.join(os.environ["COVEY_BUILD_DIR"], "bin", "covey"), example("hello.so")))
        self.assertEqual((done.code, done.out.strip()), (0, "true"), str(done))

    def test_plain_lines_in_a_pipe(self):
        done = self.sandbox().covey("run", "-n", "3", example("hello.so"))
        self.assert_code(done, OK)
        self.assertNotIn("\x1b", done.out + done.err, "a pipe gets no escape sequences")
        for rank in range(3):
            self.assertRegex(done.out + done.err, rf"(?m)^.*\b{rank}\b.*hello from worker {rank} of 3")

    def test_nothing_is_left_when_covey_is_killed(self):
        sandbox = self.sandbox()
        process = sandbox.start("run", "-n", "4", example("stall.so"))
        flare_id = self.wait_running(sandbox, 4)
        process.kill()
        process.communicate()
        self.assert_quiet(sandbox, 2)
        self.assertEqual(leftovers(flare_id, sandbox), [])
        self.assertEqual(processes_of_flare(flare_id), [])

    def wait_running(self, sandbox, count):
        """Waits until that many workers are there beside their packs, of which they are forks, and returns their flare."""
        def there():
            found = collections.Counter(process.environment.get("COVEY_FLARE_ID") for process in sandbox.processes("covey-pack"))
            ids = [flare_id for flare_id, forks in found.items() if flare_id and "_" not in flare_id and forks >= count + 2]
            return ids[0] if ids else None
        return wait_for(there, f"{count} workers")

    def test_interrupt_cancels(self):
        sandbox = self.sandbox()
        process = sandbox.start("run", "--json", "-n", "4", example("stall.so"))
        flare_id = self.wait_running(sandbox, 4)
        process.send_signal(signal.SIGINT)
        done = sandbox.finish(process, 10)
        self.assert_code(done, CANCELLED)
        self.assertEqual(done.last()["state"], "CANCELLED", str(done))
        self.assertRegex(done.err, "(?i)cancel")
        self.assert_quiet(sandbox)
        self.assertEqual(leftovers(flare_id, sandbox), [])

    def test_failure_of_a_private_run(self):
        sandbox = self.sandbox()
        done = sandbox.covey("run", "--json", "-n", "4", "--param", "return 2 7", ACT)
        self.assert_code(done, FAILED)
        flare = done.last()
        self.assertEqual((flare["state"], flare["error"]["rank"], flare["error"]["exit_status"]), ("FAILED", 2, 7))
        self.assert_quiet(sandbox)


class OnCluster(SystemTest):
    SLOTS = 12

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.deploy("act", ACT)
        cls.cluster.deploy("act-program", ACT_PROGRAM)
        cls.cluster.deploy("act-thread", ACT, "--worker", "thread")

    def run_act(self, definition, workers, act, *arguments, code=OK):
        """A flare to its end: (flare, results by rank)."""
        flare_id = self.cluster.flare("-n", str(workers), "--param", act, *arguments, definition)
        flare = self.assert_ended(self.cluster, flare_id, "SUCCEEDED" if code == OK else "FAILED", code)
        results = results_of(self.cluster.expect(OK, "results", "--json", flare_id).objects()) if code == OK else None
        return flare, results

    def assert_places(self, workers, flare, results, kind="process"):
        """Each worker's own view of where it is fits the flare's."""
        self.assertEqual(sorted(results), list(range(workers)))
        views = {rank: json.loads(text) for rank, text in results.items()}
        for pack in flare["packs"]:
            ranks = range(pack["first_rank"], pack["first_rank"] + pack["workers"])
            for rank in ranks:
                view = views[rank]
                self.assertEqual((view["rank"], view["size"], view["pack"], view["pack_size"], view["packs"]),
                                 (rank, workers, pack["id"], pack["workers"], len(flare["packs"])))
                self.assertEqual(view["leader"], int(rank == pack["first_rank"]))
                self.assertEqual(view["sum"], workers * (workers + 1) // 2)
                self.assertEqual(view["flare"], flare["id"])
                self.assertEqual(view["env_flare"], flare["id"])
            processes = {views[rank]["process"] for rank in ranks}
            self.assertEqual(len(processes), 1 if kind == "thread" else len(ranks))
            self.assertEqual(len({views[rank]["thread"] for rank in ranks}), len(ranks))
        covered = [rank for pack in flare["packs"] for rank in range(pack["first_rank"], pack["first_rank"] + pack["workers"])]
        self.assertEqual(covered, list(range(workers)))
        nodes = {pack["node"] for pack in flare["packs"]}
        self.assertEqual({view["nodes"] for view in views.values()}, {len(nodes)})

    def test_any_number_of_workers_of_each_kind(self):
        for definition, kind in (("act", "process"), ("act-program", "process"), ("act-thread", "thread")):
            for workers in (1, 2, 3, 17):
                with self.subTest(definition=definition, workers=workers):
                    flare, results = self.run_act(definition, workers, "where")
                    self.assert_places(workers, flare, results, kind)
                    if kind == "process":
                        self.assertEqual([json.loads(results[rank])["env_rank"] for rank in range(workers)],
                                         [str(rank) for rank in range(workers)])

    def test_packing(self):
        for packing, granularity, sizes in (("heterogeneous", 0, [12, 4]), ("homogeneous", 4, [4, 4, 4, 4]),
                                            ("mixed", 4, [12, 4])):
            with self.subTest(packing=packing):
                options = ["--packing", packing] + (["--granularity", str(granularity)] if granularity else [])
                flare, results = self.run_act("act", 16, "where", *options)
                self.assertEqual(sorted((pack["workers"] for pack in flare["packs"]), reverse=True), sizes)
                self.assert_places(16, flare, results)

    def test_spread(self):
        flare, results = self.run_act("act", 8, "where", "--placement", "spread")
        self.assertEqual(len({pack["node"] for pack in flare["packs"]}), 2)
        self.assert_places(8, flare, results)

    def test_exchange_between_all(self):
        for definition in ("act", "act-program", "act-thread"):
            for workers, block in ((17, 1), (17, 4096), (5, 300000), (16, 0)):
                with self.subTest(definition=definition, workers=workers, block=block):
                    self.run_act(definition, workers, f"exchange {block}")

    def test_one_parameter_each(self):
        lines = [f"echo {'x' * rank}{rank}" for rank in range(5)]
        path = os.path.join(self.cluster.folder, "params")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        flare_id = self.cluster.flare("--params-file", path, "act")
        self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
        results = results_of(self.cluster.expect(OK, "results", "--json", flare_id).objects())
        self.assertEqual([results[rank].decode() for rank in range(5)], lines)

    def test_result_longer_than_a_message(self):
        length = 6 << 20
        _, results = self.run_act("act", 2, f"result {length}")
        for rank in range(2):
            self.assertEqual(len(results[rank]), length)
            pattern = bytes((i + rank) % 256 for i in range(256)) * (length // 256)
            self.assertTrue(results[rank] == pattern, "the result is not what the worker gave")

    def test_lines_are_whole_and_have_their_rank(self):
        workers, count = 8, 50
        flare, _ = self.run_act("act", workers, f"lines {count}")
        seen = collections.defaultdict(list)
        for line in self.cluster.logs(flare["id"]):
            seen[line["rank"], line["stream"]].append(line["text"])
        for rank in range(workers):
            self.assertEqual(seen[rank, 1], [f"out {rank} line {i}" for i in range(count)])
            self.assertEqual(seen[rank, 2], [f"err {rank} line {i}" for i in range(count)])
        self.assertEqual({line["rank"] for line in self.cluster.logs(flare["id"], "--rank", "3")}, {3})

    def test_environment_of_a_definition(self):
        self.cluster.deploy("act-env", ACT, "--env", "ACT_MARK=two words")
        _, results = self.run_act("act-env", 2, "where")
        self.assertEqual({json.loads(text)["mark"] for text in results.values()}, {"two words"})

    def test_events_can_be_watched_from_any_number(self):
        flare, _ = self.run_act("act", 2, "where")
        events = [event for event in self.cluster.watch(flare["id"]) if "sequence" in event]
        self.assertEqual([int(event["sequence"]) for event in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[-1]["state"], "SUCCEEDED")
        later = [event for event in self.cluster.covey("watch", "--json", "--from", "3", flare["id"]).objects()
                 if "sequence" in event]
        self.assertEqual(later, events[2:])

    def test_same_key_same_flare(self):
        first = self.cluster.flare("-n", "1", "--param", "echo", "--idempotency-key", "once", "act")
        second = self.cluster.flare("-n", "1", "--param", "echo", "--idempotency-key", "once", "act")
        self.assertEqual(first, second)
        self.assert_ended(self.cluster, first, "SUCCEEDED", OK)

    def test_process_that_left_its_session_is_ended(self):
        flare_id = self.cluster.flare("-n", "4", "--param", "orphan", "act")
        self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)

    def test_daemons_keep_nothing_open(self):
        """Descriptors of daemons do not grow with the flares."""
        def descriptors():
            return {process.pid: process.fds() for process in [self.cluster.controller(), *self.cluster.agents()]}
        for _ in range(2):
            self.run_act("act", 16, "exchange 1000")
        settled = wait_for(lambda: (one := descriptors()) == descriptors() and one, "settled daemons")
        for _ in range(10):
            self.run_act("act", 16, "exchange 1000")
        # A leak would be one a flare at least; SQLite opens its file again now and then.
        wait_for(lambda: all(count < settled[pid] + 8 for pid, count in descriptors().items()),
                 f"no more descriptors than after two flares: {settled}", 5)

    def test_undeploy(self):
        self.cluster.deploy("gone", ACT)
        self.assertIn("gone", self.cluster.expect(OK, "definitions").out)
        self.cluster.expect(OK, "undeploy", "gone")
        self.assertNotIn("gone", self.cluster.expect(OK, "definitions").out)
        self.assert_message(self.cluster.covey("flare", "-n", "1", "gone"), BAD_INPUT, "gone")

    def test_same_code_is_the_same_version(self):
        first = self.cluster.deploy("twice", ACT, "--json").last()
        second = self.cluster.deploy("twice", ACT, "--json").last()
        other = self.cluster.deploy("twice", example("hello.so"), "--json").last()
        self.assertEqual([first["version"], second["version"], other["version"]], [1, 1, 2])


if __name__ == "__main__":
    unittest.main()
