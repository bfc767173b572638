#!/usr/bin/python3
"""RDMA between two guests: verbs, the connection manager and UCX, each with the packet counters as the proof, and faults.

One pair of guests for everything; the power cut comes last, because of its name.
"""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import labtest  # noqa: E402

UCX_PAIR = os.path.join(labtest.BUILD, "tests", "rxe_ucx_pair")
UCX_RDMA = {"UCX_TLS": "rc_verbs", "UCX_SOCKADDR_TLS_PRIORITY": "rdmacm", "UCX_ERROR_SIGNALS": ""}
UCX_TCP = {"UCX_TLS": "tcp", "UCX_SOCKADDR_TLS_PRIORITY": "tcp", "UCX_ERROR_SIGNALS": ""}
# UCX gives up an unanswered packet after these, and sends one at least as often as that; its own defaults take 8 s and 20 s.
UCX_IMPATIENT = {**UCX_RDMA, "UCX_RC_VERBS_TIMEOUT": "200ms", "UCX_RC_VERBS_RETRY_COUNT": "3", "UCX_KEEPALIVE_INTERVAL": "500ms"}
DEVICE = ["-d", "rxe0"]
PERFTEST = [*DEVICE, "-x", "1", "-F"]
PERFTEST_PORT, PINGPONG_PORT, RPING_PORT, UCX_PORT = 18515, 18516, 7174, 5000

SEND_DATAGRAM = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('node1', 7000))"
AWAIT_DATAGRAM = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7000))
print('bound', flush=True)
s.settimeout(float(sys.argv[1]))
try:
    s.recvfrom(10)
    print('arrived')
except TimeoutError:
    print('nothing')
