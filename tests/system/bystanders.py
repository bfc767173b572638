#!/usr/bin/python3
"""Who does not receive stops those who send to it, and nobody else: round trips of bystanders, alone and beside a disturbance.

    COVEY_BUILD_DIR=build/release COVEY_SOURCE_DIR=. tests/system/bystanders.py [--rounds 7] [--trips 3000] [KIND...]

A flare of five workers on each of three nodes: a pair on one node and a pair on two measure their round trips, in turns; others send
to a receiver that does not receive, or to a node that is stopped, as many messages of all sizes as they may. Turns alone and turns
beside the disturbance take each other's place, so that whatever else the machine does meets both. A line of the table has the medians
over the rounds of a turn's median and mean (in which a stall shows) and the longest trip of all. The status is 1 where one beside the
disturbance is more than --most times (3) the one alone.

In the kind "cut" each node has a network namespace of its own, and a bridge between them drops what goes to and from one node. It
needs root; where that is not to be had it is left out, with a word.
"""
import argparse
import mmap
import os
import signal
import statistics
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
from covey_system import Cluster, Process, Sandbox, program, wait_for, worker  # noqa: E402

NODES, ROLES = 3, 5
FLOODER, SINK = 3, 4
OTHER = 2  # the node that is stopped or cut off
NEAR_PAIR, FAR_PAIR = 1, 2
NEAR_SINK, FAR_SINK, OTHER_NODE, FULL_ARENA = range(4)
GOAL = 3
IP = "/usr/sbin/ip"
CUT_BRIDGE, CUT_NETWORK = "covey-cut", "10.213.86"

# As in worker/bystand.c: 32-bit words, then the times.
TURN, PAIR, TRIPS, LENGTH, TURN_DONE, OVER, RAID, ATTACK, LASTS, READY, ENDED = (*range(9), 9, 73)
TIMES, TRIPS_MOST = 552, 1 << 16


class Board:
    """What the workers map, too; see struct board in worker/bystand.c."""

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(TIMES + 8 * TRIPS_MOST)
            self.map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self.map)[:TIMES].cast("I")

    def turn(self, pair, trips, length):
        """One turn of a pair: how long each trip took, in microseconds."""
        self.words[PAIR], self.words[TRIPS], self.words[LENGTH] = pair, trips, length
        self.words[TURN] += 1
        wait_for(lambda: self.words[TURN_DONE] == self.words[TURN], f"the end of {trips} trips of pair {pair}", 60)
        return [ns / 1000 for ns in struct.unpack_from(f"{trips}Q", self.map, TIMES)]

    def raid(self, attack, absent=()):
        """Begins one: returns when all but those ranks have done their part."""
        self.words[ATTACK], self.words[LASTS] = attack, 1
        self.words[RAID] += 1
        self.wait(READY, "the attack", absent)

    def end_raid(self):
        self.words[LASTS] = 0
        self.wait(ENDED, "the end of the attack")

    def wait(self, where, what, absent=()):
        ranks = {node * ROLES + role for node in range(NODES) for role in (FLOODER, SINK)} - set(absent)
        wait_for(lambda: all(self.words[where + rank] == self.words[RAID] for rank in ranks), what, 60)


