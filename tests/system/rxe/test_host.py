#!/usr/bin/python3
"""setup, verify and teardown on a machine of their own: a guest, in which they can change what they like."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import labtest  # noqa: E402

SCRIPTS = os.path.join(labtest.SOURCE, "soft-roce-setup")
UCX_PAIR = os.path.join(labtest.BUILD, "tests", "rxe_ucx_pair")
VERIFY = ["verify", "--ucx-program", UCX_PAIR]
# What a machine is like before and has to be like after: links, their states and sizes, modules, notes of setup.
STATE = "ip -brief link show eth0; cat /sys/class/net/eth0/mtu; rdma link; lsmod | grep -c rdma_rxe; ls -A /run/covey/soft-roce"


class OnAHost(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.session = labtest.Session("--guests", "1")
        cls.addClassCleanup(cls.session.end)

    def setUp(self):
        """As a machine is that knows nothing of rxe, with its network down."""
        self.shell("mkdir -p /run/covey/soft-roce; rm -f /run/covey/soft-roce/*; rdma link delete rxe0; modprobe -r rdma_rxe;"
                   "ip link set eth0 down mtu 1500")
        self.before = self.shell(STATE)
        self.assertIn("DOWN", self.before)

    def shell(self, text):
        return self.session.run("0", "sh", "-c", text).stdout

    def script(self, name, *arguments, status=0):
        done = self.session.run("0", os.path.join(SCRIPTS, name), *arguments)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, said)
        if status == 1:
            self.assertIn("remedy: ", said)
        return said

    def test_set_up_verify_and_tear_down(self):
        self.assertIn("nothing was changed", self.script("setup", "--dry-run", "--mtu", "4500", "eth0"))
        self.assertEqual(self.shell(STATE), self.before)
        said = self.script("setup", "--mtu", "4500", "eth0")
        self.assertIn("RoCE MTU 4096", said)
        self.assertIn("runs: rdma link add", said)
        again = self.script("setup", "--mtu", "4500", "eth0")
        self.assertIn("nothing to do", again)
        self.assertNotIn("runs:", again)
        said = self.script(*VERIFY)
        for tried in ("ibv_rc_pingpong", "rping", "UCX"):
            self.assertRegex(said, rf"verify: {tried}: ok; packets over rxe0: [1-9]\d+ sent, [1-9]\d+ received")
        self.script("teardown", "--dry-run")
        self.assertIn("rxe0/1 state ACTIVE", self.shell("rdma link"))
        self.script("teardown")
        self.assertEqual(self.shell(STATE), self.before)
        self.assertIn("nothing to do", self.script("teardown"))

    def test_changed_in_two_steps_the_first_state_comes_back(self):
        self.assertIn("RoCE MTU 1024", self.script("setup", "eth0"))
        self.assertIn("RoCE MTU 4096", self.script("setup", "--mtu", "4500", "eth0"))
        self.script("teardown")
        self.assertEqual(self.shell(STATE), self.before)

    def test_what_setup_refuses(self):
        for arguments, named in [(["lo"], "lo"), (["eth7"], "eth7"), (["--mtu", "99999", "eth0"], "MTU of 99999")]:
            self.assertIn(named, self.script("setup", *arguments, status=1))
        self.shell("ip address flush dev eth0")
        self.assertIn("no IPv4 address", self.script("setup", "eth0", status=1))
        self.shell("ip address add 10.77.0.1/24 dev eth0")
        self.script("setup", "eth0")
        self.assertIn("carries the RDMA device rxe0", self.script("setup", "--name", "rxe1", "eth0", status=1))
        self.script("teardown")

    def test_what_others_added_is_left_alone(self):
        self.shell("modprobe rdma_rxe; ip link set eth0 up; rdma link add rxe0 type rxe netdev eth0")
        self.assertIn("not added by", self.script("teardown", status=1))
        self.assertIn("rxe0/1", self.shell("rdma link"))

    def test_verify_needs_a_device(self):
        self.assertIn("no RDMA device rxe0", self.script(*VERIFY, status=1))

    def test_firewall_and_memlock_are_told(self):
        self.shell("nft add table inet filter; nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'")
        done = self.session.run("0", "sh", "-c", f"ulimit -l 64; nft list ruleset >/dev/null && echo rules; {SCRIPTS}/setup --dry-run eth0")
        self.shell("nft delete table inet filter")
        self.assertIn("limits.d", done.stderr)
        if "rules" in done.stdout:
            self.assertIn("4791", done.stderr)


if __name__ == "__main__":
    labtest.main()
