#!/usr/bin/python3
"""kill -9 of each kind of process in the middle of a flare: who is told, how soon, how it ends, and that nothing is left."""
import contextlib
import fcntl
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import FAILED, OK, SLOWNESS, UNPLACEABLE, Process, SystemTest, example, files_below, only, wait_for, worker

ACT = worker("act.so")
WORKERS = 16
STALLED = WORKERS - 1  # the rank that never joins the all-to-all of the example
SAME_NODE_SECONDS, OTHER_NODE_SECONDS = 0.1 * SLOWNESS, 2.0 * SLOWNESS  # of a machine at rest


class Deaths(SystemTest):
    """Each test has a flare in which all workers but the last wait in an all-to-all, on two nodes."""

    def setUp(self):
        self.cluster = self.own_cluster()
        self.cluster.deploy("stall", example("stall.so"))
        self.flare_id = self.cluster.flare("-n", str(WORKERS), "stall")
        self.cluster.wait_logs(self.flare_id, "is waiting", WORKERS)
        self.flare = self.cluster.wait_state(self.flare_id, "RUNNING")
        self.node_of = {worker["rank"]: worker["node"] for worker in self.flare["workers"]}
        self.pid_of = {worker["rank"]: worker["pid"] for worker in self.flare["workers"]}
        self.assertEqual(len(set(self.node_of.values())), 2)

    def assert_told(self, killed_at, node, dead=(), silent=()):
        """Every worker that waits has EPEER in time, as its log says; returns the texts."""
        expected = set(range(WORKERS)) - {STALLED} - set(dead) - set(silent)
        lines = self.cluster.wait_logs(self.flare_id, " got ", len(expected))
        late, texts = [], {}
        for line in lines:
            rank = line["rank"]
            self.assertIn("got EPEER", line["text"])
            limit = SAME_NODE_SECONDS if self.node_of[rank] == node else OTHER_NODE_SECONDS
            if (took := killed_at.until(line["at"])) > limit:
                late.append(f"rank {rank}: {took:.3f} s, at most {limit} s")
            texts[rank] = line["text"]
        self.assertEqual(set(texts), expected)
        self.assertEqual(late, [])
        return texts

    def test_worker(self):
        victim = 3
        at = self.cluster.kill(Process(self.pid_of[victim]))
        texts = self.assert_told(at, self.node_of[victim], {victim})
        for rank, text in texts.items():
            self.assertRegex(text, rf"\brank {victim}\b")
            if self.node_of[rank] == self.node_of[victim]:
                self.assertRegex(text, "signal 9|SIGKILL|killed")
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual((flare["error"]["rank"], flare["error"]["signal"], flare["error"]["node"]),
                         (victim, 9, self.node_of[victim]))
        self.assertRegex(flare["error"]["message"], rf"{victim}\b.*(signal 9|SIGKILL|killed)")
        states = {worker["rank"]: worker["state"] for worker in flare["workers"]}
        self.assertEqual((states[victim], states[STALLED]), ("FAILED", "STOPPED"))

    def test_worker_that_nobody_waits_for_yet(self):
        at = self.cluster.kill(Process(self.pid_of[STALLED]))
        self.assert_told(at, self.node_of[STALLED])
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual((flare["error"]["rank"], flare["error"]["signal"]), (STALLED, 9))

    def host_of(self, node):
        return only(host for host in self.cluster.hosts(self.flare_id) if self.node_name(host) == node)

    def node_name(self, process):
        """The node whose workers have the same agent above them as the process."""
        agent = self.cluster.agent_of(process).pid
        return only({self.node_of[rank] for rank, pid in self.pid_of.items()
                     if self.cluster.agent_of(Process(pid)).pid == agent})

    def test_host(self):
        node = self.node_of[0]
        at = self.cluster.kill(self.host_of(node))
        self.assert_told(at, node)
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual(flare["error"]["node"], node)
        self.assertRegex(flare["error"]["message"], "(?i)host.*(signal 9|SIGKILL|killed)")

    def test_pack(self):
        node = self.node_of[0]
        dead = {rank for rank in self.node_of if self.node_of[rank] == node}
        pack = next(pack for pack in self.cluster.packs(self.flare_id) if self.node_name(pack) == node)
        at = self.cluster.kill(pack)
        self.assert_told(at, node, dead)
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual(flare["error"]["node"], node)

    def test_node(self):
        """A node's death is the death of its agent and of its hosts."""
        node = self.node_of[0]
        host = self.host_of(node)
        dead = {rank for rank in self.node_of if self.node_of[rank] == node}
        agent = self.cluster.agent_of(host)
        at = self.cluster.kill(agent)
        self.cluster.kill(host)
        self.assert_told(at, node, dead)
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual(flare["error"]["node"], node)

    def test_agent_that_does_not_come_back(self):
        node = self.node_of[0]
        agent = self.cluster.agent_of(self.host_of(node))
        self.cluster.kill(agent)
        flare = self.assert_ended(self.cluster, self.flare_id, "FAILED", FAILED)
        self.assertEqual(flare["error"]["node"], node)