"""


class BetweenTwoGuests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.session = labtest.Session()
        cls.addClassCleanup(cls.session.end)
        print(cls.session.started.strip())

    def pair(self, server, client, port, kind="tcp", environment=None):
        """The server on node0, the client on node1 with the counters watched; what the client said."""
        process = self.session.start("0", *server, environment=environment)
        self.addCleanup(labtest.kill, process)
        waited = self.session.run("0", "lab-wait", kind, str(port))
        self.assertEqual(waited.returncode, 0, waited.stderr)
        done = self.session.run("1", "lab-proof", "--", *client, environment=environment)
        said = done.stdout + done.stderr
        if done.returncode == 0:
            status, server_said = labtest.ended(process)
            self.assertEqual(status, 0, server_said)
        return done.returncode, said

    def perftest(self, tool, *options):
        command = [tool, *PERFTEST, *options]
        status, said = self.pair(command, [*command, "node0"], PERFTEST_PORT)
        self.assertEqual(status, 0, said)
        row = re.search(r"^ *\d+ +\d+ +[\d.]+ +[\d.]+\s+[\d.]+", said, re.MULTILINE)
        self.assertTrue(row, said)
        print(f"\n{tool} {' '.join(options)}: {row.group(0).strip()}; packets {labtest.packets(said)}")

    def pingpong(self, tool, *options):
        command = [tool, *DEVICE, "-g", "1", "-p", str(PINGPONG_PORT), *options]
        status, said = self.pair(command, [*command, "node0"], PINGPONG_PORT)
        self.assertEqual(status, 0, said)

    def test_guest_is_set_up(self):
        wanted = {"rdma link": "state ACTIVE", "ulimit -l": "unlimited", "ibv_devinfo": r"active_mtu:\s+4096",
                  "cat /sys/class/net/eth0/mtu": "4500", "stat -f -c %T /sys/fs/cgroup": "cgroup2fs",
                  "cat /sys/class/infiniband/rxe0/ports/1/gids/1": "ffff:0a4d:0001",
                  "cat /sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma",
                  "unshare --user --map-root-user --net --pid --fork id -u": "0",
                  "hostname; echo $LAB_NODE $LAB_NODES $LAB_ADDRESS $LAB_PEERS": "node0\n0 2 10.77.0.1 10.77.0.2"}
        for command, pattern in wanted.items():
            done = self.session.run("0", "sh", "-c", command)
            self.assertRegex(done.stdout, pattern, f"{command}: {done.stderr}")

    def test_send(self):
        self.perftest("ib_send_lat", "-n", "200")

    def test_send_event(self):
        self.perftest("ib_send_lat", "-n", "200", "-e")

    def test_write(self):
        self.perftest("ib_write_lat", "-n", "200")

    def test_read(self):
        self.perftest("ib_read_bw", "-n", "100")

    def test_srq(self):
        self.pingpong("ibv_srq_pingpong", "-n", "100", "-q", "4")

    def test_pingpong_event(self):
        self.pingpong("ibv_rc_pingpong", "-n", "100", "-e")

    def test_rping(self):
        status, said = self.pair(["rping", "-s", "-a", "10.77.0.1", "-p", str(RPING_PORT), "-C", "20"],
                                 ["rping", "-c", "-a", "10.77.0.1", "-p", str(RPING_PORT), "-C", "20", "-v", "-V"],
                                 RPING_PORT, "rdma")
        self.assertEqual(status, 0, said)

    def ucx(self, environment, kind):
        return self.pair([UCX_PAIR, "server", str(UCX_PORT)], [UCX_PAIR, "client", "10.77.0.1", str(UCX_PORT), "echo", "200"],
                         UCX_PORT, kind, environment)

    def test_ucx_over_rdma(self):
        status, said = self.ucx(UCX_RDMA, "rdma")
        self.assertEqual(status, 0, said)
        self.assertIn("rc_verbs/rxe0:1", said)
        print(f"\nUCX rc_verbs: {said.splitlines()[0]}; packets {labtest.packets(said)}")

    def test_ucx_over_tcp_is_not_taken_for_rdma(self):
        status, said = self.ucx(UCX_TCP, "tcp")
        self.assertEqual(status, 1, said)
        self.assertIn("200 echoes", said)
        self.assertIn("this was not RDMA", said)
        self.assertEqual(labtest.packets(said), (0, 0))

    def datagram(self, seconds):
        """Whether one from node0 reaches node1 within so long."""
        receiver = self.session.start("1", "/usr/bin/python3", "-c", AWAIT_DATAGRAM, str(seconds))
        self.addCleanup(labtest.kill, receiver)
        self.assertEqual(receiver.stdout.readline(), "bound\n")
        sent = self.session.run("0", "/usr/bin/python3", "-c", SEND_DATAGRAM)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        return labtest.ended(receiver)[1].strip()

    def test_cut_and_mend(self):
        self.assertEqual(self.datagram(30), "arrived")
        self.assertEqual(self.session.ask("cut", "0", "1").returncode, 0)
        self.assertEqual(self.datagram(2), "nothing")
        carrier = self.session.run("0", "cat", "/sys/class/net/eth0/carrier")
        self.assertEqual(carrier.stdout, "1\n", "a partition looks like a far failure, not like a pulled cable")
        self.assertEqual(self.session.ask("mend", "0", "1").returncode, 0)
        self.assertEqual(self.datagram(30), "arrived")

    def test_exec(self):
        done = self.session.run("1", "sh", "-c", "echo out; echo err >&2; exit 5")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (5, "out\n", "err\n"))
        self.assertEqual(self.session.run("1", "no-such-program").returncode, 127)
        self.assertEqual(self.session.run("2", "true").returncode, 2)
        every = self.session.run("all", "sh", "-c", "lab-sync here && echo $LAB_NODE")
        self.assertEqual(sorted(every.stdout.splitlines()), ["node0 | 0", "node1 | 1"])
        data = os.urandom(2_000_000)
        echoed = labtest.subprocess.run(self.session.command("0", "cat"), input=data, capture_output=True, timeout=60, check=False)
        self.assertEqual(echoed.stdout, data)

    def test_zz_power_cut_is_seen_by_the_other(self):
        server = self.session.start("0", UCX_PAIR, "server", str(UCX_PORT), environment=UCX_IMPATIENT)
        self.addCleanup(labtest.kill, server)
        self.assertEqual(self.session.run("0", "lab-wait", "rdma", str(UCX_PORT)).returncode, 0)
        client = self.session.start("1", UCX_PAIR, "client", "10.77.0.1", str(UCX_PORT), "lose", "10", environment=UCX_IMPATIENT)
        self.addCleanup(labtest.kill, client)
        self.assertEqual(client.stdout.readline(), "connected\n")
        waits = self.session.start("1", "lab-sync", "both")
        self.addCleanup(labtest.kill, waits)
        self.assertEqual(self.session.ask("kill", "0").returncode, 0)
        status, said = labtest.ended(client)
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"lost after \d+ ms: ")
        print("\npower cut: " + said.strip())
        status, said = labtest.ended(server)
        self.assertEqual((status, said), (123, "lab: node0 was powered off\n"))
        self.assertEqual(labtest.ended(waits), (1, "lab-sync: both: node0 was powered off\n"))
        self.assertEqual(self.session.ask("status").stdout, "node0 was powered off\nnode1 ready\n")
        self.assertEqual(self.session.run("0", "true").returncode, 123)


if __name__ == "__main__":
    labtest.main()
