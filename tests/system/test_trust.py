#!/usr/bin/python3
"""Who may come in: certificates, tokens that change while the controller runs, and the mode of its socket."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BAD_INPUT, OK, UNREACHABLE, SystemTest, free_port, program, wait_for, worker

NOBODY = 65534


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder):
        self.folder = folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=authority", "-keyout", self.key("authority"), "-out", self.cert("authority"))

    def cert(self, name):
        return os.path.join(self.folder, name + ".pem")

    def key(self, name):
        return os.path.join(self.folder, name + ".key")

    def issue(self, name):
        request = os.path.join(self.folder, name + ".csr")
        names = os.path.join(self.folder, name + ".ext")
        with open(names, "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                "-keyout", self.key(name), "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert("authority"), "-CAkey", self.key("authority"),
                "-CAcreateserial", "-days", "2", "-extfile", names, "-out", self.cert(name))
        os.chmod(self.key(name), 0o600)
        return ["--cert", self.cert(name), "--key", self.key(name)]


class Controller:
    """coveyd in a sandbox, started with these options."""

    def __init__(self, sandbox, *options):
        self.sandbox = sandbox
        self.log_path = os.path.join(sandbox.folder, "coveyd.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([program("coveyd"), "--state-dir", sandbox.state, *options], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=sandbox.environment, start_new_session=True)
        try:
            wait_for(lambda: "listening" in self.log() or self.process.poll() is not None, "coveyd that listens")
        except AssertionError:
            self.close()
            raise

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def hang_up(self, says):
        count = self.log().count(says)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log().count(says) > count, f"coveyd that says {says!r}")

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def write_secret(folder, name, text, mode=0o600):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


class Certificates(SystemTest):
    NODES = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="cvy-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = Authority(cls.folder)
        cls.server = cls.authority.issue("server")
        cls.alice = cls.authority.issue("alice")
        cls.mallory = cls.authority.issue("mallory")
        cls.node = cls.authority.issue("node-1")

    def start(self):
        """A controller that asks for certificates, with a node; the address of the controller."""
        sandbox = self.sandbox()
        ca = self.authority.cert("authority")
        address = f"localhost:{free_port()}"
        join = write_secret(sandbox.folder, "join", "join me\n")
        tokens = write_secret(sandbox.folder, "tokens", "cert:alice physics user\n")
        controller = Controller(sandbox, "--listen", address, "--tls-cert", self.authority.cert("server"), "--tls-key",
                                self.authority.key("server"), "--tls-ca", ca, "--tokens-file", tokens, "--join-token-file", join)
        self.addCleanup(controller.close)
        node = sandbox.start(program("covey-node"), "--name", "node-1", "--controller", address, "--ca-file", ca, *self.node,
                             "--join-token-file", join, "--slots", "4", "--state-dir", os.path.join(sandbox.folder, "n"),
                             "--runtime-dir", os.path.join(sandbox.folder, "r"))
        self.addCleanup(lambda: (node.terminate(), node.communicate()))
        return sandbox, ["--server", address, "--ca", ca], controller

    def test_flare_of_who_shows_a_certificate(self):
        sandbox, to, controller = self.start()
        wait_for(lambda: '"UP"' in sandbox.covey("nodes", "--json", *to, *self.alice).out, "a node that is up")
        self.assert_code(sandbox.covey("deploy", "--name", "act", *to, *self.alice, worker("act.so")), OK)
        done = sandbox.covey("flare", "--json", "-n", "4", "--param", "mesh", *to, *self.alice, "act")
        self.assert_code(done, OK)
        self.assertEqual(done.last()["tenant"], "physics")
        # The same from the configuration file.
        os.makedirs(os.path.join(sandbox.home, ".config", "covey"))
        write_secret(os.path.join(sandbox.home, ".config", "covey"), "config.yaml",
                     f"server: {to[1]}\nca: {to[3]}\ncert: {self.alice[1]}\nkey: {self.alice[3]}\n")
        done = sandbox.covey("ps", "--all", "--json")
        self.assert_code(done, OK)
        self.assertEqual([flare["tenant"] for flare in done.objects()], ["physics"])
        self.assertNotIn("error", controller.log())

    def test_others_are_kept_out_with_one_sentence(self):
        sandbox, to, _ = self.start()
        self.assert_message(sandbox.covey("ps", *to), UNREACHABLE, "certificate required")
        self.assert_message(sandbox.covey("ps", *to, *self.mallory), BAD_INPUT, "certificate of 'mallory' is nobody's")
        foreign = Authority(tempfile.mkdtemp(dir=sandbox.folder)).issue("alice")
        self.assert_message(sandbox.covey("ps", *to, *foreign), UNREACHABLE, "unknown ca|certificate")
        self.assert_message(sandbox.covey("ps", *to, *self.alice[:2]), BAD_INPUT, "go together")

    def test_key_that_others_may_read_is_refused(self):
        sandbox, to, _ = self.start()
        open_key = shutil.copy(self.authority.key("alice"), os.path.join(sandbox.folder, "open.key"))
        os.chmod(open_key, 0o644)
        own = ["--cert", self.authority.cert("alice"), "--key", open_key]
        self.assert_message(sandbox.covey("ps", *to, *own), BAD_INPUT, "open.key holds a secret.*chmod 600")
        done = sandbox.covey(program("covey-node"), "--controller", to[1], "--ca-file", to[3], *own, "--state-dir",
                             os.path.join(sandbox.folder, "n2"), "--runtime-dir", os.path.join(sandbox.folder, "r2"))
        self.assertEqual(done.code, 1, str(done))
        self.assertRegex(done.err, "open.key holds a secret.*chmod 600")
        done = sandbox.covey(program("coveyd"), "--state-dir", os.path.join(sandbox.folder, "c2"), "--listen", "127.0.0.1:0",
                             "--tls-cert", own[1], "--tls-key", open_key)
        self.assertEqual(done.code, BAD_INPUT, str(done))
        self.assertRegex(done.err, "open.key holds a secret.*chmod 600")


class Hangup(SystemTest):
    NODES = 0

    def test_tokens_are_read_again_and_a_wrong_file_changes_nothing(self):
        sandbox = self.sandbox()
        address = f"127.0.0.1:{free_port()}"
        write_secret(sandbox.folder, "tokens", "first alice user\n")
        write_secret(sandbox.folder, "tenants", "alice slots=1\n")
        controller = Controller(sandbox, "--listen", address, "--tokens-file", os.path.join(sandbox.folder, "tokens"),
                                "--tenants-file", os.path.join(sandbox.folder, "tenants"))
        self.addCleanup(controller.close)

        def code(token):
            return sandbox.covey("ps", "--server", address, "--token", token).code
        self.assertEqual((code("first"), code("second")), (OK, BAD_INPUT))
        write_secret(sandbox.folder, "tokens", "second bob user\n")
        controller.hang_up("were read again")
        self.assertEqual((code("first"), code("second")), (BAD_INPUT, OK))
        write_secret(sandbox.folder, "tokens", "third carol\n")
        controller.hang_up("tokens and tenants stay as they were")
        self.assertRegex(controller.log(), "stay as they were: .*tokens:1: a line is TOKEN")
        self.assertEqual((code("second"), code("third")), (OK, BAD_INPUT))
        # One wrong file keeps the other from being taken, too.
        write_secret(sandbox.folder, "tokens", "third carol user\n")
        write_secret(sandbox.folder, "tenants", "alice slots=none\n")
        controller.hang_up("tokens and tenants stay as they were")
        self.assertEqual((code("second"), code("third")), (OK, BAD_INPUT))
        write_secret(sandbox.folder, "tenants", "alice slots=2\n")
        controller.hang_up("were read again")
        self.assertEqual((code("second"), code("third")), (BAD_INPUT, OK))


@unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
class SocketMode(SystemTest):
    NODES = 0

    def start(self, *options):
        sandbox = self.sandbox()
        os.chmod(sandbox.folder, 0o711)
        socket = os.path.join(sandbox.folder, "s", "covey.sock")
        controller = Controller(sandbox, "--listen", "unix:" + socket, *options)
        self.addCleanup(controller.close)
        return sandbox, "unix:" + socket, controller

    def as_nobody(self, sandbox, *arguments, groups=()):
        return sandbox.covey(*arguments, user=NOBODY, group=NOBODY, extra_groups=groups, environment={"XDG_CONFIG_HOME": "/nonexistent"})

    def test_by_default_only_its_own_user(self):
        sandbox, address, _ = self.start()
        self.assert_code(sandbox.covey("ps", "--server", address), OK)
        self.assert_code(self.as_nobody(sandbox, "ps", "--server", address), UNREACHABLE)

    def test_everybody_is_let_in_and_is_a_tenant(self):
        sandbox, address, _ = self.start("--socket-mode", "0666")
        self.assert_code(self.as_nobody(sandbox, "deploy", "--name", "act", "--server", address, worker("act.so")), OK)
        done = self.as_nobody(sandbox, "flare", "--detach", "--wait-for-nodes", "-n", "1", "--server", address, "act")
        self.assert_code(done, OK)
        flares = sandbox.covey("ps", "--json", "--server", address).objects()
        self.assertEqual([flare["tenant"] for flare in flares], [f"uid:{NOBODY}"])
        self.assertEqual(self.as_nobody(sandbox, "nodes", "--server", address).code, OK)
        self.assert_code(sandbox.covey("cancel", "--server", address, flares[0]["id"]), OK)

    def test_group_is_let_in_and_others_are_not(self):
        sandbox, address, _ = self.start("--socket-mode", "0660", "--socket-group", "12345")
        self.assert_code(self.as_nobody(sandbox, "ps", "--server", address, groups=[12345]), OK)
        self.assert_code(self.as_nobody(sandbox, "ps", "--server", address), UNREACHABLE)

    def test_folder_that_keeps_them_out_is_named(self):
        sandbox = self.sandbox()
        os.mkdir(os.path.join(sandbox.folder, "closed"), 0o700)
        done = sandbox.covey(program("coveyd"), "--state-dir", sandbox.state, "--socket-mode", "0666", "--listen",
                             f"unix:{sandbox.folder}/closed/covey.sock")
        self.assertEqual(done.code, BAD_INPUT, str(done))
        self.assertRegex(done.err, "closed keeps them out: chmod it")


if __name__ == "__main__":
    unittest.main()
