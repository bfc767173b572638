#!/usr/bin/python3
"""Ordinary programs and scripts as workers: found, given arguments and an environment as mpirun and srun do."""
import collections
import os
import shutil
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BAD_INPUT, FAILED, OK, SystemTest, worker

PYTHON = "/usr/bin/python3"
PLACE = ("COVEY_SIZE", "COVEY_RANK", "COVEY_LOCAL_RANK", "COVEY_NODES", "COVEY_NODE_RANK")


def by_rank(text):
    """The lines of each rank, without it."""
    lines = collections.defaultdict(list)
    for line in text.splitlines():
        rank, _, rest = line.partition("] ")
        lines[int(rank[1:])].append(rest)
    return lines


class Programs(SystemTest):
    """On two nodes that have this machine's files."""

    def write(self, name, text, mode=0o755, folder=None):
        path = os.path.join(folder or self.cluster.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def run_workers(self, count, *arguments, code=OK, **options):
        return self.cluster.expect(code, "run", "-q", "-n", str(count), *arguments, **options)

    def test_program_of_path(self):
        done = self.run_workers(4, "hostname")
        self.assertEqual(by_rank(done.out), {rank: [socket.gethostname()] for rank in range(4)})

    def test_path_is_searched_in_its_order_and_here_first(self):
        folders = {name: os.path.join(self.cluster.folder, name) for name in ("first", "second")}
        for name, folder in folders.items():
            self.write("tool", f"#!/bin/sh\necho {name}\n", folder=folder)
        environment = {"PATH": "{second}::{first}:/usr/bin:/bin".format(**folders)}
        self.assertEqual(self.run_workers(1, "tool", environment=environment).out, "[0] second\n")
        os.chmod(os.path.join(folders["second"], "tool"), 0o644)
        self.assertEqual(self.run_workers(1, "tool", environment=environment).out, "[0] first\n")
        here = self.write("tool", "#!/bin/sh\necho here\n")
        self.assertEqual(self.run_workers(1, "tool", environment=environment).out, "[0] here\n")
        os.unlink(here)
        os.unlink(os.path.join(folders["first"], "tool"))
        self.assert_message(self.cluster.covey("run", "-q", "tool", environment=environment), BAD_INPUT,
                            "cannot read tool: no such file here, and no such program in PATH")

    def test_script_has_its_path_its_neighbours_and_arguments(self):
        self.write("app/beside.py", "word = 'neighbour'\n", 0o644)
        path = self.write("app/script.py", f"#!{PYTHON} -B\nimport sys, beside\nprint(sys.argv, beside.word)\n")
        arguments = ["a b", "", "-n", "--x=ü", "*"]
        done = self.run_workers(3, "app/script.py", *arguments)
        self.assertEqual(by_rank(done.out), {rank: [f"{[path, *arguments]} neighbour"] for rank in range(3)})

    def test_script_that_is_not_on_the_node_as_it_was_deployed(self):
        path = self.write("moved.sh", "#!/bin/sh\necho deployed \"$@\"\n")
        self.cluster.expect(OK, "deploy", "--name", "moved", path, "one", "two")
        with open(path, "a", encoding="utf-8") as file:
            file.write("echo changed\n")
        self.assertEqual(self.cluster.expect(OK, "flare", "-q", "-n", "2", "moved").out.count("deployed one two\n"), 2)
        os.unlink(path)
        done = self.cluster.expect(OK, "flare", "-q", "-n", "2", "moved")
        self.assertEqual(by_rank(done.out), {0: ["deployed one two"], 1: ["deployed one two"]})
        os.mkfifo(path)
        self.assertEqual(by_rank(self.cluster.expect(OK, "flare", "-q", "moved").out), {0: ["deployed one two"]})

    def test_program_runs_from_its_own_path(self):
        """As an interpreter needs it, which finds its library by where it is."""
        path = os.path.join(self.cluster.folder, "my-python")
        os.symlink(os.path.realpath(PYTHON), path)
        done = self.run_workers(1, "./my-python", "-c", "import sys; print(sys.executable, open('/proc/self/comm').read())")
        self.assertEqual(by_rank(done.out)[0], [f"{path} my-python", ""])
        copy = os.path.join(self.cluster.folder, "own-act")
        shutil.copy(worker("act"), copy)
        self.cluster.deploy("own-act", copy)
        os.unlink(copy)
        done = self.cluster.expect(OK, "flare", "-q", "--param", "where", "own-act")
        self.assertIn('"rank": 0', done.out)

    def test_script_without_its_interpreter(self):
        self.write("lost.sh", "#!/no/such/interpreter\n")
        done = self.run_workers(1, "./lost.sh", code=FAILED)
        self.assertIn("its interpreter, or the loader that it names, is not on this node", done.err)

    def places(self, *arguments):
        """What each worker's environment says of where it is, by rank."""
        lines = by_rank(self.run_workers(6, "--packing", "homogeneous", "-g", "2", "--placement", "spread", *arguments).out)
        return {rank: dict(entry.split("=", 1) for entry in found if entry.split("=")[0] in PLACE)
                for rank, found in lines.items()}

    def test_environment_says_where_a_worker_is(self):
        places = self.places("env")
        self.assertEqual(sorted(places), list(range(6)))
        on_node = collections.defaultdict(list)
        for rank in range(6):
            place = places[rank]
            self.assertEqual((place["COVEY_SIZE"], place["COVEY_RANK"], place["COVEY_NODES"]), ("6", str(rank), "2"))
            on_node[place["COVEY_NODE_RANK"]].append(place["COVEY_LOCAL_RANK"])
        self.assertEqual(set(on_node), {"0", "1"})
        for node, found in on_node.items():
            self.assertEqual(found, [str(i) for i in range(len(found))], f"node {node}")

    def test_environment_of_shared_objects(self):
        self.assertEqual(self.places("--param", "environment", worker("act.so")), self.places("env"))
        for place in self.places("--param", "environment", "--worker", "thread", worker("act.so")).values():
            self.assertEqual(set(place), {"COVEY_SIZE", "COVEY_NODES", "COVEY_NODE_RANK"})


if __name__ == "__main__":
    unittest.main()