class Restarts(SystemTest):
    """A daemon is killed and started again under a flare that can end well: the flare does not notice."""

    def setUp(self):
        self.cluster = self.own_cluster()
        self.cluster.deploy("act", ACT)
        self.file = os.path.join(self.cluster.folder, "go")
        self.flare_id = self.cluster.flare("-n", "8", "--placement", "spread", "--param", f"until {self.file}", "act")
        self.cluster.wait_logs(self.flare_id, "is at work", 8)
        self.flare = self.cluster.wait_state(self.flare_id, "RUNNING")
        self.pids = [worker["pid"] for worker in self.flare["workers"]]
        self.workers = [Process(pid) for pid in self.pids]

    def assert_goes_on(self):
        """All nodes are up, the flare runs with the same processes, and ends well."""
        self.cluster.wait_nodes()
        flare = self.cluster.get(self.flare_id)
        self.assertEqual(flare["state"], "RUNNING")
        self.assertEqual([worker["pid"] for worker in flare["workers"]], self.pids)
        self.assertTrue(all(worker.alive() for worker in self.workers))
        with open(self.file, "w", encoding="utf-8"):
            pass
        flare = self.assert_ended(self.cluster, self.flare_id, "SUCCEEDED", OK)
        self.assertEqual([worker["pid"] for worker in flare["workers"]], self.pids)
        self.assertEqual({int(worker["result_bytes"]) for worker in flare["workers"]}, {8})
        second = self.cluster.flare("-n", "16", "--param", "exchange 1000", "act")
        self.assert_ended(self.cluster, second, "SUCCEEDED", OK)

    def test_agent(self):
        agent = self.cluster.agents()[0]
        self.cluster.kill(agent)
        self.cluster.respawn(agent)
        self.assert_goes_on()

    def test_all_agents(self):
        agents = self.cluster.agents()
        for agent in agents:
            self.cluster.kill(agent)
        for agent in agents:
            self.cluster.respawn(agent)
        self.assert_goes_on()

    def test_controller(self):
        controller = self.cluster.controller()
        self.cluster.kill(controller)
        self.cluster.respawn(controller)
        self.assert_goes_on()

    def test_before_those_that_were_killed_are_gone(self):
        """Their locks are held for a while yet, as by a thread that is not back from the disk."""
        killed = [self.cluster.controller(), *self.cluster.agents()]
        for process in killed:
            self.cluster.kill(process)
        locks = [path for path in files_below(self.cluster.state) if os.path.basename(path) == "lock"]
        self.assertEqual(len(locks), len(killed))
        with contextlib.ExitStack() as held:
            for path in locks:
                fcntl.flock(held.enter_context(open(path, "rb")), fcntl.LOCK_EX)
            again = [self.cluster.respawn(process) for process in killed]
            time.sleep(0.5)  # time enough to give up at once, which none may do
            self.assertEqual([process.poll() for process in again], [None] * len(killed))
        self.assert_goes_on()

    def test_controller_before_its_agents_are_back(self):
        """A flare that comes meanwhile is queued: its nodes are known, and may come back."""
        agents = self.cluster.agents()
        controller = self.cluster.controller()
        for process in (*agents, controller):
            self.cluster.kill(process)
        self.cluster.respawn(controller)
        wait_for(lambda: self.cluster.covey("nodes").code == OK, "the controller")
        early = self.cluster.flare("-n", "16", "--param", "exchange 10", "act")
        self.assertEqual(self.cluster.expect(OK, "ps", "--json", early).last()["state"], "QUEUED")
        self.assert_message(self.cluster.covey("flare", "-n", "17", "act"), UNPLACEABLE, "17 slots, all known nodes have 16 together")
        for agent in agents:
            self.cluster.respawn(agent)
        self.assert_goes_on()
        self.assert_ended(self.cluster, early, "SUCCEEDED", OK)

    def test_controller_while_a_flare_ends(self):
        """What happens while there is no controller is told when there is one again."""
        controller = self.cluster.controller()
        self.cluster.kill(controller)
        with open(self.file, "w", encoding="utf-8"):
            pass
        wait_for(lambda: not any(worker.alive() for worker in self.workers), "the end of the workers")
        self.cluster.respawn(controller)
        self.cluster.wait_nodes()
        flare = self.assert_ended(self.cluster, self.flare_id, "SUCCEEDED", OK)
        self.assertEqual({int(worker["result_bytes"]) for worker in flare["workers"]}, {8})

    def test_waiting_flare_outlives_the_controller(self):
        queued = self.cluster.flare("-n", "16", "--param", "exchange 10", "act")
        self.cluster.wait_state(queued, "QUEUED")
        waiting = self.cluster.start("watch", "--json", queued)
        self.assertTrue(waiting.stdout.readline(), "the first event says that it is attached")
        controller = self.cluster.controller()
        self.cluster.kill(controller)
        self.cluster.respawn(controller)
        self.assert_goes_on()
        done = self.cluster.finish(waiting)
        self.assertEqual((done.code, done.last()["state"]), (OK, "SUCCEEDED"), str(done))
        self.assert_nothing_left(self.cluster, queued)


