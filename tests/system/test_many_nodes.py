#!/usr/bin/python3
"""Many nodes on one machine, with nothing but defaults: every host connects to every other.

COVEY_TEST_NODES and COVEY_TEST_SLOTS make it larger: 200 and 4 are what is promised, and take two minutes on two cpus.
"""
import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import OK, SLOWNESS, SystemTest, worker

NODES = int(os.environ.get("COVEY_TEST_NODES", "16" if SLOWNESS > 1 else "70"))
SLOTS = int(os.environ.get("COVEY_TEST_SLOTS", "2"))
SECONDS = 240 + 2 * NODES


class ManyNodes(SystemTest):
    NODES = 0

    def test_all_hosts_connect_and_down_leaves_nothing(self):
        cluster = self.own_cluster(NODES, SLOTS, seconds=SECONDS)
        cluster.deploy("act", worker("act.so"))
        done = cluster.covey("flare", "--json", "-n", str(NODES * SLOTS), "--time-limit", f"{SECONDS}s", "--param", "mesh",
                             "act", seconds=SECONDS)
        flare = done.last()
        self.assertEqual((done.code, flare["state"]), (OK, "SUCCEEDED"), str(done))
        self.assertEqual(len({pack["node"] for pack in flare["packs"]}), NODES)
        self.assert_nothing_left(cluster, flare["id"], seconds=30)
        self.assert_code(cluster.covey("down", seconds=SECONDS), OK)
        self.assert_quiet(cluster)

    def test_ports_that_others_have_taken_are_in_nobodys_way(self):
        taken = []
        for port in range(8500, 8600):
            listener = socket.socket()
            self.addCleanup(listener.close)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
                taken.append(port)
            except OSError:
                pass  # somebody else has it, which is as good
        sandbox = self.sandbox()
        done = sandbox.covey("run", "-q", "-n", "4", "--param", "mesh", worker("act.so"))
        self.assert_code(done, OK)
        self.assert_quiet(sandbox)


if __name__ == "__main__":
    unittest.main()
