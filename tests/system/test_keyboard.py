#!/usr/bin/python3
"""The command line as it is typed: ids, outputs, lists, and mistakes."""
import fcntl
import os
import struct
import subprocess
import sys
import termios
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BAD_INPUT, CANCELLED, FAILED, OK, UNPLACEABLE, SystemTest, program, wait_for, worker

ACT = worker("act.so")


class Keyboard(SystemTest):
    def setUp(self):
        self.cluster.deploy("act", ACT)

    def ended(self, *arguments, code=OK):
        """A flare that has ended: its id."""
        flare_id = self.cluster.flare(*arguments, "act")
        self.cluster.expect(code, "wait", "-q", flare_id)
        return flare_id

    def test_id_by_prefix_and_last(self):
        first = self.ended("-n", "1", "--param", "echo one")
        last = self.ended("-n", "1", "--param", "echo two")
        own = os.path.commonprefix([first, last])
        prefix = last[:len(own) + 1]
        for text in (last, prefix, prefix.lower(), "@last"):
            for verb in ("results", "explain", "wait", "watch", "logs", "cancel"):
                with self.subTest(verb=verb, text=text):
                    done = self.cluster.expect(OK, verb, text)
                    if verb == "results":
                        self.assertIn("echo two", done.out)
        done = self.cluster.covey("wait", own)
        self.assert_message(done, BAD_INPUT, f"several flares have ids that begin with {own}: .*{last} .act., .*{first} .act.")
        self.assert_message(self.cluster.covey("wait", "ZZ"), BAD_INPUT, "no flare has an id that begins with ZZ")
        sandbox = self.sandbox(COVEY_SERVER="unix:" + os.path.join(self.cluster.environment["COVEY_RUNTIME_DIR"], "covey.sock"))
        self.assert_message(sandbox.covey("wait", "@last"), BAD_INPUT, "no flare has been submitted from here")

    def test_results_folder_is_checked_first(self):
        before = self.cluster.expect(OK, "ps", "--all", "--ids").out
        path = os.path.join(self.cluster.folder, "a-file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("x")
        for command in (["flare", "act"], ["run", ACT]):
            for folder in (path, path + "/below", "/proc/none", ""):
                with self.subTest(command=command, folder=folder):
                    done = self.cluster.covey(command[0], "--results", folder, "-n", "1", "--param", "echo", command[1])
                    self.assertIn(done.code, (BAD_INPUT, FAILED), str(done))
                    self.assertEqual(len(done.err.splitlines()), 1, str(done))
        self.assertEqual(self.cluster.expect(OK, "ps", "--all", "--ids").out, before, "a flare was submitted")

    def test_results_of_what_did_not_succeed(self):
        cancelled = self.cluster.flare("-n", "2", "--param", "spin", "act")
        self.cluster.wait_logs(cancelled, "is at work", 2)
        self.assert_message(self.cluster.covey("results", cancelled), BAD_INPUT, "has not ended")
        self.cluster.expect(OK, "cancel", cancelled)
        self.cluster.expect(CANCELLED, "wait", "-q", cancelled)
        self.assert_message(self.cluster.covey("results", cancelled), CANCELLED, f"flare {cancelled} cancelled: cancelled by ")

    def test_ranks_that_are_not_there(self):
        flare_id = self.ended("-n", "4", "--param", "echo")
        for verb in ("logs", "results"):
            self.assert_message(self.cluster.covey(verb, flare_id, "--rank", "0,99"), BAD_INPUT,
                                f"flare {flare_id} has no rank 99: its ranks are 0 to 3")
            self.cluster.expect(OK, verb, flare_id, "--rank", "3")

    def test_events_name_ranks(self):
        out = self.cluster.expect(OK, "watch", self.ended("-n", "3", "--param", "echo")).out
        self.assertRegex(out, r"(?m)workers_started +ranks? [0-9][0-9, -]* on node-[12]$")
        for rank in range(3):
            self.assertRegex(out, rf"(?m) rank {rank}$")

    def test_run_deploys_nothing(self):
        """Its code belongs to its flare, also where the client is killed."""
        def definitions():
            return self.cluster.expect(OK, "definitions").out
        before = definitions()
        process = self.cluster.start("run", "--name", "act", "-n", "2", "--param", "spin", worker("act"))
        running = []
        wait_for(lambda: running.extend(self.cluster.expect(OK, "ps", "--ids", "--state", "running").out.split()) or running,
                 "the flare of run", 30)
        self.assertEqual(self.cluster.get(running[0])["definition"], "act")
        self.assertEqual(definitions(), before)
        process.kill()
        process.wait()
        self.cluster.expect(OK, "cancel", running[0])
        self.cluster.expect(CANCELLED, "wait", "-q", running[0])
        self.assertEqual(definitions(), before)
        done = self.cluster.expect(OK, "flare", "-q", "-n", "1", "--param", "echo still", "act")
        self.assertIn("echo still", done.out)

    def test_ps_is_a_table(self):
        short = self.ended("-n", "1", "--param", "echo", "--label", "table=1")
        wide = self.ended("-n", "12", "--param", "echo", "--label", "table=1")
        spinning = self.cluster.flare("-n", "2", "--param", "spin", "--label", "table=1", "act")
        self.cluster.wait_logs(spinning, "is at work", 2)
        ps = ("ps", "--all", "--label", "table=1")
        lines = self.cluster.expect(OK, *ps).out.splitlines()
        self.assertEqual(lines[0].split(), ["FLARE", "DEFINITION", "WORKERS", "NODES", "STATE", "AGE", "DURATION", "WHY"])
        self.assertEqual([line.split()[0] for line in lines[1:]], [spinning, wide, short], "newest first")
        self.assertRegex(lines[1], rf"^{spinning}  act +2 +1  running +[0-9]+ s +[0-9.]+ (s|ms)")
        self.assertRegex(lines[2], rf"^{wide}  act +12 +2  succeeded ")
        def first_by(key):
            return self.cluster.expect(OK, *ps, "--sort", key, "--ids").out.split()[0]
        for key, first in (("workers", wide), ("nodes", wide), ("age", spinning)):
            with self.subTest(key=key):
                self.assertEqual(first_by(key), first)
        wait_for(lambda: first_by("duration") == spinning, "what still runs is what has run longest", 60)
        self.assert_message(self.cluster.covey("ps", "--sort", "size"), BAD_INPUT, "--sort must be age, duration")
        self.cluster.expect(OK, "cancel", spinning, "--reason", "x" * 300)
        self.cluster.covey("wait", "-q", spinning)
        self.assertIn("x" * 200, self.cluster.expect(OK, *ps).out, "what is piped is not cut")

    def test_workers_are_told_from_packs(self):
        """ps and top show rank, size and definition, of processes and threads."""
        by_kind = {}
        for kind in ("process", "thread"):
            self.cluster.deploy("titled-" + kind, ACT, "--worker", kind)
            by_kind[kind] = self.cluster.flare("-n", "3", "--param", "spin", "titled-" + kind)
            self.cluster.wait_logs(by_kind[kind], "is at work", 3)
        for worker_ in self.cluster.get(by_kind["process"])["workers"]:
            with open(f"/proc/{worker_['pid']}/cmdline", encoding="ascii") as file:
                self.assertEqual(file.read().rstrip("\0"),
                                 f"covey-worker titled-process rank {worker_['rank']} of 3 flare {by_kind['process']}")
            with open(f"/proc/{worker_['pid']}/comm", encoding="ascii") as file:
                self.assertEqual(file.read().strip(), f"{worker_['rank']}/3 titled-p...")
        names = []
        for pack in self.cluster.packs(by_kind["thread"]):
            for task in os.listdir(f"/proc/{pack.pid}/task"):
                with open(f"/proc/{pack.pid}/task/{task}/comm", encoding="ascii") as file:
                    names.append(file.read().strip())
        self.assertLessEqual({f"{rank}/3 titled-t..." for rank in range(3)}, set(names))
        self.cluster.expect(OK, "cancel", *by_kind.values())
        for flare_id in by_kind.values():
            self.cluster.expect(CANCELLED, "wait", "-q", flare_id)

    def complete(self, *words):
        """What bash offers for the last of these words."""
        completion = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                                  "packaging", "bash-completion", "covey")
        script = """source "$1"; shift; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _covey
                    printf '%s\\n' "${COMPREPLY[@]}" """
        path = os.path.dirname(program("covey")) + ":" + self.cluster.environment["PATH"]
        done = subprocess.run(["bash", "-c", script, "bash", completion, "covey", *words], capture_output=True, text=True,
                              check=True, timeout=60, env={**self.cluster.environment, "PATH": path})
        return done.stdout.split()

    def test_completion_of_values(self):
        flare_id = self.ended("-n", "1", "--param", "echo")
        self.assertEqual(self.complete("ps", "--state", "ca"), ["cancelled"])
        self.assertEqual(self.complete("ps", "--state", "=", "ca"), ["cancelled"])
        self.assertEqual(self.complete("ps", "--sort", "="), "age duration workers nodes state definition tenant".split())
        self.assertEqual(self.complete("wait", flare_id[:-1]), [flare_id])
        self.assertEqual(self.complete("wait", "@"), ["@last"])
        self.assertEqual(self.complete("drain", "node"), ["node-1", "node-2"])
        self.assertEqual(self.complete("flare", "-n", "1", "ac"), ["act"])

    def test_ps_on_a_terminal_does_not_wrap(self):
        """Lines are cut at the terminal's width."""
        flare_id = self.cluster.flare("-n", "2", "--param", "spin", "--label", "narrow=1", "act")
        self.cluster.expect(OK, "cancel", flare_id, "--reason", "ä" * 100)
        self.cluster.expect(CANCELLED, "wait", "-q", flare_id)
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 110, 0, 0))
        done = subprocess.run([program("covey"), "ps", "--all", "--label", "narrow=1"], stdout=slave, check=True, timeout=60,
                              env=self.cluster.environment)
        self.assertEqual(done.returncode, OK)
        os.close(slave)
        lines = os.read(master, 65536).decode().splitlines()
        os.close(master)
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[1], rf"^{flare_id} .*cancelled by uid.*ää\.\.\.$")
        self.assertLessEqual(len(lines[1].encode()), 110)

    def test_ps_of_one_flare(self):
        """Its workers with node, process, state, cpu time and memory, as its nodes tell when they are asked."""
        flare_id = self.cluster.flare("-n", "10", "--param", "spin", "act")
        self.cluster.wait_logs(flare_id, "is at work", 10)

        def worked():
            flare = self.cluster.expect(OK, "ps", "--json", flare_id).last()
            times = [float(worker_.get("cpu_time", "0s")[:-1]) for worker_ in flare["workers"]]
            return all(time > 0.05 for time in times) and flare
        flare = wait_for(worked, "cpu time of every worker")
        for worker_ in flare["workers"]:
            self.assertGreater(int(worker_["memory_bytes"]), 4096)
        lines = self.cluster.expect(OK, "ps", flare_id).out.splitlines()
        self.assertRegex(lines[0], rf"^{flare_id}: running, 10 workers of act, tenant uid:[0-9]+, for ")
        for worker_, line in zip(flare["workers"], lines[2:]):
            self.assertRegex(line, rf"^ +{worker_['rank']}  {worker_['node']} +{worker_['pid']}  running +[0-9.]+ s +[0-9.]+ [KM]iB$")
        self.cluster.expect(OK, "cancel", flare_id)
        self.cluster.expect(CANCELLED, "wait", "-q", flare_id)
        out = self.cluster.expect(OK, "ps", flare_id).out
        self.assertRegex(out, rf"^{flare_id}: cancelled, 10 workers of act, .*\ncancelled by ")
        self.assertRegex(out, r"(?m)^ +9  node-[12] +[0-9]+  stopped +- +-")

    def test_run_of_its_own_fails_fast(self):
        """A private cluster is made to measure: what it could never hold is refused, and nothing is left."""
        sandbox = self.sandbox()
        done = sandbox.covey("run", "-q", "-n", "2", "--memory", "1000T", ACT)
        self.assert_message(done, UNPLACEABLE, "2 workers need 2 PiB of memory, all known nodes have ")
        self.assert_quiet(sandbox)

    def test_habits_of_other_programs(self):
        for arguments in (["-h"], ["run", "-h"], ["ps", "-h"], ["up", "-h"]):
            with self.subTest(arguments=arguments):
                self.assertIn("Usage: covey", self.cluster.expect(OK, *arguments).out)
        done = self.cluster.expect(OK, "run", "-q", "-np", "3", "--param", "echo x", ACT)
        self.assertEqual(done.out.count("echo x"), 3, str(done))


if __name__ == "__main__":
    unittest.main(verbosity=2)
