#!/usr/bin/python3
"""Each fault point of base/fault.h, failing and killing: a flare never hangs, says why it failed, and leaves nothing.

The environment of `covey up` reaches every process; a point is passed only by the kind of process that has it. A daemon
that was killed is started again without the fault, as a supervisor would.
"""
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import (CANCELLED, ENDED, FAILED, LONG, OK, SLOWNESS, SOURCE, TIMED_OUT, UNREACHABLE, SystemTest, worker)

ACT = worker("act.so")
DEADLINE = LONG
CODES = {"SUCCEEDED": OK, "FAILED": FAILED, "TIMED_OUT": TIMED_OUT, "CANCELLED": CANCELLED}

# The pass that is hit where the first one is too early to be part of a flare.
NTH = {"journal_append": 4, "worker_claim": 3, "worker_publish": 3, "host_forward": 2}


def fault_points():
    with open(os.path.join(SOURCE, "base", "fault.h"), encoding="utf-8") as file:
        return re.findall(r'X\(\w+, "(\w+)"\)', file.read())


class Sweep(SystemTest):
    NODES = 0

    def sweep(self, prefix):
        points = [point for point in fault_points() if point.startswith(prefix)]
        self.assertTrue(points)
        for point in points:
            for action in ("fail", "kill"):
                with self.subTest(fault=f"{point}:{action}"):
                    self.one(f"{point}:{NTH.get(point, 1)}:{action}")

    def one(self, fault):
        cluster = self.own_cluster(2, 4, COVEY_FAULT=fault)
        try:
            # What was started is watched by the process, not by asking: the controller may be gone any time.
            daemons = [cluster.controller(), *cluster.agents()]
            done = cluster.covey("deploy", "--name", "act", ACT, seconds=DEADLINE)
            self.revive(cluster, daemons)
            if done.code != OK:
                self.assertTrue(done.err.strip(), f"no reason: {done}")
                cluster.wait_nodes()
                cluster.deploy("act", ACT)
            started = cluster.start("flare", "--detach", "--idempotency-key", "sweep", "-n", "8", "--param", "exchange 5000", "act")
            while started.poll() is None:
                self.revive(cluster, daemons)
                time.sleep(0.01)
            done = cluster.finish(started, DEADLINE)
            self.revive(cluster, daemons)
            if done.code != OK:
                self.assertTrue(done.err.strip(), f"no reason: {done}")
                cluster.wait_nodes()
                done = cluster.expect(OK, "flare", "--detach", "--idempotency-key", "sweep", "-n", "8", "--param", "exchange 5000", "act")
            self.assert_ends(cluster, daemons, done.out.strip(), fault)
        finally:
            cluster.close()

    def revive(self, cluster, daemons):
        for index, daemon in enumerate(daemons):
            if not daemon.alive():
                again = cluster.respawn(daemon, ["COVEY_FAULT"])
                daemons[index] = type(daemon)(again.pid)
                daemons[index].command = daemon.command

    def assert_ends(self, cluster, daemons, flare_id, fault):
        deadline = time.monotonic() + DEADLINE * SLOWNESS
        waiting = cluster.start("wait", "--json", flare_id)
        while (code := waiting.poll()) in (None, UNREACHABLE):
            if code == UNREACHABLE:  # it was asked between the controller's death and its return
                cluster.finish(waiting)
                waiting = cluster.start("wait", "--json", flare_id)
            self.revive(cluster, daemons)
            if time.monotonic() > deadline:
                waiting.kill()
                self.fail(f"{fault}: the flare hangs: {cluster.get(flare_id)}\n{cluster.describe()}")
            time.sleep(0.01)
        done = cluster.finish(waiting)
        flare = done.last()
        self.assertIn(flare["state"], ENDED)
        self.assertEqual(done.code, CODES[flare["state"]], str(done))
        if flare["state"] != "SUCCEEDED":
            self.assertEqual(flare["state"], "FAILED")
            self.assertGreater(len(flare["error"]["message"]), 10, flare)
            self.assertTrue(flare["error"]["status"], flare)
        self.assert_nothing_left(cluster, flare_id)

    def test_controller(self):
        self.sweep("journal_")
        self.sweep("controller_")

    def test_node(self):
        self.sweep("node_")

    def test_host(self):
        self.sweep("host_")

    def test_pack(self):
        self.sweep("pack_")

    def test_worker(self):
        self.sweep("worker_")

    def test_unknown_point_is_refused(self):
        sandbox = self.sandbox(COVEY_FAULT="no_such_point")
        done = sandbox.covey("up", "--nodes", "1", "--slots", "1")
        self.assertNotEqual(done.code, OK, str(done))
        self.assertRegex(done.err, "no_such_point")
        self.assert_quiet(sandbox)


if __name__ == "__main__":
    unittest.main()
