#!/usr/bin/python3
"""A Covey flare across two machines: TeraSort of 16 workers, whose records cross by RDMA, proved sorted outside."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import labtest  # noqa: E402

BIN = os.path.join(labtest.BUILD, "bin")
EXAMPLES = os.path.join(labtest.BUILD, "examples")
RECORDS = 80000
CERTIFICATE = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=covey", "-addext", "subjectAltName=IP:10.77.0.1", "-keyout", "key.pem", "-out", "cert.pem"]


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


class TeraSort(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="covey-lab-flare-")
        self.addCleanup(shutil.rmtree, self.folder)
        made = run(*CERTIFICATE, cwd=self.folder)
        self.assertEqual(made.returncode, 0, made.stderr)
        token = os.path.join(self.folder, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write(os.urandom(16).hex() + "\n")
        os.chmod(token, 0o600)
        made = run(os.path.join(EXAMPLES, "teragen"), str(RECORDS), "input", cwd=self.folder)
        self.assertEqual(made.returncode, 0, made.stderr)

    def logs(self):
        text = ""
        for node in ("node0", "node1"):
            for name in ("coveyd.log", "covey-node.log"):
                path = os.path.join(self.folder, "out", node, name)
                if os.path.exists(path):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        text += f"\n{node} {name}:\n{file.read()[-4000:]}"
        return text

    def validate(self, parts):
        """teravalidate over the parts of both nodes."""
        sorted_folder = os.path.join(self.folder, "sorted")
        os.makedirs(sorted_folder, exist_ok=True)
        for part in parts:
            shutil.copy(part, sorted_folder)
        return run(os.path.join(EXAMPLES, "teravalidate"), "input", "sorted", cwd=self.folder)

    def test_sixteen_workers_on_two_machines_sort_by_rdma(self):
        done = labtest.lab("run", "--time-limit", "150", "--out", "out", "--", os.path.join(HERE, "flare"), BIN, EXAMPLES, self.folder,
                           cwd=self.folder, seconds=170)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said + self.logs())
        self.assertIn("16 workers in 2 packs on 2 nodes", said)
        messages = re.search(r"messages by (\S+)", said)
        self.assertTrue(messages, said)
        self.assertIn("rc_verbs/rxe0", messages.group(1))
        parts = {node: os.listdir(os.path.join(self.folder, "out", node, "sorted")) for node in ("node0", "node1")}
        self.assertEqual([len(parts[node]) for node in sorted(parts)], [8, 8])
        paths = [os.path.join(self.folder, "out", node, "sorted", part) for node, names in parts.items() for part in names]
        valid = self.validate(paths)
        self.assertEqual(valid.returncode, 0, valid.stderr)
        self.assertIn(f"VALID records={RECORDS} ", valid.stdout)
        print(f"\nmessages by {messages.group(1)}; packets sent, received: {labtest.packets(said)}; {valid.stdout.strip()}")


if __name__ == "__main__":
    labtest.main()
