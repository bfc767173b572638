#!/usr/bin/python3
"""What users do to flares and clusters: cancel in each state, time limits, queueing, plans, draining, up and down."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import (BAD_INPUT, CANCELLED, OK, TIMED_OUT, UNPLACEABLE, UNREACHABLE, SystemTest, example, wait_for, worker)

ACT = worker("act.so")


class Control(SystemTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.deploy("act", ACT)
        cls.cluster.deploy("act-thread", ACT, "--worker", "thread")
        cls.cluster.deploy("stall", example("stall.so"))

    def begin(self, workers, act, *arguments, definition="act"):
        """A flare whose workers are all at work."""
        flare_id = self.cluster.flare("-n", str(workers), "--param", act, *arguments, definition)
        self.cluster.wait_logs(flare_id, "is at work", workers)
        return flare_id

    def cancel(self, flare_id, reason="enough"):
        self.cluster.expect(OK, "cancel", "--reason", reason, flare_id)

    def test_cancel_while_running(self):
        for act, definition in (("spin", "act"), ("stubborn", "act"), ("stubborn", "act-thread")):
            with self.subTest(act=act, definition=definition):
                flare_id = self.begin(16, act, definition=definition)
                self.cancel(flare_id)
                flare = self.assert_ended(self.cluster, flare_id, "CANCELLED", CANCELLED)
                self.assertIn("enough", flare["error"]["message"])
                self.assertEqual({worker["state"] for worker in flare["workers"]}, {"STOPPED"})

    def test_cancel_in_a_collective(self):
        flare_id = self.cluster.flare("-n", "16", "stall")
        self.cluster.wait_logs(flare_id, "is waiting", 16)
        self.cancel(flare_id)
        self.assert_ended(self.cluster, flare_id, "CANCELLED", CANCELLED)

    def test_reason_of_any_text_costs_its_flare_alone(self):
        """A reason that some buffer cut inside a character was refused on its way, again and again, and its node was gone."""
        epochs = {node["name"]: node["epoch"] for node in self.cluster.api.nodes()}
        bystander = self.begin(1, "spin")
        for reason in ("\u20ac" * 100, "x" + "\u20ac" * 300, "\U0001f426" * 100, "a\nb\x1b[31m\x9b31m", " blank "):
            with self.subTest(reason=reason[:8]):
                flare_id = self.begin(2, "spin")
                self.cancel(flare_id, reason)
                flare = self.assert_ended(self.cluster, flare_id, "CANCELLED", CANCELLED, 30)
                tame = re.sub("[\x00-\x1f\x7f-\x9f]", lambda found: "?" * len(found[0].encode()), reason)
                self.assertIn(tame[:20], flare["error"]["message"])
                shown = self.cluster.expect(OK, "explain", flare_id).out
                self.assertNotRegex(shown.rstrip("\n"), "[\x00-\x09\x0b-\x1f\x7f\x9b]")
        self.assertEqual(self.cluster.get(bystander)["state"], "RUNNING")
        self.cancel(bystander)
        self.assert_ended(self.cluster, bystander, "CANCELLED", CANCELLED, 30)
        self.assertEqual({node["name"]: node["epoch"] for node in self.cluster.api.nodes()}, epochs)

    def test_cancel_while_queued(self):
        first = self.begin(16, "spin")
        second = self.cluster.flare("-n", "4", "--param", "echo", "act")
        flare = self.cluster.wait_state(second, "QUEUED")
        self.assertTrue(flare["pending_reason"])
        why = self.cluster.expect(OK, "explain", "--json", second).last()
        self.assertEqual((why["flare"]["id"], why["nodes"]["up"]), (second, 2))
        self.assertIn("4 workers", why["reasons"][0]["message"])
        self.assertRegex(self.cluster.expect(OK, "explain", first).out, "^it runs on node-[12], node-[12]: 16 workers in 2 packs")
        self.cancel(second)
        flare = self.assert_ended(self.cluster, second, "CANCELLED", CANCELLED)
        self.assertEqual(flare["packs"], [])
        self.assertEqual(self.cluster.get(first)["state"], "RUNNING")
        self.cancel(first)
        self.assert_ended(self.cluster, first, "CANCELLED", CANCELLED)

    def test_cancel_while_preparing(self):
        cluster = self.own_cluster(COVEY_FAULT="pack_load:1:stop")
        cluster.deploy("act", ACT)
        flare_id = cluster.flare("-n", "16", "--param", "echo", "act")
        cluster.wait_state(flare_id, "PREPARING")
        wait_for(lambda: len(cluster.packs(flare_id)) == 2, "both packs, which stand still")
        cluster.expect(OK, "cancel", flare_id)
        self.assert_ended(cluster, flare_id, "CANCELLED", CANCELLED)

    def test_cancel_what_has_ended_changes_nothing(self):
        flare_id = self.cluster.flare("-n", "2", "--param", "echo", "act")
        before = self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
        self.cancel(flare_id)
        after, code = self.cluster.wait(flare_id)
        self.assertEqual((after, code), (before, OK))

    def test_time_limit(self):
        for act in ("spin", "stubborn"):
            with self.subTest(act=act):
                flare_id = self.cluster.flare("-n", "16", "--param", act, "--time-limit", "300ms", "act")
                flare = self.assert_ended(self.cluster, flare_id, "TIMED_OUT", TIMED_OUT)
                self.assertRegex(flare["error"]["message"], "limit")

    def test_queue_goes_on_when_there_is_room(self):
        first = self.begin(16, "spin")
        waiting = [self.cluster.flare("-n", "9", "--param", "exchange 10", "act") for _ in range(3)]
        self.cluster.wait_state(waiting[-1], "QUEUED")
        self.assertEqual([self.cluster.get(flare_id)["queue_position"] for flare_id in waiting], [0, 1, 2])
        self.cancel(first)
        self.assert_ended(self.cluster, first, "CANCELLED", CANCELLED)
        flares = [self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK) for flare_id in waiting]
        placed = [flare["timeline"]["placed_at"] for flare in flares]
        self.assertEqual(placed, sorted(placed), "first come, first served")

    def test_never_fits(self):
        for command in (["flare", "-n", "17", "act"], ["run", "-n", "17", ACT],
                        ["flare", "-n", "9", "--placement", "strict-pack", "act"]):
            with self.subTest(command=command):
                done = self.cluster.covey(*command)
                self.assert_message(done, UNPLACEABLE, r"\b(8|16)\b")
        self.assertNotIn("QUEUED", self.cluster.expect(OK, "ps").out)

    def test_plan_is_what_happens(self):
        for workers, options in ((16, []), (6, ["--placement", "spread"]), (8, ["--packing", "homogeneous", "--granularity", "2"])):
            with self.subTest(workers=workers, options=options):
                plan = self.cluster.expect(OK, "plan", "--json", "-n", str(workers), *options, "act").last()
                flare_id = self.cluster.flare("-n", str(workers), "--param", "echo", *options, "act")
                flare = self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
                self.assertTrue(plan["placeable"])
                self.assertEqual(plan["packs"], flare["packs"])
        done = self.cluster.covey("plan", "--json", "-n", "17", "act")
        self.assert_code(done, UNPLACEABLE)
        self.assertTrue(done.last()["impossible"], str(done))

    def test_drained_node_takes_nothing(self):
        name = self.cluster.api.nodes()[0]["name"]
        self.addCleanup(self.cluster.api.drain, name, False)
        running = self.begin(16, "spin")
        large = self.cluster.flare("-n", "9", "--param", "echo", "act")
        self.assertEqual(self.cluster.api.drain(name, True, "new disk")["state"], "DRAINING")
        self.assertEqual(self.cluster.get(running)["state"], "RUNNING", "what runs on a drained node goes on")
        self.cancel(running)
        self.assert_ended(self.cluster, running, "CANCELLED", CANCELLED)
        small = self.cluster.flare("-n", "8", "--param", "echo", "act")
        flare = self.assert_ended(self.cluster, small, "SUCCEEDED", OK)
        self.assertNotIn(name, {pack["node"] for pack in flare["packs"]})
        flare = self.cluster.wait_state(large, "QUEUED")
        self.assertIn("drain", flare["pending_reason"])
        later = self.cluster.flare("-n", "9", "--param", "echo", "act")
        self.assertRegex(self.cluster.expect(OK, "explain", later).out,
                         r"^waits: 9 workers need 9 slots, the only node that is up has 8.*draining.*waits for nodes\n")
        self.cluster.api.drain(name, False)
        self.assert_ended(self.cluster, large, "SUCCEEDED", OK)
        self.assert_ended(self.cluster, later, "SUCCEEDED", OK)

    def test_waits_for_nodes(self):
        """What is larger than all known nodes is refused, or queued where that is asked for."""
        self.assert_message(self.cluster.covey("flare", "-n", "64", "act"), UNPLACEABLE, r"64 slots, all known nodes have 16 together")
        waiting = self.cluster.flare("-n", "64", "--wait-for-nodes", "--param", "echo", "act")
        self.assertRegex(self.cluster.expect(OK, "explain", waiting).out,
                         r"^waits: 64 workers need 64 slots, all known nodes have 16 together: at most 16 workers fit; waits for nodes\n"
                         r"(.*\n)*no estimate of its start: it waits for nodes\n")
        small = self.cluster.flare("-n", "16", "--param", "echo", "act")
        self.assert_ended(self.cluster, small, "SUCCEEDED", OK)
        self.cluster.expect(OK, "cancel", waiting)

    def test_drain_with_a_deadline(self):
        """What runs on the node has to leave: with restarts it starts elsewhere, without it is cancelled."""
        name = self.cluster.api.nodes()[0]["name"]
        self.addCleanup(self.cluster.api.drain, name, False)
        cancelled = self.begin(4, "spin", "--placement", "spread")
        moved = self.begin(4, "spin", "--placement", "spread", "--max-restarts", "1")
        done = self.cluster.expect(OK, "drain", name, "--deadline", "300ms", "--reason", "new disk", "--wait")
        self.assertRegex(done.out, rf"{name} draining: new disk; 0 flares left")
        flare = self.assert_ended(self.cluster, cancelled, "CANCELLED", CANCELLED)
        self.assertRegex(flare["error"]["message"], rf"{name} is drained \(new disk\)")
        self.cluster.wait_logs(moved, "is at work", 8)
        flare = self.cluster.wait_state(moved, "RUNNING")
        self.assertEqual((flare["restarts"], {pack["node"] == name for pack in flare["packs"]}), (1, {False}))
        self.cancel(moved)
        self.assertRegex(self.cluster.expect(OK, "nodes").out, rf"{name} +draining.*drained: new disk, until ")
        self.assert_message(self.cluster.covey("undrain", "nobody"), BAD_INPUT, "no node is named 'nobody': there are node-1, node-2")
        self.assertRegex(self.cluster.expect(OK, "undrain", name).out, rf"^{name} up$")

    def test_preemption(self):
        """A flare of higher priority gets its room; the one that made it starts again afterwards."""
        cluster = self.own_cluster(COVEY_PREEMPTION="1", COVEY_PREEMPT_GRACE="300ms")
        cluster.deploy("act", ACT)
        low = cluster.flare("-n", "16", "--preemptible", "--max-restarts", "1", "--param", "spin", "act")
        cluster.wait_logs(low, "is at work", 16)
        high = cluster.flare("-n", "16", "--priority", "5", "--param", "echo", "act")
        self.assert_ended(cluster, high, "SUCCEEDED", OK)
        cluster.wait_logs(low, "is at work", 32)
        flare = cluster.wait_state(low, "RUNNING")
        self.assertEqual((flare["attempt"], flare["restarts"]), (2, 1))
        waiting = cluster.flare("-n", "1", "--time-limit", "10s", "--param", "echo", "act")
        self.assertRegex(cluster.expect(OK, "explain", waiting).out, "^waits: .*\n(.*\n)*no estimate of its start: .*has no time limit")
        cluster.expect(OK, "cancel", low)
        self.assert_ended(cluster, waiting, "SUCCEEDED", OK)

    def test_workers_are_bound_to_cpus_of_their_own(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("this machine has one cpu")
        for definition in ("act", "act-thread"):
            with self.subTest(definition=definition):
                flare_id = self.cluster.flare("-n", "2", "--cpus", "1", "--placement", "strict-pack", "--param", "cpus", definition)
                flare = self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)
                bound = [line["text"].split("bound to ")[1] for line in self.cluster.logs(flare_id) if "bound to" in line["text"]]
                self.assertEqual(sorted(bound), [str(cpu) for cpu in cpus[:2]])
                self.assertEqual(sorted(flare["packs"][0]["cpus"]), cpus[:2])

    def test_nodes_of_one_machine_give_out_its_cpus_once(self):
        cpus = len(os.sched_getaffinity(0))
        cluster = self.own_cluster()
        cluster.deploy("act", ACT)
        held = [cluster.flare("-n", "1", "--cpus", "1", "--param", "until cpus", "act") for _ in range(cpus)]
        for flare_id in held:
            cluster.wait_state(flare_id, "RUNNING")
        bound = [cpu for flare_id in held for pack in cluster.get(flare_id)["packs"] for cpu in pack["cpus"]]
        self.assertEqual(sorted(bound), sorted(os.sched_getaffinity(0)))
        waiting = cluster.flare("-n", "1", "--cpus", "1", "--param", "echo", "act")
        self.assertRegex(cluster.expect(OK, "explain", waiting).out, "1 worker needs 1 cpu, 0 are free now")
        for node in cluster.expect(OK, "nodes", "--json").objects():
            self.assertEqual((node["machine_nodes"], node["machine_milli_cpus"], node["machine_milli_cpus_used"]),
                             (2, 1000 * cpus, 1000 * cpus))
        for verb in ("nodes", "status"):
            self.assertRegex(cluster.expect(OK, verb).out, f"one machine: together they have .* and {cpus} cpus? .{cpus} used.")
        self.assert_message(cluster.covey("flare", "-n", str(cpus + 1), "--cpus", "1", "act"), UNPLACEABLE,
                            f"{cpus + 1} workers need {cpus + 1} cpus, .* {cpus} together")
        cluster.expect(OK, "cancel", held[0])
        self.assert_ended(cluster, waiting, "SUCCEEDED", OK)

    def test_labels_taints_and_resources(self):
        cluster = self.own_cluster(arguments=("--label", "disk=ssd", "--racks", "2"))
        cluster.deploy("act", ACT)
        labels = [node["capacity"]["labels"] for node in cluster.expect(OK, "nodes", "--json").objects()]
        self.assertEqual(labels, [{"disk": "ssd", "rack": "r0"}, {"disk": "ssd", "rack": "r1"}])
        self.assertRegex(cluster.expect(OK, "nodes").out, "node-2 .*labels: .*rack=r1")
        flare_id = cluster.flare("-n", "2", "--select", "rack=r1", "--select", "disk", "--param", "echo", "act")
        flare = self.assert_ended(cluster, flare_id, "SUCCEEDED", OK)
        self.assertEqual({pack["node"] for pack in flare["packs"]}, {"node-2"})
        plan = cluster.expect(OK, "plan", "--json", "-n", "10", "act").last()
        self.assertEqual([(level["level"], int(level["crossing_pairs"])) for level in plan["cost"]["levels"]][:2],
                         [("rack", 32), ("node", 32)])
        self.assertIn("of 45 pairs of workers 16 are in different places by rack, 16 are on different nodes", cluster.expect(OK, "plan", "-n", "10", "act").out)
        for arguments, code, pattern in ((("--select", "rack=r1", "-n", "9"), UNPLACEABLE, "9 workers"),
                                         (("--select", "a b"), BAD_INPUT, "'a b' is no selector: write key=value"),
                                         (("--tolerate", "=x"), BAD_INPUT, "'=x' is no toleration"),
                                         (("--resource", "fpga=1"), UNPLACEABLE, "no node has the resource 'fpga'"),
                                         (("--gpus", "1"), UNPLACEABLE, "1 worker needs 1")):
            with self.subTest(arguments=arguments):
                self.assert_message(cluster.covey("flare", *arguments, "act"), code, pattern)

    def test_nodes_and_ps(self):
        self.assertEqual([(node["state"], node["slots_used"], node["capacity"]["slots"])
                          for node in self.cluster.expect(OK, "nodes", "--json").objects()], [("UP", 0, 8)] * 2)
        flare_id = self.begin(9, "spin")
        self.assertEqual(sorted(node["slots_used"] for node in self.cluster.expect(OK, "nodes", "--json").objects()), [1, 8])
        self.assertIn(flare_id, {flare["id"] for flare in self.cluster.expect(OK, "ps", "--json").objects()})
        self.cancel(flare_id)
        self.assert_ended(self.cluster, flare_id, "CANCELLED", CANCELLED)
        self.assertEqual({node["slots_used"] for node in self.cluster.expect(OK, "nodes", "--json").objects()}, {0})


class UpAndDown(SystemTest):
    NODES = 0

    def test_up_status_down(self):
        cluster = self.own_cluster(3, 2)
        self.assertEqual(len(cluster.expect(OK, "nodes", "--json").objects()), 3)
        self.assertEqual((len(cluster.processes("coveyd")), len(cluster.agents())), (1, 3))
        cluster.expect(OK, "status")
        done = cluster.covey("up")
        self.assert_message(done, BAD_INPUT, "(?i)already|up")
        cluster.expect(OK, "down")
        self.assert_quiet(cluster, 1)
        self.assertEqual(cluster.covey("nodes").code, UNREACHABLE)

    def test_down_ends_daemons_that_were_started_again(self):
        """By hand, under the folders of the same covey up: they are found by the locks of their state folders."""
        cluster = self.own_cluster(2, 4)
        daemons = [*cluster.agents(), cluster.controller()]
        for daemon in daemons:
            cluster.kill(daemon)
        for daemon in daemons:
            cluster.respawn(daemon)
        cluster.wait_nodes()
        self.assert_message(cluster.covey("up"), BAD_INPUT, "running already")
        cluster.expect(OK, "down")
        self.assert_quiet(cluster)

    def test_down_ends_what_runs(self):
        cluster = self.own_cluster(2, 4)
        cluster.deploy("act", ACT)
        flare_id = cluster.flare("-n", "8", "--param", "stubborn", "act")
        cluster.wait_logs(flare_id, "is at work", 8)
        cluster.expect(OK, "down")
        self.assert_quiet(cluster, 1)
        self.assert_nothing_left(cluster, flare_id)

    def test_state_survives_down_and_up(self):
        cluster = self.own_cluster(2, 4)
        cluster.deploy("act", ACT)
        flare_id = cluster.flare("-n", "8", "--param", "echo", "act")
        before = self.assert_ended(cluster, flare_id, "SUCCEEDED", OK)
        cluster.expect(OK, "down")
        cluster.expect(OK, "up", "--nodes", "2", "--slots", "4")
        after, code = cluster.wait(flare_id)
        self.assertEqual((after, code), (before, OK))
        second = cluster.flare("-n", "8", "--param", "echo", "act")
        self.assert_ended(cluster, second, "SUCCEEDED", OK)


if __name__ == "__main__":
    unittest.main()