class LostNode(SystemTest):
    """A flare with restarts left outlives the node under it."""

    def test_flare_runs_again_on_the_other_node(self):
        cluster = self.own_cluster()
        cluster.deploy("act", ACT)
        go = os.path.join(cluster.folder, "go")
        flare_id = cluster.flare("-n", "8", "--placement", "spread", "--max-restarts", "1", "--param", f"until {go}", "act")
        cluster.wait_logs(flare_id, "is at work", 8)
        flare = cluster.wait_state(flare_id, "RUNNING")
        dead = flare["packs"][0]["node"]
        pid = flare["workers"][0]["pid"]
        agent = cluster.agent_of(Process(pid))
        hosts = [host for host in cluster.hosts(flare_id) if cluster.agent_of(host).pid == agent.pid]
        cluster.kill(agent)
        for host in hosts:
            cluster.kill(host)
        cluster.wait_logs(flare_id, "is at work", 16)
        flare = cluster.wait_state(flare_id, "RUNNING")
        self.assertEqual((flare["attempt"], flare["restarts"]), (2, 1))
        self.assertNotIn(dead, {pack["node"] for pack in flare["packs"]})
        with open(go, "w", encoding="utf-8"):
            pass
        flare = self.assert_ended(cluster, flare_id, "SUCCEEDED", OK)
        self.assertEqual({int(worker["result_bytes"]) for worker in flare["workers"]}, {8})
        self.assertIn("restarting", {event["type"] for event in cluster.watch(flare_id) if "type" in event})


if __name__ == "__main__":
    unittest.main()