def can_cut():
    """In a namespace that ends with the command."""
    if os.geteuid() != 0 or not os.path.exists(IP):
        return False
    command = ["/usr/bin/unshare", "--net", IP, "link", "add", CUT_BRIDGE, "type", "bridge"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Cut(Cluster):
    """Nodes with a network namespace each, and a bridge between them."""

    def __init__(self, nodes, slots, **environment):
        Sandbox.__init__(self, **environment)  # not `covey up`
        self.connection, self.respawned = None, []
        self.prefix = f"covey-{os.getpid()}-"
        socket = f"unix:{os.path.join(self.runtime, 'covey', 'covey.sock')}"
        self.environment["COVEY_SERVER"] = socket
        try:
            self.ip("netns", "add", self.prefix + "0")
            self.ip("-n", self.prefix + "0", "link", "add", CUT_BRIDGE, "type", "bridge")
            self.ip("-n", self.prefix + "0", "link", "set", CUT_BRIDGE, "up")
            self.run(program("coveyd"), "--listen", socket, "--state-dir", self.state)
            wait_for(lambda: os.path.exists(socket.removeprefix("unix:")), "the controller's socket", 30)
            for node in range(1, nodes + 1):
                self.add_node(f"node-{node}", node, slots, socket)
            self.wait_nodes(nodes)
        except BaseException:
            self.close()
            raise

    def ip(self, *arguments):
        subprocess.run([IP, *arguments], check=True)

    def run(self, *command):
        with open(os.path.join(self.folder, f"{len(self.respawned)}.log"), "ab") as log:
            self.respawned.append(subprocess.Popen(command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log, start_new_session=True))

    def add_node(self, name, number, slots, socket):
        space, port = self.prefix + name, f"port-{name}"
        self.ip("netns", "add", space)
        self.ip("-n", self.prefix + "0", "link", "add", port, "type", "veth", "peer", "name", "data", "netns", space)
        self.ip("-n", self.prefix + "0", "link", "set", port, "master", CUT_BRIDGE, "up")
        self.ip("-n", space, "address", "add", f"{CUT_NETWORK}.{number}/24", "dev", "data")
        for link in ("lo", "data"):
            self.ip("-n", space, "link", "set", link, "up")
        self.run(IP, "netns", "exec", space, program("covey-node"), "--name", name, "--controller", socket,
                 "--slots", str(slots), "--state-dir", os.path.join(self.state, name),
                 "--runtime-dir", os.path.join(self.runtime, "covey", name), "--data-address", f"{CUT_NETWORK}.{number}")

    def cut(self, name, off):
        """Off the bridge nothing comes or goes, and nobody is told."""
        self.ip("-n", self.prefix + "0", "link", "set", f"port-{name}", *(["nomaster"] if off else ["master", CUT_BRIDGE]))

    def close(self):
        for process in self.respawned:
            process.kill()
        super().close()
        spaces = subprocess.run([IP, "netns", "list"], capture_output=True, text=True, check=False).stdout.split()
        for space in spaces:
            if space.startswith(self.prefix):
                self.ip("netns", "delete", space)


class Scene:
    """The flare, on a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        cluster.deploy("bystand", worker("bystand.so"))
        self.board = Board(os.path.join(cluster.folder, "board"))
        self.flare_id = cluster.flare("-n", str(NODES * ROLES), "--placement", "spread", "-g", str(ROLES), "--time-limit", "1h",
                                      "--communication-timeout", "500ms", "--param", self.board.path, "bystand")
        self.flare = cluster.wait_state(self.flare_id, "RUNNING", seconds=60)

    def node(self, number):
        return next(pack["node"] for pack in self.flare["packs"] if int(pack.get("first_rank", 0)) == number * ROLES)

    def worker(self, rank):
        workers = self.cluster.get(self.flare_id)["workers"]
        return Process(next(int(entry["pid"]) for entry in workers if int(entry.get("rank", 0)) == rank))

    def agent(self, number):
        return next(agent for agent in self.cluster.agents() if self.node(number) in agent.command)

    def host(self, number):
        agent = self.agent(number)
        return next(host for host in self.cluster.hosts(self.flare_id) if self.cluster.agent_of(host).pid == agent.pid)

    def beside(self, kind, measure):
        """What measure() gives while the disturbance lasts."""
        stopped, absent = kind.stop(self)
        for process in stopped:
            process.kill(signal.SIGSTOP)
        if kind.cut:
            self.cluster.cut(self.node(OTHER), True)
        try:
            self.board.raid(kind.attack, absent)
            found = measure()
        finally:
            if kind.cut:
                self.cluster.cut(self.node(OTHER), False)
            for process in stopped:
                process.kill(signal.SIGCONT)
        self.board.end_raid()
        return found

    def end(self):
        self.board.words[OVER] = 1
        flare, _ = self.cluster.wait(self.flare_id, 60)
        if flare["state"] != "SUCCEEDED":
            logs = "\n".join(line["text"].strip() for line in self.cluster.logs(self.flare_id))
            raise AssertionError(f"it ended {flare['state']}: {flare.get('error')}\n{logs}\n{self.cluster.describe()}")


class Kind:
    """A disturbance: what workers do, whom (processes, and the ranks among them) it stops, and whether the network is cut."""

    def __init__(self, attack, stop=lambda scene: ((), ()), cut=False):
        self.attack, self.stop, self.cut = attack, stop, cut


def stopped_sink(node):
    return lambda scene: ([scene.worker(node * ROLES + SINK)], [node * ROLES + SINK])


KINDS = {
    "full-receiver-near": Kind(NEAR_SINK),
    "full-receiver-far": Kind(FAR_SINK),
    "stopped-receiver-near": Kind(NEAR_SINK, stopped_sink(0)),
    "stopped-receiver-far": Kind(FAR_SINK, stopped_sink(1)),
    "stopped-host": Kind(OTHER_NODE, lambda scene: ([scene.host(OTHER)], ())),
    "stopped-agent": Kind(OTHER_NODE, lambda scene: ([scene.agent(OTHER)], ())),
    "full-arena": Kind(FULL_ARENA),
    "cut": Kind(OTHER_NODE, cut=True),
}
TURNS = {"near 8 B": (NEAR_PAIR, 8), "near 20 kB": (NEAR_PAIR, 20000), "far 8 B": (FAR_PAIR, 8), "far 20 kB": (FAR_PAIR, 20000)}


def measure(scene, trips, into):
    for name, (pair, length) in TURNS.items():
        times = scene.board.turn(pair, trips, length)
        into.setdefault(name, []).append((statistics.median(times), statistics.fmean(times), max(times)))


def show(kind, name, alone, beside):
    """A line of the table, and the larger of the two ratios."""
    def over_rounds(figures, which):
        return statistics.median(row[which] for row in figures)
    ratio = max(over_rounds(beside, which) / over_rounds(alone, which) for which in (0, 1))
    print(f"| {kind} | {name} | {over_rounds(alone, 0):.1f} | {over_rounds(beside, 0):.1f} | {over_rounds(alone, 1):.1f} | "
          f"{over_rounds(beside, 1):.1f} | {max(row[2] for row in alone):.0f} | {max(row[2] for row in beside):.0f} | {ratio:.2f} |",
          flush=True)
    return ratio


def run(cluster, names, options):
    """The worst ratio of these kinds."""
    worst = 0
    scene = Scene(cluster)
    measure(scene, options.trips, {})  # connections are made, memory is touched
    for kind in names:
        alone, beside = {}, {}
        for _ in range(options.rounds):
            measure(scene, options.trips, alone)
            scene.beside(KINDS[kind], lambda: measure(scene, options.trips, beside))
        worst = max([worst] + [show(kind, name, alone[name], beside[name]) for name in TURNS])
    scene.end()
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trips", type=int, default=3000, help="of a turn")
    parser.add_argument("--most", type=float, default=GOAL, help="times what it is alone (default: %(default)s)")
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], metavar="KIND", help=", ".join(KINDS))
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    print("| beside | round trips | median alone, us | beside | mean alone | beside | longest alone | beside | ratio |\n" + "|---" * 9 + "|")
    worst = 0
    for cut in (False, True):
        names = [name for name in kinds if KINDS[name].cut == cut]
        if cut and names and not can_cut():
            print("cut: left out, since this user cannot make network namespaces and bridges", file=sys.stderr)
            continue
        if names:
            cluster = (Cut if cut else Cluster)(NODES, ROLES, COVEY_NODE_GRACE="10m")
            try:
                worst = max(worst, run(cluster, names, options))
            finally:
                cluster.close()
    return 1 if worst > options.most else 0


if __name__ == "__main__":
    sys.exit(main())
