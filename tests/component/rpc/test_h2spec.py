#!/usr/bin/python3
"""All of h2spec against our server, plain and over TLS. Where the program is not there it is built, if Go and its module proxy are."""

import os
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402

outside.make_stubs()
MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def find():
    """The program: installed, built by an earlier run, or built now."""
    folder = os.path.join(outside.BUILD, "tests", "h2spec")
    built = os.path.join(folder, "h2spec")
    program = shutil.which("h2spec") or (built if os.path.exists(built) else None)
    if program:
        return program
    go = shutil.which("go")
    if not go:
        skip("h2spec is not there, nor Go to build it")
    environment = {**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod", "GOPATH": os.path.join(folder, "go")}
    try:
        said = subprocess.run([go, "install", MODULE], env=environment, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        skip("h2spec cannot be built: Go's module proxy does not answer")
    if said.returncode:
        skip(f"h2spec cannot be built: {said.stderr.strip().splitlines()[-1] if said.stderr.strip() else 'go failed'}")
    return built


PROGRAM = find()


class H2spec(unittest.TestCase):
    def run_against(self, server, *options):
        try:
            host, _, port = server.address.rpartition(":")
            said = subprocess.run([PROGRAM, "-h", host, "-p", port, "-o", "10", *options], capture_output=True,
                                  text=True, timeout=240)
            failures = said.stdout[said.stdout.find("Failures:"):] if "Failures:" in said.stdout else said.stdout[-300:]
            self.assertEqual(said.returncode, 0, failures)
            self.assertIn(" 0 failed", said.stdout)
        finally:
            server.stop()

    def test_plain(self):
        self.run_against(outside.Server("127.0.0.1:0"))

    def test_tls(self):
        self.run_against(outside.Server("127.0.0.1:0", *outside.make_certificate()), "-t", "-k")


if __name__ == "__main__":
    unittest.main()
