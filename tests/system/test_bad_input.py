#!/usr/bin/python3
"""Bad input: one clear line, the right exit status and gRPC code, and nothing left behind.

Tables: each row is a command, the status it must end with, and what its message must say.
"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import covey_api
from covey_system import (BAD_INPUT, FAILED, OK, SANITIZED, TIMED_OUT, UNPLACEABLE, UNREACHABLE, SystemTest, example, free_port, program,
                          wait_for, worker)

ACT = worker("act.so")
ACT_PROGRAM = worker("act")
ELF_MACHINE_OFFSET = 18
EM_AARCH64 = 183
StatusCode = covey_api.grpc.StatusCode


class Requests(SystemTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.deploy("act", ACT)
        folder = cls.cluster.folder
        cls.files = {name: os.path.join(folder, name)
                     for name in ("foreign.so", "closed", "text.sh", "cut.so", "empty", "large", "lines")}
        with open(ACT, "rb") as file:
            code = bytearray(file.read())
        with open(cls.files["cut.so"], "wb") as file:
            file.write(code[:100])
        struct.pack_into("<H", code, ELF_MACHINE_OFFSET, EM_AARCH64)
        with open(cls.files["foreign.so"], "wb") as file:
            file.write(code)
        shutil.copy(ACT_PROGRAM, cls.files["closed"])
        os.chmod(cls.files["closed"], 0o644)
        with open(cls.files["text.sh"], "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 0\n")
        with open(cls.files["empty"], "wb"):
            pass
        with open(cls.files["large"], "wb") as file:
            file.truncate(int(cls.cluster.api.server_info().max_parameter_bytes) + 1)

    def assert_table(self, rows):
        for command, code, pattern in rows:
            with self.subTest(command=" ".join(command)):
                before = {flare["id"] for flare in self.flares()}
                done = self.cluster.covey(*command)
                self.assert_message(done, code, pattern)
                for flare in self.flares():
                    if flare["id"] not in before:
                        self.fail(f"a refused request left a flare: {flare}")

    def flares(self):
        return self.cluster.expect(OK, "ps", "--all", "--json").objects()

    def test_refused_requests(self):
        files = self.files
        self.assert_table([
            # what is to run
            (["flare", "-n", "1", "nobody"], BAD_INPUT, "nobody"),
            (["plan", "-n", "1", "nobody"], BAD_INPUT, "nobody"),
            (["undeploy", "nobody"], BAD_INPUT, "nobody"),
            *[([verb, ""], BAD_INPUT, "'' is no flare's id") for verb in ("wait", "cancel", "logs", "results", "explain")],
            (["cancel", "--reason", "caf\udce9", "0" * 26], BAD_INPUT, "reason of the request is not UTF-8"),
            (["run", "-n", "1", "--env", "BIG=" + "x" * 40000, ACT], BAD_INPUT, "'BIG' has 40000 bytes, over the limit of 32768"),
            (["deploy", "--name", "x", worker("blank.so")], BAD_INPUT, "covey_work"),
            (["deploy", "--name", "x", files["foreign.so"]], BAD_INPUT, "(?i)aarch64|arm|machine"),
            (["deploy", "--name", "x", files["cut.so"]], BAD_INPUT, "cut.so"),
            (["deploy", "--name", "x", files["empty"]], BAD_INPUT, "empty"),
            (["deploy", "--name", "x", files["text.sh"]], BAD_INPUT, "text.sh is not executable"),
            (["deploy", "--name", "x", files["closed"]], BAD_INPUT, "closed.*execut"),
            (["deploy", "--name", "x", "/nonexistent/act.so"], BAD_INPUT, "/nonexistent/act.so.*[Nn]o such"),
            (["deploy", "--name", "No Name!", ACT], BAD_INPUT, "No Name!"),
            (["run", "-n", "1", "/nonexistent/act"], BAD_INPUT, "/nonexistent/act.*[Nn]o such"),
            (["run", "-n", "1", files["closed"]], BAD_INPUT, "closed.*execut"),
            # how many
            (["flare", "-n", "0", "act"], BAD_INPUT, "-n .*0"),
            (["flare", "-n", "-1", "act"], BAD_INPUT, "-1"),
            (["flare", "-n", "two", "act"], BAD_INPUT, "two"),
            (["flare", "-n", "99999999999", "act"], BAD_INPUT, "99999999999"),
            (["flare", "-n", "4000000000", "act"], BAD_INPUT, r"\b1 to \d+.*4000000000"),
            (["flare", "-n", "17", "act"], UNPLACEABLE, r"\b16\b"),
            (["run", "-n", "17", ACT], UNPLACEABLE, r"\b16\b"),
            (["run", "-n", "0", ACT], BAD_INPUT, "-n .*0"),
            (["flare", "-n", "3", "--param", "a", "--param", "b", "act"], BAD_INPUT, "3.*2"),
            (["flare", "--params-file", files["empty"], "act"], BAD_INPUT, "empty"),
            # how
            (["flare", "-n", "4", "--packing", "loose", "act"], BAD_INPUT, "loose"),
            (["flare", "-n", "4", "--placement", "far", "act"], BAD_INPUT, "far"),
            (["flare", "-n", "4", "--packing", "homogeneous", "--granularity", "3", "act"], BAD_INPUT, r"\b3\b"),
            (["flare", "-n", "4", "--time-limit", "soon", "act"], BAD_INPUT, "soon"),
            (["flare", "-n", "4", "--priority", "5000", "act"], BAD_INPUT, "5000|1000"),
            (["flare", "-n", "1", "--param", "@" + files["large"], "act"], BAD_INPUT, "(?i)limit|at most|too l"),
            (["flare", "-n", "1", "--param", "@/nonexistent/p", "act"], BAD_INPUT, "/nonexistent/p"),
            (["frobnicate"], BAD_INPUT, "frobnicate"),
            # whom
            (["wait", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], BAD_INPUT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            (["wait", "x"], BAD_INPUT, "x"),
            (["logs", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], BAD_INPUT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            (["results", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], BAD_INPUT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            (["watch", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], BAD_INPUT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            (["cancel", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], BAD_INPUT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ])

    def assert_failed(self, act, message, code=FAILED, state="FAILED", workers=16, **error):
        """A flare that fails says why, in its error and on standard error of `run`, and nothing is left of it."""
        flare_id = self.cluster.flare("-n", str(workers), "--param", act, "act")
        flare = self.assert_ended(self.cluster, flare_id, state, code)
        self.assertRegex(flare["error"]["message"], message)
        self.assertEqual({name: flare["error"][name] for name in error}, error, flare["error"])
        return flare

    def test_worker_exits_non_zero(self):
        self.assert_failed("return 5 3", r"\b5\b.*\b3\b", rank=5, exit_status=3, signal=0)

    def test_worker_segfaults(self):
        self.assert_failed("raise 12 11", r"\b12\b.*(signal 11|SIGSEGV|[Ss]egmentation)", rank=12, signal=11)

    def test_worker_exits_in_a_collective(self):
        """Also with status 0: the others cannot go on, and say because of whom."""
        for status in (0, 4):
            with self.subTest(status=status):
                flare_id = self.cluster.flare("-n", "16", "--param", f"exit 6 {status}", "act")
                flare = self.assert_ended(self.cluster, flare_id, "FAILED", FAILED)
                if status:
                    self.assertEqual((flare["error"]["rank"], flare["error"]["exit_status"]), (6, status))
                told = [line["text"] for line in self.cluster.logs(flare_id) if "got EPEER from barrier" in line["text"]]
                self.assertEqual(len(told), 15)
                for text in told:
                    self.assertRegex(text, r"\brank 6\b")

    def test_collectives_that_do_not_match(self):
        flare_id = self.cluster.flare("-n", "16", "--param", "mismatch", "act")
        self.assert_ended(self.cluster, flare_id, "FAILED", FAILED)
        self.assertIn("EMISMATCH", "\n".join(line["text"] for line in self.cluster.logs(flare_id)))

    def test_result_over_its_limit(self):
        limit = int(self.cluster.api.server_info().max_result_bytes)
        self.assert_failed(f"result {limit + 1}", "(?i)worker|rank", workers=1)
        flare_id = self.flares()[0]["id"]
        self.assertIn("ELIMIT", "\n".join(line["text"] for line in self.cluster.logs(flare_id)))

    def test_time_limit(self):
        done = self.cluster.covey("run", "-n", "4", "--param", "spin", "--time-limit", "200ms", ACT)
        self.assert_code(done, TIMED_OUT)
        self.assertRegex(done.err, "limit")

    def test_requests_made_to_exhaust_the_decoder(self):
        api = self.cluster.api
        nested = b""
        for _ in range(20000):
            nested = b"\x0a" + self.varint(len(nested)) + nested  # PlanFlareRequest.request, unknown inside
        padded = b"\x1a\x00" * (2 << 20)  # empty parameters: small on the wire, large in memory
        large = b"\x1a" + self.varint(5 << 20) + bytes(5 << 20)
        for name, request, codes in (
                ("nested", nested, {StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED, StatusCode.INTERNAL}),
                ("padded", padded, {StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED}),
                ("large", large, {StatusCode.RESOURCE_EXHAUSTED}),
                ("not utf-8", b"\x0a\x02\xff\xfe", {StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL}),
                ("NUL in a name", b"\x0a\x03a\x00b", {StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL}),
                ("cut", b"\x0a\x7fa", {StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL})):
            with self.subTest(request=name):
                self.assertIn(api.raw("Flare", request), codes)
                self.assertIn(api.raw("PlanFlare", request), codes | {StatusCode.NOT_FOUND})
        with open(f"/proc/{self.cluster.controller().pid}/status", encoding="utf-8") as status:
            peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        # Sanitizers keep freed memory aside.
        self.assertLess(peak_kib, (600 if SANITIZED else 200) << 10, "the decoder must not grow with what a peer sends")
        flare_id = self.cluster.flare("-n", "2", "--param", "echo", "act")
        self.assert_ended(self.cluster, flare_id, "SUCCEEDED", OK)

    @staticmethod
    def varint(number):
        out = bytearray()
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes(out + bytes([number]))

    def test_codes_of_the_api(self):
        messages = covey_api.messages
        bad_id = messages.GetFlareRequest(id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
        for method, request, code in (
                ("Flare", messages.FlareRequest(definition="nobody", workers=1), StatusCode.NOT_FOUND),
                ("Flare", messages.FlareRequest(definition="act"), StatusCode.INVALID_ARGUMENT),
                ("Flare", messages.FlareRequest(definition="act", workers=17), StatusCode.FAILED_PRECONDITION),
                ("Flare", messages.FlareRequest(definition="act", workers=2, parameters=[b"a"]), StatusCode.INVALID_ARGUMENT),
                ("GetFlare", bad_id, StatusCode.NOT_FOUND),
                ("Deploy", messages.DeployRequest(), StatusCode.INVALID_ARGUMENT),
                ("DrainNode", messages.DrainNodeRequest(name="nowhere", drain=True, reason="r"), StatusCode.NOT_FOUND),
                ("NoSuchMethod", bad_id, StatusCode.UNIMPLEMENTED)):
            with self.subTest(method=method, request=str(request)):
                self.assertEqual(self.cluster.api.raw(method, request.SerializeToString()), code)


class Surroundings(SystemTest):
    NODES = 0

    def assert_refused(self, sandbox, code, pattern, *command, **environment):
        done = sandbox.covey(*command, environment=environment)
        self.assert_message(done, code, pattern)
        self.assert_quiet(sandbox)

    def test_controller_unreachable(self):
        sandbox = self.sandbox()
        port = free_port()
        self.assert_refused(sandbox, UNREACHABLE, str(port), "nodes", COVEY_SERVER=f"127.0.0.1:{port}")
        self.assert_refused(sandbox, UNREACHABLE, str(port), "run", "-n", "1", ACT, COVEY_SERVER=f"127.0.0.1:{port}")
        self.assert_refused(sandbox, UNREACHABLE, "/nonexistent", "nodes", "--server", "unix:/nonexistent/covey.sock")
        self.assert_refused(sandbox, BAD_INPUT, "nowhere:port", "nodes", "--server", "nowhere:port")

    def test_server_that_is_no_controller(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def answer():
                while True:
                    try:
                        peer, _ = server.accept()
                    except OSError:
                        return
                    with peer:
                        peer.recv(4096)
                        peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            thread = threading.Thread(target=answer)
            thread.start()
            try:
                address = "127.0.0.1:%d" % server.getsockname()[1]
                self.assert_refused(self.sandbox(), UNREACHABLE, address, "nodes", COVEY_SERVER=address)
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()

    def test_port_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.assert_refused(self.sandbox(), BAD_INPUT, rf"port {port}.*(taken|in use)", "up", "--quiet", "--listen", f"127.0.0.1:{port}")

    def test_configuration(self):
        sandbox = self.sandbox()
        folder = os.path.join(sandbox.home, ".config", "covey")
        os.makedirs(folder)
        path = os.path.join(folder, "config.yaml")
        for text, pattern in (("server: [unix:/x\n", r"config\.yaml.*\b[12]\b"),
                              ("# one\nno_such_key: 1\n", r"config\.yaml.*\b2\b.*no_such_key|no_such_key.*\b2\b"),
                              ("- a\n- b\n", r"config\.yaml")):
            with self.subTest(text=text):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assert_refused(sandbox, BAD_INPUT, pattern, "nodes")
        os.remove(path)
        os.mkdir(path)
        self.assert_refused(sandbox, BAD_INPUT, r"config\.yaml", "nodes")

    def test_disk_full_on_the_journal(self):
        if os.geteuid() != 0:
            self.skipTest("a small file system can only be mounted by root")
        sandbox = self.sandbox()
        small = os.path.join(sandbox.folder, "small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", small], check=False).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        sandbox.environment["COVEY_STATE_DIR"] = small
        self.addCleanup(sandbox.covey, "down")
        self.assert_code(sandbox.covey("up", "--nodes", "1", "--slots", "4"), OK)
        self.assert_code(sandbox.covey("deploy", "--name", "act", ACT), OK)
        filler = os.path.join(small, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        done = sandbox.covey("flare", "--detach", "-n", "2", "--param", "x" * 100000, "act")
        self.assertNotEqual(done.code, OK, str(done))
        self.assertRegex(done.err, "(?i)no space|disk.*full|full.*disk")
        self.assertEqual(len(done.err.strip().splitlines()), 1, str(done))
        os.remove(filler)
        self.assert_code(sandbox.covey("run", "-n", "2", "--param", "echo", ACT), OK)

    def test_join_token_over_tcp(self):
        sandbox = self.sandbox()

        def write(name, text):
            path = os.path.join(sandbox.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o600)
            return path

        def agent(name, *arguments):
            folder = os.path.join(sandbox.folder, name)
            return sandbox.start(program("covey-node"), "--controller", address, "--name", name, "--slots", "2",
                                 "--state-dir", os.path.join(folder, "state"), "--runtime-dir", os.path.join(folder, "run"), *arguments)

        right, wrong = write("right.token", "a-token-of-this-cluster\n"), write("wrong.token", "another-token\n")
        address = f"127.0.0.1:{free_port()}"
        sandbox.start(program("coveyd"), "--listen", address, "--state-dir", os.path.join(sandbox.folder, "controller"),
                      "--join-token-file", right, "--tokens-file", write("users", "of-alice alice user\n"))
        for name, arguments in (("none", ()), ("wrong", ("--join-token-file", wrong))):
            done = sandbox.finish(agent(name, *arguments), 20)
            self.assertEqual(done.code, 1, str(done))
            self.assertRegex(done.err, "UNAUTHENTICATED.*join token is wrong")
        agent("good", "--join-token-file", right)
        as_alice = {"COVEY_SERVER": address, "COVEY_TOKEN": "of-alice"}
        wait_for(lambda: "good" in sandbox.covey("nodes", environment=as_alice).out, "the node is registered")
        self.assertRegex(sandbox.covey("nodes", environment={"COVEY_SERVER": address, "COVEY_TOKEN": "of-bob"}).err, "token")
        self.assert_code(sandbox.covey("run", "-n", "2", "--param", "echo", ACT, environment=as_alice), OK)


if __name__ == "__main__":
    unittest.main()
