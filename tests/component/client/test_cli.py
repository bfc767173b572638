#!/usr/bin/python3
"""covey against a controller that runs nothing: what each verb prints, and with which exit status it ends."""
import base64
import os
import pty
import re
import subprocess
import unittest

from cluster import COVEY, SOURCE, Place, controller, interrupt, objects, read_until


class WithController(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.addClassCleanup(cls.place.remove)
        cls.place.copies("fail.so", "limit.so", "hang.so", "huge.so", "flaky.so", "big.so", "hanging-on.so", "endless.so", "parting.so")
        context = controller(cls.place)
        cls.server = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)

    def covey(self, *arguments, status=0, **environment):
        done = self.place.run(*arguments, server=self.server, **environment)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done

    def detach(self, name):
        self.covey("deploy", name + ".so")
        return self.covey("flare", "--detach", "-n", "2", "--param", "x", name).stdout.strip()


class Run(WithController):
    def test_success_shows_logs_results_and_summary(self):
        done = self.covey("run", "-n", "3", "--param", "abc", "hello.so")
        self.assertEqual(sorted(done.stdout.splitlines()),
                         sorted([f"[{rank}] hello from a worker" for rank in range(3)] +
                                [f"result {rank}: abc" for rank in range(3)]))
        self.assertEqual(done.stderr.count("a warning"), 3)
        for line in ["queued", "starting 0/3", "running 3/3", "succeeded in 10.5 ms: 3 workers in 2 packs on 2 nodes, messages by ucx:tcp",
                     "queue, place", "prepare", "start spread", "run ", "results"]:
            self.assertIn(line, done.stderr)

    def test_quiet_says_nothing_of_itself(self):
        done = self.covey("run", "-q", "hello.so")
        self.assertEqual(done.stdout, "[0] hello from a worker\n")
        self.assertEqual(done.stderr, "[0] a warning\n")

    def test_exit_status_is_the_flares(self):
        self.assertIn("failed: rank 1 was killed by signal 9 on node-1", self.covey("run", "-n", "2", "fail.so", status=1).stderr)
        self.covey("run", "limit.so", status=5)
        self.assertIn("16 workers would", self.covey("run", "-n", "64", "huge.so", status=3).stderr)

    def test_parameters_one_each_or_shared_or_from_files(self):
        with open(self.place.path("lines"), "w", encoding="utf-8") as file:
            file.write("one\n\nthree")
        self.assertIn("result 0: one\nresult 2: three\n", self.covey("run", "-q", "--params-file", "lines", "hello.so").stdout)
        self.assertIn("result 0: a\nresult 1: b\n", self.covey("run", "-q", "--param", "a", "--param", "b", "hello.so").stdout)
        self.assertIn("result 0: one\nresult 0: \nresult 0: three\n", self.covey("run", "-q", "--param", "@lines", "hello.so").stdout)

    def test_json_ends_with_the_flare(self):
        lines = objects(self.covey("run", "--json", "-n", "4", "--param", "x", "hello.so").stdout)
        self.assertEqual(lines[-1]["state"], "SUCCEEDED")
        self.assertEqual({pack["node"] for pack in lines[-1]["packs"]}, {"node-1", "node-2"})
        self.assertEqual([worker["pid"] for worker in lines[-1]["workers"]], [1000, 1001, 1002, 1003])
        self.assertEqual([line["type"] for line in lines if "sequence" in line], ["accepted", "placed", "started", "ended"])
        self.assertEqual({base64.b64decode(line["text"]) for line in lines if "stream" in line},
                         {b"hello ", b"from a worker", b"a warning"})
        self.assertEqual([(line["rank"], line["last"]) for line in lines if "offset" in line], [(rank, True) for rank in range(4)])

    def test_run_knows_the_end_when_the_controller_goes_with_it(self):
        done = self.covey("run", "--json", "-n", "3", "parting.so")
        self.assertEqual(objects(done.stdout)[-1]["state"], "SUCCEEDED")

    def test_lost_connection_is_taken_up_again_without_loss_or_repetition(self):
        done = self.covey("run", "--json", "-n", "3", "flaky.so")
        lines = objects(done.stdout)
        self.assertEqual([line["sequence"] for line in lines if "sequence" in line], ["1", "2", "3", "4"])
        ranks = [line["rank"] for line in lines if "stream" in line]
        self.assertEqual(ranks, [0, 0, 0, 1, 1, 1, 2, 2, 2])
        self.assertIn("trying again", done.stderr)

    def test_results_are_saved_whole(self):
        self.covey("run", "-n", "2", "--results", "deep/folder", "big.so")
        self.assertEqual(sorted(os.listdir(self.place.path("deep/folder"))), ["rank-00000", "rank-00001"])
        with open(self.place.path("deep/folder/rank-00001"), "rb") as file:
            self.assertEqual(file.read(), b"\1" * (3 << 20))

    def test_long_or_binary_results_are_not_printed(self):
        self.assertIn("result 0: 3.0 MiB", self.covey("run", "big.so").stdout)
        with open(self.place.path("binary"), "wb") as file:
            file.write(b"\x1b[2J")
        self.assertIn("result 0: 4 B (save it with --results DIR)", self.covey("run", "--param", "@binary", "hello.so").stdout)

    def test_interrupt_cancels_and_says_so(self):
        process = self.place.start("run", "hang.so", server=self.server)
        said = read_until(process.stderr, "running 1/1")
        interrupt(process)
        _, rest = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, said + rest)
        self.assertRegex(rest, r"cancelling flare \w+ \(once more: leave at once\)")
        self.assertIn("cancelled", rest)

    def test_second_interrupt_leaves_at_once(self):
        process = self.place.start("run", "hanging-on.so", server=self.server)
        read_until(process.stderr, "running 1/1")
        interrupt(process)
        read_until(process.stderr, "cancelling flare")
        interrupt(process)
        _, rest = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn("interrupted", rest)

    def test_logs_that_do_not_end_are_not_waited_for(self):
        done = self.covey("run", "endless.so")
        self.assertIn("the last lines of the workers did not come", done.stderr)
        self.assertIn("hello from a worker", done.stdout)

    def on_terminal(self, *arguments):
        """What covey writes where its standard error is a terminal."""
        master, slave = pty.openpty()
        process = subprocess.Popen([COVEY, *arguments], cwd=self.place.folder, stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=slave, env=dict(self.place.environment, COVEY_SERVER=self.server))
        os.close(slave)
        said = b""
        try:
            while piece := os.read(master, 65536):
                said += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(master)
        self.assertEqual(process.wait(60), 0, said)
        return said.decode()

    def test_terminal_has_one_line_that_changes(self):
        said = self.on_terminal("run", "-n", "3", "hello.so")
        for step in ["queued", "starting 0/3", "running 3/3"]:
            self.assertRegex(said, r"\r\x1b\[Kflare \w+: " + step)
        # Lines of workers begin at the start of a line that was wiped, and are whole.
        for rank in range(3):
            self.assertRegex(said, rf"(^|\n|\x1b\[K)\[{rank}\] hello from a worker\r\n")
        screen = [line.split("\r\x1b[K")[-1] for line in said.replace("\r\n", "\n").split("\n")]
        self.assertEqual([line for line in screen if "running" in line or "queued" in line], [])

    def test_full_output_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([COVEY, "nodes"], env=dict(self.place.environment, COVEY_SERVER=self.server), stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left on device", done.stderr)


class OtherVerbs(WithController):
    def test_deploy_then_flare_then_follow(self):
        self.assertEqual(self.covey("deploy", "--name", "named", "hello.so").stdout, "named version 1\n")
        self.assertEqual(self.covey("deploy", "--name", "named", "hello.so").stdout, "named version 1\n")
        flare = self.covey("flare", "--detach", "-n", "2", "--param", "x", "named").stdout.strip()
        self.assertRegex(flare, r"^\w{26}$")
        self.covey("wait", flare)
        self.assertEqual(len(self.covey("watch", flare).stdout.splitlines()), 4)
        self.assertEqual(len(self.covey("watch", "--from", "3", flare).stdout.splitlines()), 2)
        self.assertEqual(self.covey("logs", "--rank", "1", flare).stdout, "[1] hello from a worker\n")
        self.assertEqual(self.covey("logs", "--plain", "--rank", "0", flare).stdout, "hello from a worker\n")
        self.assertEqual(self.covey("results", flare).stdout, "result 0: x\nresult 1: x\n")
        self.assertEqual(self.covey("results", "--raw", flare).stdout, "xx")
        self.assertIn("named", self.covey("definitions").stdout)
        self.covey("undeploy", "named")
        self.assertIn("deploy it first", self.covey("flare", "named", status=2).stderr)

    def test_ps_turns_the_pages(self):
        ids = [self.detach("hello") for _ in range(3)]
        listed = self.covey("ps", "--all", "--ids").stdout.split()
        self.assertEqual(listed[:3], ids[::-1])
        self.assertEqual(self.covey("ps", "--all", "--ids", "--limit", "2").stdout.split(), ids[:0:-1])
        self.assertEqual({flare["id"] for flare in objects(self.covey("ps", "--all", "--json").stdout)}, set(listed))

    def test_ps_shows_what_runs(self):
        flare = self.detach("hang")
        self.assertIn(flare, self.covey("ps", "--ids").stdout.split())
        self.assertIn("has not ended", self.covey("results", flare, status=2).stderr)
        self.assertIn("cancelled", self.covey("cancel", "--reason", "enough", flare).stdout)
        self.assertNotIn(flare, self.covey("ps", "--ids").stdout.split())
        self.covey("wait", flare, status=130)
        self.assertIn("no flare has an id that begins with nonsense", self.covey("cancel", "nonsense", status=2).stderr)
        self.assertIn("there is no flare", self.covey("cancel", "not-an-id", status=2).stderr)

    def test_waiting_has_a_limit(self):
        flare = self.detach("hang")
        self.covey("wait", "--timeout", "100ms", flare, status=5)
        self.covey("watch", "--timeout", "100ms", flare, status=5)
        self.covey("cancel", flare)

    def test_interrupt_of_wait_does_not_cancel(self):
        flare = self.detach("hang")
        process = self.place.start("wait", flare, server=self.server)
        read_until(process.stderr, "running")
        interrupt(process)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn(flare, self.covey("ps", "--ids").stdout.split())
        self.covey("cancel", flare)

    def test_explain(self):
        out = self.covey("explain", "F" * 26).stdout
        self.assertIn("waits: it waits for slots\n", out)
        self.assertIn("nodes: 2 up; 4 of 9 workers would fit now\n", out)
        self.assertEqual(objects(self.covey("explain", "--json", "F" * 26).stdout)[0]["reasons"][0]["kind"], "CAPACITY")

    def test_plan(self):
        self.covey("deploy", "hello.so")
        self.covey("deploy", "huge.so")
        self.assertIn("would start now: 3 workers in 2 packs", self.covey("plan", "-n", "3", "hello").stdout)
        self.assertEqual(objects(self.covey("plan", "--json", "hello").stdout)[0]["placeable"], True)
        self.assertIn("can never be placed: the cluster has 16 slots", self.covey("plan", "huge", status=3).stdout)

    def test_cluster(self):
        self.assertRegex(self.covey("nodes").stdout, r"node-1 +up +0/8")
        self.assertEqual([node["name"] for node in objects(self.covey("nodes", "--json").stdout)], ["node-1", "node-2"])
        self.assertIn("coveyd 0.", self.covey("status").stdout)
        (status,) = objects(self.covey("status", "--json").stdout)
        self.assertEqual(len(status["nodes"]), 2)
        self.assertEqual(status["endpoint"], self.server)
        self.assertIn("at most 1000 workers", self.covey("version").stdout)
        self.covey("deploy", "hello.so")
        digest = self.covey("blobs").stdout.split()[0]
        self.assertIn(digest, self.covey("blobs", digest).stdout)
        self.covey("blobs", "0" * 64, status=2)

    def test_server_from_each_place(self):
        environment = dict(self.place.environment)
        for arguments in [["--server", self.server, "nodes"], ["nodes", "--server", self.server]]:
            done = subprocess.run([COVEY, *arguments], env=environment, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        folder = self.place.path("home/.config/covey")
        os.makedirs(folder)
        self.addCleanup(os.remove, folder + "/config.yaml")
        with open(folder + "/config.yaml", "w", encoding="ascii") as file:
            file.write(f"server: {self.server}\n")
        self.assertEqual(self.place.run("nodes").returncode, 0)
        self.assertEqual(self.place.run("nodes", COVEY_SERVER="unix:/nowhere").returncode, 4)
        with open(folder + "/config.yaml", "w", encoding="ascii") as file:
            file.write("sever: x\n")
        done = self.place.run("nodes")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"config.yaml: .*sever")


class Identity(unittest.TestCase):
    def setUp(self):
        self.place = Place()
        self.addCleanup(self.place.remove)

    def test_token_from_each_place(self):
        with controller(self.place, FAKE_TOKEN="secret") as server:
            done = self.place.run("nodes", server=server)
            self.assertEqual((done.returncode, done.stderr), (2, "covey nodes: who are you? give a token with --token\n"))
            self.assertEqual(self.place.run("nodes", "--token", "wrong", server=server).returncode, 2)
            self.assertEqual(self.place.run("nodes", "--token", "secret", server=server).returncode, 0)
            self.assertEqual(self.place.run("nodes", server=server, COVEY_TOKEN="secret").returncode, 0)
            os.makedirs(self.place.path("home/.config/covey"))
            with open(self.place.path("home/.config/covey/config.yaml"), "w", encoding="ascii") as file:
                file.write(f"server: {server}\ntoken: secret\n")
            self.assertEqual(self.place.run("nodes").returncode, 0)

    def certificate(self, name):
        files = self.place.path(name + ".crt"), self.place.path(name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout",
                        files[1]], check=True, capture_output=True)
        return files

    def test_tls_with_whom_to_trust(self):
        certificate, key = self.certificate("server")
        other, _ = self.certificate("other")
        with controller(self.place, "127.0.0.1:0", FAKE_CERTIFICATE=certificate, FAKE_KEY=key) as server:
            self.assertEqual(self.place.run("nodes", "--ca", certificate, server=server).returncode, 0)
            for arguments in [["--ca", other], ["--tls"], []]:
                done = self.place.run("nodes", *arguments, server=server)
                self.assertEqual(done.returncode, 4, (arguments, done.stderr))
            self.assertRegex(self.place.run("nodes", "--ca", other, server=server).stderr, "(?i)certificate")


