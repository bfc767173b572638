#!/usr/bin/python3
"""Ordinary programs and scripts as workers: found, given arguments and an environment as mpirun and srun do."""
import collections
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import (BAD_INPUT, BUILD, FAILED, OK, SANITIZED, SystemTest, files_below, processes_of_flare, program, wait_for,
                          worker)

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

    def test_workers_start_where_run_was_called(self):
        for kind in (["pwd"], ["--param", "folder", worker("act.so")], ["--worker", "thread", "--param", "folder", worker("act.so")]):
            done = self.run_workers(3, *kind)
            self.assertEqual([line.split("] ")[1] for line in done.out.splitlines()], [self.cluster.folder] * 3, str(done))

    def test_workers_start_where_they_are_told_to(self):
        folder = os.path.join(self.cluster.folder, "there")
        os.mkdir(folder)
        self.assertEqual(self.run_workers(1, "--cwd", "there", "sh", "-c", "pwd; echo $PWD").out, f"[0] {folder}\n[0] {folder}\n")
        self.cluster.expect(OK, "deploy", "--name", "pwd", "--cwd", folder, "pwd")
        self.assertEqual(self.cluster.expect(OK, "flare", "-q", "pwd").out, f"[0] {folder}\n")
        self.assertEqual(self.cluster.expect(OK, "flare", "-q", "--cwd", "/usr", "pwd").out, "[0] /usr\n")
        self.assert_message(self.cluster.covey("run", "--cwd", "nowhere", "pwd"), BAD_INPUT,
                            '--cwd must be an absolute path, or a folder that is here, not "nowhere"')
        done = self.run_workers(1, "--cwd", "/no/such/folder", "pwd", code=FAILED)
        self.assertRegex(done.err, "the workers cannot start in /no/such/folder on node node-[12]: No such file or directory")

    def own_folders(self):
        return [path for path in files_below(self.cluster.state) if "/flares/" in path]

    def test_flares_own_folder_goes_with_it(self):
        script = "pwd; mkdir -p a/b; echo x > a/b/c; chmod 0 a/b; ln -s /usr up; ls -d up a"
        self.cluster.expect(OK, "deploy", "--name", "own", "/bin/sh", "-c", script)
        done = self.cluster.expect(OK, "flare", "-q", "-n", "2", "--placement", "strict-spread", "-g", "1", "--packing", "homogeneous", "own")
        found = by_rank(done.out)
        self.assertEqual([found[rank][1:] for rank in range(2)], [["a", "up"]] * 2)
        for rank in range(2):
            self.assertRegex(found[rank][0], rf"^{self.cluster.state}/node-[12]/flares/[0-9A-Z]+$")
        self.assertNotEqual(found[0][0], found[1][0], "each node has its own")
        self.assertEqual(self.own_folders(), [])
        self.assertTrue(os.path.isdir("/usr/bin"))

    def test_folder_of_the_call_that_is_not_on_the_node(self):
        """As from another machine."""
        here = os.path.join(self.cluster.folder, "gone")
        os.mkdir(here)
        # It is there when it is asked for, and not when the workers start.
        script = f'cd "{here}" && rmdir "{here}" && exec "$@"'
        done = self.cluster.finish(self.cluster.start("/bin/sh", "-c", script, "sh", program("covey"), "run", "-q", "pwd"))
        self.assert_code(done, OK)
        self.assertIn("/flares/", done.out)

    def kill_agents_of_a_flare(self, *others):
        """A flare whose agents were killed, and with them these programs of it. The agents come back at the test's end, if
        not before: whatever fails here, the other tests need them."""
        self.cluster.expect(OK, "deploy", "--name", "stays", "/bin/sh", "-c", "touch here; echo stays; sleep 1000")
        flare_id = self.cluster.flare("stays")
        self.cluster.wait_logs(flare_id, "stays", 1)
        self.assertTrue(self.own_folders_of(flare_id))
        self.gone, left = self.cluster.agents(), self.cluster.of_flare(flare_id, *others) if others else []
        self.addCleanup(self.bring_back)
        for process in left:  # held, so that they cannot do a thing about the agents' end before theirs
            process.kill(signal.SIGSTOP)
        for process in self.gone + left:
            self.cluster.kill(process)
        return flare_id

    def own_folders_of(self, flare_id):
        return [path for path in self.own_folders() if flare_id in path]

    def bring_back(self):
        while self.gone:
            self.cluster.respawn(self.gone.pop())
        self.cluster.wait_nodes()

    def test_packs_remove_the_folder_for_want_of_an_agent(self):
        flare_id = self.kill_agents_of_a_flare()
        wait_for(lambda: not processes_of_flare(flare_id), "the end of what has no agent", 60)
        self.assertEqual(self.own_folders_of(flare_id), [])

    def test_agent_that_is_back_removes_the_folder(self):
        flare_id = self.kill_agents_of_a_flare("covey-pack", "covey-host")
        wait_for(lambda: not processes_of_flare(flare_id), "the end of the flare's processes", 10)
        self.assertTrue(self.own_folders_of(flare_id), "nobody is left who could remove it")
        self.bring_back()
        wait_for(lambda: not self.own_folders_of(flare_id), "the folder's end", 10)

    def test_core_dumps_where_they_are_wanted(self):
        hard = subprocess.run(["sh", "-c", "ulimit -Hc"], capture_output=True, text=True, check=True).stdout.strip()
        self.assertEqual(self.run_workers(1, "sh", "-c", "ulimit -c").out, "[0] 0\n")
        self.assertEqual(self.run_workers(1, "--core-dumps", "sh", "-c", "ulimit -c").out, f"[0] {hard}\n")
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            pattern = file.read().strip()
        if pattern != "core" or hard != "unlimited" or SANITIZED:
            return  # they go somewhere else
        for kind, how in (("process", "trap"), ("thread", "trap"), ("process", "abort"), ("thread", "abort")):
            with self.subTest(worker=kind, how=how):
                folder = os.path.join(self.cluster.folder, f"cores-{kind}-{how}")
                os.mkdir(folder)
                crash = ("--worker", kind, "--cwd", folder, "--param", f"crash {how}", worker("act.so"))
                self.run_workers(1, *crash, code=FAILED)
                self.assertEqual(os.listdir(folder), [])
                self.run_workers(1, "--core-dumps", *crash, code=FAILED)
                size = sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder))
                self.assertTrue(0 < size < 64 << 20, size)

    def build(self, source, *arguments):
        subprocess.run(["cc", "-x", "c", "-", "-x", "none", *arguments], input=source, text=True, check=True, cwd=self.cluster.folder)

    def test_mpi_is_warned_of(self):
        """A library of that name does: what is in it is its own affair."""
        library = os.path.join(self.cluster.folder, "libmpi.so.40")
        self.build("int MPI_Init(void) { return 0; }", "-shared", "-fPIC", "-Wl,-soname,libmpi.so.40", "-o", library)
        link = (library, f"-Wl,-rpath,{self.cluster.folder}")
        self.build("int MPI_Init(void); int main(void) { return MPI_Init(); }", "-o", "parallel", *link)
        warning = "covey run: warning: parallel is linked with libmpi.so.40, and Covey starts no MPI: each worker will be an MPI job"
        done = self.run_workers(4, "./parallel")
        self.assertEqual(done.err.count(warning), 1, str(done))
        self.assertEqual(self.run_workers(1, "./parallel").err, "")
        self.assertEqual(self.run_workers(4, "true").err, "")
        done = self.cluster.expect(OK, "deploy", "parallel")
        self.assertEqual(done.err.count("warning: parallel is linked with libmpi.so.40"), 1, str(done))
        self.build("int MPI_Init(void); int covey_detach(void *); int main(void) { covey_detach(0); return MPI_Init(); }", "-o", "both", *link,
                   f"-L{BUILD}/lib", "-lcovey-worker", f"-Wl,-rpath,{BUILD}/lib", *([f"-fsanitize={os.environ['COVEY_SANITIZE']}"] if SANITIZED else []))
        self.assertEqual(self.run_workers(4, "./both").err, "")
        for line, warned in (("from mpi4py import MPI", True), ("import mpi4py", True), ("print('import mpi4py')", False)):
            script = self.write("parallel.py", f"#!/bin/true\n{line}\n")
            self.assertEqual("parallel.py imports mpi4py" in self.run_workers(2, script).err, warned, line)
        launcher = self.write("mpiexec.hydra", "#!/bin/sh\nexit 0\n")
        self.assertRegex(self.run_workers(2, launcher).err, "warning: each worker is a mpiexec.hydra of its own, which starts a whole MPI job")

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
