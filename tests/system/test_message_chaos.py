#!/usr/bin/python3
"""Something is killed while workers of three nodes talk: no message whose send returned OK is lost without a word.

Each round is a flare of numbered messages among all its workers, who keep a ledger (worker/chat.c), and one kill -9 at
some moment: of a worker, a pack, a host, an agent or the controller, of which the last two are started again. Then the
ledger is checked from end to end, and that the flare ended once, as it should, and left nothing behind.

COVEY_TEST_ROUNDS makes it longer, COVEY_TEST_SEED repeats one.
"""
import array
import collections
import os
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import OK, SystemTest, worker

ROUNDS = int(os.environ.get("COVEY_TEST_ROUNDS", "30"))
SEED = int(os.environ.get("COVEY_TEST_SEED", str(time.time_ns() % 2**32)))
KINDS = ("worker", "worker", "pack", "host", "agent", "controller")
NODES, WORKERS, MESSAGES = 3, 9, 400
MOST = 16  # workers that a ledger has room for


class Ledger:
    """What the workers wrote down; see struct ledger in worker/chat.c."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(4 * (3 * MOST + 3 * MOST * MOST)))

    def read(self):
        words = array.array("I")
        with open(self.path, "rb") as file:
            words.frombytes(file.read())
        self.runs, self.finished, self.wrong = (words[i * MOST:(i + 1) * MOST] for i in range(3))
        rows = [words[i * MOST:(i + 1) * MOST] for i in range(3, 3 + 3 * MOST)]
        self.sent, self.received, self.told = rows[:MOST], rows[MOST:2 * MOST], rows[2 * MOST:]
        return self


def leaves_early(rank):
    return rank % 4 == 1


class MessageChaos(SystemTest):
    NODES = 0

    def setUp(self):
        print(f"seed {SEED}, {ROUNDS} rounds", file=sys.stderr)
        self.dice = random.Random(SEED)
        self.kills = collections.Counter()
        self.ends = collections.Counter()
        self.checked = collections.Counter()
        # Survivors go on until they have heard from everybody: they get the time.
        self.cluster = self.own_cluster(NODES, WORKERS // NODES + 1, COVEY_STOP_GRACE="60s")
        self.cluster.deploy("chat", worker("chat.so"))

    def start(self, number):
        ledger = Ledger(os.path.join(self.cluster.folder, f"ledger-{number}"))
        flare_id = self.cluster.flare("-n", str(WORKERS), "--placement", "spread", "-g", "1", "--time-limit", "100s",
                                      "--param", f"{ledger.path} {MESSAGES}", "chat")
        return flare_id, ledger

    def kill(self, kind, flare_id):
        """Kills one, or nothing where there is none (any more); returns the ranks that it may have cost, or None."""
        if kind in ("agent", "controller"):
            victim = self.cluster.controller() if kind == "controller" else self.dice.choice(self.cluster.agents())
            self.cluster.kill(victim)
            time.sleep(self.dice.random() * 0.2)
            self.cluster.respawn(victim)
            return set()
        found = self.cluster.of_flare(flare_id)
        by_pid = {process.pid: process for process in found}
        workers = [process for process in found if process.parent in by_pid]
        choice = {"worker": workers, "host": [process for process in found if process.exe == "covey-host"],
                  "pack": [process for process in found if process.exe == "covey-pack" and process not in workers]}[kind]
        if not choice:
            return None
        victim = self.dice.choice(choice)
        try:
            victim.kill()
        except ProcessLookupError:
            return None
        # Hosts and packs are their agent's children, workers their pack's.
        agent_of = {process.pid: by_pid.get(process.parent, process).parent for process in found}
        return {victim.pid} if kind == "worker" else {pid for pid, agent in agent_of.items() if agent == agent_of[victim.pid]}

    def check(self, kind, flare, ledger, lost):
        """Ranks in `lost` may have died; all others must have heard all, or been told."""
        ledger.read()
        problems = []
        for rank in range(WORKERS):
            if ledger.wrong[rank]:
                problems.append(f"rank {rank} got {ledger.wrong[rank]} wrong messages")
            if ledger.runs[rank] > 1:
                problems.append(f"rank {rank} ran {ledger.runs[rank]} times")
            if flare["state"] == "SUCCEEDED" and not ledger.finished[rank]:
                problems.append(f"rank {rank} did not finish")
            if ledger.runs[rank] and not ledger.finished[rank] and rank not in lost:
                problems.append(f"rank {rank} hangs or was ended though it was not killed")
        for source in range(WORKERS):
            for rank in range(WORKERS):
                if source == rank or leaves_early(rank) or not ledger.finished[rank]:
                    continue
                sent, received = ledger.sent[source][rank], ledger.received[source][rank]
                self.checked["pairs"] += 1
                self.checked["messages"] += sent
                told = ledger.told[source][rank]
                # A worker that dies alone leaves a host that delivers what it had sent.
                if received < sent and (not told or kind in ("worker", "pack", "agent", "controller")):
                    problems.append(f"of {sent} from {source} rank {rank} got {received}, told {told}")
                if told and source not in lost and rank not in lost:
                    problems.append(f"rank {rank} was told that {source} has ended, and it had not died")
                self.checked["told"] += told
        return problems

    def round(self, number):
        kind = self.dice.choice(KINDS)
        flare_id, ledger = self.start(number)
        time.sleep(self.dice.random() * 0.8)
        pids = self.kill(kind, flare_id)
        self.kills[kind if pids is not None else "nothing"] += 1
        if kind in ("agent", "controller"):
            self.cluster.wait_nodes(NODES)
        flare, _ = self.cluster.wait(flare_id, 100)
        self.ends[flare["state"]] += 1
        ranks = {int(entry.get("rank", 0)) for entry in flare.get("workers", ()) if entry.get("pid") in (pids or ())}
        if kind in ("pack", "host") and pids:
            nodes = {entry["node"] for entry in flare.get("workers", ()) if int(entry.get("rank", 0)) in ranks}
            ranks |= {int(entry.get("rank", 0)) for entry in flare["workers"] if entry["node"] in nodes}
        problems = self.check(kind, flare, ledger, ranks)
        if kind in ("agent", "controller") and flare["state"] != "SUCCEEDED":
            problems.append(f"it ended {flare['state']}: {flare.get('error')}")
        if problems:
            logs = "\n".join(f"{line['rank']}: {line['text'].strip()}" for line in self.cluster.logs(flare_id))
            self.fail(f"seed {SEED} round {number}, {kind} killed, lost ranks {ranks}, {flare['state']} "
                      f"{flare.get('error')}:\n" + "\n".join(problems) + f"\n{logs}\n{self.cluster.describe()}")
        self.assert_nothing_left(self.cluster, flare_id, 2)
        os.unlink(ledger.path)
        return flare_id

    def test_kills(self):
        flares = [self.round(number) for number in range(ROUNDS)]
        listed = self.cluster.expect(OK, "ps", "--all", "--ids", "--limit", str(ROUNDS + 1)).out.split()
        self.assertEqual(sorted(flares), sorted(listed), "each flare is known once")
        print(f"kills {dict(self.kills)}, ends {dict(self.ends)}, checked {dict(self.checked)}", file=sys.stderr)
        # `covey down` knows those that it started, not those that were started again.
        for process in [*self.cluster.agents(), self.cluster.controller()]:
            process.kill(signal.SIGTERM)
        self.assert_quiet(self.cluster, 30)


if __name__ == "__main__":
    unittest.main()