class BadInput(unittest.TestCase):
    """Each ends with its exit status and one sentence that names the fault; nothing is left behind."""

    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.addClassCleanup(cls.place.remove)
        place = cls.place
        place.compile("none.so", "int other(void) { return 0; }", "-shared", "-fPIC")
        place.compile("hidden.so", '__attribute__((visibility("hidden"))) int covey_work(void *c) { return c == 0; }', "-shared", "-fPIC")
        place.compile("object.so", "int covey_work(void *c) { return c == 0; }", "-c")
        program = place.compile("program", "int main(void) { return 0; }")
        place.compile("static", "int main(void) { return 0; }", "-static")
        with open(program, "rb") as file:
            image = bytearray(file.read())
        os.chmod(program, 0o644)
        for name, change in {"foreign.so": (18, b"\xb7\x00"), "narrow.so": (4, b"\x01")}.items():
            with open(place.path("hello.so"), "rb") as file:
                image = bytearray(file.read())
            image[change[0]:change[0] + len(change[1])] = change[1]
            with open(place.path(name), "wb") as file:
                file.write(image)
        for name, content in {"empty.so": b"", "text.so": b"text\n", "script": b"#!/bin/sh\n", "short.so": b"\x7fELF\2\1\1", "nolines": b""}.items():
            with open(place.path(name), "wb") as file:
                file.write(content)

    TABLE = [
        # arguments, exit status, what the message says
        (["fly"], 2, r'there is no verb "fly"'),
        ([], 2, r"say what to do"),
        (["run"], 2, r"say which FILE"),
        (["run", "-n", "0", "hello.so"], 2, r'-n must be a whole number from 1 to 2147483647, not "0"'),
        (["run", "-n", "-3", "hello.so"], 2, r'not "-3"'),
        (["run", "-n", "many", "hello.so"], 2, r'not "many"'),
        (["run", "-n", "99999999999", "hello.so"], 2, r'not "99999999999"'),
        (["run", "-n", "100000", "hello.so"], 2, r"100000 workers are too many for this machine alone: at most 2046"),
        (["run", "missing.so"], 2, r"cannot read missing.so: no such file here, and no such program in PATH"),
        (["run", "./missing.so"], 2, r"cannot read ./missing.so: No such file"),
        (["run", "."], 2, r"\. is no regular file"),
        (["run", "empty.so"], 2, r"empty.so is empty"),
        (["run", "text.so"], 2, r"text.so is neither an ELF file nor a script that starts with #!: give a shared object"),
        (["run", "script"], 2, r"script is not executable: set its permission with chmod \+x"),
        (["run", "short.so"], 2, r"short.so is cut short"),
        (["run", "foreign.so"], 2, r"foreign.so is for another machine \(aarch64, 64 bits\): build it for x86_64"),
        (["run", "narrow.so"], 2, r"narrow.so is for another machine \(x86_64, 32 bits\)"),
        (["run", "none.so"], 2, r"none.so exports no covey_work\(\)"),
        (["run", "hidden.so"], 2, r"hidden.so exports no covey_work\(\)"),
        (["run", "object.so"], 2, r"object.so is neither a shared object nor a program: link it"),
        (["run", "program"], 2, r"program is not executable: set its permission with chmod \+x"),
        (["run", "hello.so", "argument"], 2, r'takes no arguments \("argument"\)'),
        (["run", "--worker", "thread", "static"], 2, r"leave --worker thread away"),
        (["run", "--worker", "fiber", "hello.so"], 2, r"--worker must be process or thread"),
        (["run", "--packing", "tight", "hello.so"], 2, r"--packing must be one of heterogeneous, homogeneous, mixed"),
        (["run", "--placement", "near", "hello.so"], 2, r"--placement must be one of pack, strict-pack"),
        (["run", "--memory", "lots", "hello.so"], 2, r"--memory must be a size such as 4096, 512M"),
        (["run", "--time-limit", "soon", "hello.so"], 2, r"--time-limit must be a time such as 250ms"),
        (["run", "--priority", "1001", "hello.so"], 2, r"--priority must be a whole number from -1000 to 1000"),
        (["run", "--label", "x", "hello.so"], 2, r"--label must be KEY=VALUE"),
        (["run", "--cpus", "0", "hello.so"], 2, r"--cpus must be a number"),
        (["run", "--param", "@missing", "hello.so"], 2, r"missing"),
        (["run", "--param", "a", "--param", "b", "-n", "3", "hello.so"], 2, r"-n asks for 3 workers, but there are 2 parameters"),
        (["run", "--params-file", "nolines", "hello.so"], 2, r"nolines has no lines"),
        (["run", "--params-file", "nolines", "--param", "x", "hello.so"], 2, r"give --param or --params-file, not both"),
        (["run", "--nonsense", "hello.so"], 2, r"unrecognized option '--nonsense'"),
        (["run", "--server", "nonsense", "hello.so"], 2, r'"nonsense" is no address: use host:port or unix:/path'),
        (["run", "--server", "unix:/nowhere/x", "hello.so"], 4, r"no controller answers at unix:/nowhere/x: .*No such file|no such file"),
        (["run", "--server", "127.0.0.1:1", "hello.so"], 4, r"no controller answers at 127.0.0.1:1"),
        (["ps"], 4, r"no controller is running here and none is configured: start one with covey up"),
        (["status"], 4, r"covey up"),
        (["down"], 2, r"nothing was started here with covey up"),
        (["up", "--nodes", "0"], 2, r"--nodes must be a whole number from 1 to 1000"),
        (["up", "--slots", "0"], 2, r"--slots must be a whole number from 1 to 1023"),
        (["up", "extra"], 2, r"one argument too many"),
        (["flare"], 2, r"say which DEFINITION"),
        (["wait"], 2, r"say which FLARE"),
        (["cancel"], 2, r"say which FLARE"),
        (["logs", "--rank", "3-1", "x"], 2, r"--rank must be like 0,3,8-11"),
        (["logs", "--rank", "a", "x"], 2, r"--rank must be like"),
        (["ps", "--state", "odd"], 2, r"--state must be queued"),
        (["blobs", "short"], 2, r"64 lowercase hexadecimal digits"),
    ]

    def test_each_has_one_message_and_its_exit_status(self):
        before = set(os.listdir(self.place.folder)), set(os.listdir(self.place.path("run")))
        for arguments, status, message in self.TABLE:
            with self.subTest(arguments=arguments):
                done = self.place.run(*arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertRegex(done.stderr, message)
                self.assertEqual(done.stdout, "")
                name = "covey" + (f" {arguments[0]}" if arguments and arguments[0] != "fly" else "")
                said = [line for line in done.stderr.splitlines() if not line.startswith("Try `")]
                self.assertEqual(len(said), 1, said)
                self.assertTrue(said[0].startswith(name + ": "), said)
        self.assertEqual((set(os.listdir(self.place.folder)), set(os.listdir(self.place.path("run")))), before)

    def test_other_version_is_named(self):
        with controller(self.place, FAKE_VERSION="9.8.7") as server:
            done = self.place.run("nodes", server=server)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"has version 9\.8\.7, this is covey 0\.\d+\.\d+: use the same")
            self.assertIn("coveyd 9.8.7", self.place.run("version", server=server).stdout)

    def test_refusals_of_the_controller_are_its_sentences(self):
        with controller(self.place) as server:
            self.assertIn("at most 1000 workers", self.place.run("run", "-n", "2000", "hello.so", server=server).stderr)
            self.assertEqual(self.place.run("run", "-n", "2000", "hello.so", server=server).returncode, 2)
            done = self.place.run("run", "--param", "@big", "hello.so", server=server)
            self.assertEqual(done.returncode, 2)
            with open(self.place.path("big"), "wb") as file:
                file.write(b"x" * (5 << 20))
            self.addCleanup(os.remove, self.place.path("big"))
            done = self.place.run("run", "--param", "@big", "hello.so", server=server)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"the request of \d+ bytes is longer than a message may be")


