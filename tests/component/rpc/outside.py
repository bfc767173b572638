"""What the Python tests of rpc/ share: stubs made by protoc, our server as a process, certificates."""

import os
import subprocess
import sys
import tempfile

BUILD = os.environ["COVEY_BUILD_DIR"]
HERE = os.path.dirname(os.path.abspath(__file__))
GRPC_PROTO = "/usr/share/grpc-proto"

try:
    import grpc
except ImportError:
    print("skipped: python3-grpcio is not there")
    sys.exit(77)

folder = tempfile.TemporaryDirectory(prefix="covey-test-")
DESCRIPTOR_SET = os.path.join(folder.name, "echo.binpb")


def _protoc(*arguments):
    subprocess.run(["protoc", *arguments], check=True)


def make_stubs():
    """The modules of echo, health and reflection, on sys.path."""
    grpc_files = ["grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
                  "grpc/reflection/v1alpha/reflection.proto"]
    stubs = os.path.join(folder.name, "stubs")
    os.mkdir(stubs)
    # The generated package "grpc" must not hide grpcio's: its modules are renamed.
    _protoc(f"--python_out={stubs}", "-I", HERE, os.path.join(HERE, "echo.proto"))
    for name, module in zip(grpc_files, ["health", "reflection_v1", "reflection_v1alpha"]):
        renamed = os.path.join(folder.name, module + ".proto")
        with open(os.path.join(GRPC_PROTO, name)) as source, open(renamed, "w") as copy:
            copy.write(source.read())
        _protoc(f"--python_out={stubs}", "-I", folder.name, renamed)
    _protoc(f"--descriptor_set_out={DESCRIPTOR_SET}", "--include_imports", "-I", HERE,
            os.path.join(HERE, "echo.proto"))
    sys.path.insert(0, stubs)


class Server:
    """build/tests/echo_server as a process; it stops when its input is closed."""

    def __init__(self, address, *tls, **environment):
        # What a sanitizer keeps of freed memory would hide what the server keeps.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests", "echo_server"), address, DESCRIPTOR_SET, *tls],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "ASAN_OPTIONS": sanitizer, **environment})
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the server did not start"

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])

    def begin_stop(self):
        self.process.stdin.close()

    def stop(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(60) == 0, f"the server ended with {self.process.returncode}"


def make_certificate():
    """A self-signed certificate for localhost: (certificate, key)."""
    certificate = os.path.join(folder.name, "certificate.pem")
    key = os.path.join(folder.name, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, stderr=subprocess.DEVNULL)
    return certificate, key