class Agreement(unittest.TestCase):
    def verbs(self):
        said = subprocess.run([COVEY, "--help"], capture_output=True, text=True, check=True).stdout
        return re.findall(r"^  ([a-z]+) {2,}\S", said, re.MULTILINE)

    def test_verbs_of_help_are_those_of_the_completion_and_the_man_page(self):
        verbs = self.verbs()
        self.assertIn("run", verbs)
        with open(os.path.join(SOURCE, "packaging", "bash-completion", "covey"), encoding="utf-8") as file:
            completed = re.search(r'local verbs="([^"]*)"', file.read()).group(1).split()
        self.assertEqual(completed, verbs)
        with open(os.path.join(SOURCE, "docs", "man", "covey.1"), encoding="utf-8") as file:
            self.assertEqual(set(re.findall(r"^\.Ss (\w+)$", file.read(), re.MULTILINE)), set(verbs))
        with open(os.path.join(SOURCE, "docs", "cli.md"), encoding="utf-8") as file:
            self.assertEqual(re.findall(r"^\| `([a-z]+)` \|", file.read(), re.MULTILINE), verbs)

    def test_each_verb_has_help(self):
        for verb in self.verbs():
            said = subprocess.run([COVEY, verb, "--help"], capture_output=True, text=True, check=True).stdout
            self.assertTrue(said.startswith(f"Usage: covey {verb} "), said)

    def test_completion_offers_verbs_and_options(self):
        script = f"""source {SOURCE}/packaging/bash-completion/covey; PATH={os.path.dirname(COVEY)}:$PATH
            compopt() {{ :; }}
            COMP_WORDS=(covey unde); COMP_CWORD=1; _covey; echo "${{COMPREPLY[@]}}"
            COMP_WORDS=(covey run --packing ho); COMP_CWORD=3; _covey; echo "${{COMPREPLY[@]}}"
            COMP_WORDS=(covey logs --fo); COMP_CWORD=2; _covey; echo "${{COMPREPLY[@]}}" """
        said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        self.assertEqual(said.split("\n")[:3], ["undeploy", "homogeneous", "--follow"])


if __name__ == "__main__":
    unittest.main()
