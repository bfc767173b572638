#!/usr/bin/python3
"""coveyd as grpcio sees it: reflection, health, calls over a unix socket and over TCP with a token, signals and refusals."""

import os
import re
import signal
import subprocess
import sys
import tempfile

try:
    import grpc
except ImportError:
    print("skipped: python3-grpcio is not there")
    sys.exit(77)

BUILD = os.environ["COVEY_BUILD_DIR"]
SOURCE = os.environ["COVEY_SOURCE_DIR"]
COVEYD = os.path.join(BUILD, "bin", "coveyd")
folder = tempfile.TemporaryDirectory(prefix="covey-test-")


def path(name):
    return os.path.join(folder.name, name)


def make_stubs():
    """Messages of covey.v1 and of reflection, on sys.path; grpc's own are renamed so as not to hide grpcio."""
    os.mkdir(path("stubs"))
    names = ["types", "covey", "blobs", "node"]
    subprocess.run(["protoc", f"--python_out={path('stubs')}", "-I", os.path.join(SOURCE, "proto"),
                    *[f"covey/v1/{name}.proto" for name in names]], check=True)
    for name, module in [("reflection/v1/reflection", "reflection_v1"), ("health/v1/health", "health_v1")]:
        with open(f"/usr/share/grpc-proto/grpc/{name}.proto", encoding="utf-8") as source:
            text = source.read()
        with open(path(module + ".proto"), "w", encoding="utf-8") as copy:
            copy.write(text)
        subprocess.run(["protoc", f"--python_out={path('stubs')}", "-I", folder.name, path(module + ".proto")],
                       check=True)
    sys.path.insert(0, path("stubs"))


make_stubs()
import health_v1_pb2  # noqa: E402
import reflection_v1_pb2  # noqa: E402
from covey.v1 import covey_pb2  # noqa: E402


class Daemon:
    """coveyd as a process."""

    def __init__(self, *flags, **environment):
        self.ready, ready = os.pipe()
        self.process = subprocess.Popen(
            [COVEYD, "--ready-fd", str(ready), *flags], pass_fds=[ready], stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment})
        os.close(ready)
        with os.fdopen(self.ready) as line:
            self.addresses = line.readline().split()[1:]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, self.log = self.process.communicate(timeout=120)
        return self.process.returncode


def call(channel, method, request, response, token=None):
    stub = channel.unary_unary(method, request_serializer=type(request).SerializeToString,
                               response_deserializer=response.FromString)
    return stub(request, timeout=120, metadata=[("authorization", f"Bearer {token}")] if token else None)


def services(channel):
    stub = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                 request_serializer=reflection_v1_pb2.ServerReflectionRequest.SerializeToString,
                                 response_deserializer=reflection_v1_pb2.ServerReflectionResponse.FromString)
    answers = stub(iter([reflection_v1_pb2.ServerReflectionRequest(list_services="")]), timeout=120)
    return {service.name for service in next(answers).list_services_response.service}


def code_of(function, *arguments):
    try:
        function(*arguments)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def test_unix_socket():
    daemon = Daemon("--listen", f"unix:{path('a.sock')}", "--state-dir", path("a"))
    assert daemon.addresses == [f"unix:{path('a.sock')}"], daemon.addresses
    assert os.stat(path("a.sock")).st_mode & 0o777 == 0o600
    with grpc.insecure_channel(daemon.addresses[0]) as channel:
        assert {"covey.v1.Covey", "covey.v1.Blobs", "covey.v1.Node"} <= services(channel)
        info = call(channel, "/covey.v1.Covey/GetServerInfo", covey_pb2.GetServerInfoRequest(),
                    covey_pb2.GetServerInfoResponse)
        assert re.fullmatch(r"\d+\.\d+\.\d+", info.version) and info.max_workers == 65536, info
        nodes = call(channel, "/covey.v1.Covey/ListNodes", covey_pb2.ListNodesRequest(), covey_pb2.ListNodesResponse)
        assert len(nodes.nodes) == 0
        health = call(channel, "/grpc.health.v1.Health/Check", health_v1_pb2.HealthCheckRequest(service="covey.v1.Covey"),
                      health_v1_pb2.HealthCheckResponse)
        assert health.status == health_v1_pb2.HealthCheckResponse.SERVING
    assert daemon.stop() == 0, daemon.log
    assert not os.path.exists(path("a.sock"))


def test_tcp_needs_a_token():
    with open(path("tokens"), "w", encoding="utf-8") as tokens:
        tokens.write("# comment\nopensesame alice user\nmellon root-of-all operator\n")
    os.chmod(path("tokens"), 0o600)
    daemon = Daemon("--listen", "127.0.0.1:0", "--state-dir", path("b"), "--tokens-file", path("tokens"))
    with grpc.insecure_channel(daemon.addresses[0]) as channel:
        def info(token):
            return call(channel, "/covey.v1.Covey/GetServerInfo", covey_pb2.GetServerInfoRequest(),
                        covey_pb2.GetServerInfoResponse, token)

        def drain(token):
            return call(channel, "/covey.v1.Covey/DrainNode", covey_pb2.DrainNodeRequest(name="x", reason="y"),
                        covey_pb2.DrainNodeResponse, token)
        assert code_of(info, None)[0] == grpc.StatusCode.UNAUTHENTICATED
        assert code_of(info, "wrong")[0] == grpc.StatusCode.UNAUTHENTICATED
        assert code_of(info, "opensesame")[0] == grpc.StatusCode.OK
        assert code_of(drain, "opensesame")[0] == grpc.StatusCode.PERMISSION_DENIED
        assert code_of(drain, "mellon")[0] == grpc.StatusCode.NOT_FOUND
    assert daemon.stop(signal.SIGINT) == 0, daemon.log


def test_tls():
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         path("key.pem"), "-out", path("cert.pem"), "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
    tokens = write("tls-tokens", "opensesame alice user\n")
    daemon = Daemon("--listen", "127.0.0.1:0", "--state-dir", path("t"), "--tokens-file", tokens,
                    "--tls-cert", path("cert.pem"), "--tls-key", path("key.pem"))
    with open(path("cert.pem"), "rb") as certificate:
        credentials = grpc.ssl_channel_credentials(certificate.read())
    port = daemon.addresses[0].rsplit(":", 1)[1]
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        call(channel, "/covey.v1.Covey/GetServerInfo", covey_pb2.GetServerInfoRequest(),
             covey_pb2.GetServerInfoResponse, "opensesame")
    assert daemon.stop() == 0, daemon.log


def test_lifeline():
    mine, its = os.pipe()
    daemon_end = mine
    process = subprocess.Popen([COVEYD, "--listen", f"unix:{path('c.sock')}", "--state-dir", path("c"),
                                "--lifeline-fd", str(daemon_end)], pass_fds=[daemon_end], stderr=subprocess.PIPE,
                               text=True)
    os.close(mine)
    os.close(its)
    assert process.wait(120) == 0, process.stderr.read()
    process.stderr.close()


def refused(*flags, **environment):
    process = subprocess.run([COVEYD, *flags], capture_output=True, text=True, timeout=120, check=False,
                             env={**os.environ, **environment})
    assert process.returncode == 2, process
    lines = [line for line in process.stderr.splitlines() if " error " in line]
    assert len(lines) == 1, process.stderr
    return lines[0]


def write(name, text, mode=0o600):
    with open(path(name), "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path(name), mode)
    return path(name)


def test_refusals():
    here = ["--listen", f"unix:{path('d.sock')}", "--state-dir", path("d")]
    daemon = Daemon(*here)
    assert "listens on" in refused("--listen", f"unix:{path('d.sock')}", "--state-dir", path("e"))
    assert "another controller uses" in refused("--listen", f"unix:{path('e.sock')}", "--state-dir", path("d"))
    assert daemon.stop() == 0
    assert "c.yaml:3: max_workers: 'many' is not a whole number" in refused(
        "--config", write("c.yaml", "# settings\nheartbeat: 1s\nmax_workers: many\n"))
    assert "c.yaml:2: there is no setting 'colour'" in refused(
        "--config", write("c.yaml", "heartbeat: 1s\ncolour: red\n"))
    assert "COVEY_HEARTBEAT: '1w' is not a time such as 250ms" in refused(COVEY_HEARTBEAT="1w")
    assert "--max-workers: '0' is out of range" in refused("--max-workers", "0")
    assert "none.yaml" in refused("--config", path("none.yaml"))
    assert "chmod 600" in refused(*here, "--tokens-file", write("open", "a b user\n", 0o644))
    assert "tokens:1:" in refused(*here, "--tokens-file", write("tokens", "only-a-token\n"))
    assert "--tls-cert and --tls-key" in refused("--tls-cert", "x")
    os.makedirs(path("f/controller"))
    with open(path("f/controller/journal.db"), "wb") as journal:
        journal.write(b"this is no database, but a text that is long enough to be taken for one" * 100)
    assert "is damaged" in refused("--listen", f"unix:{path('f.sock')}", "--state-dir", path("f"))


def test_precedence():
    config = write("p.yaml", f"listen: ['unix:{path('p.sock')}']\nmax_workers: 10\nmax_queued: 11\n"
                             f"max_result_bytes: 1MiB\nstate_dir: {path('p')}\n")
    daemon = Daemon("--config", config, "--max-workers", "30", COVEY_MAX_WORKERS="20", COVEY_MAX_RESULT_BYTES="2MiB")
    with grpc.insecure_channel(f"unix:{path('p.sock')}") as channel:
        info = call(channel, "/covey.v1.Covey/GetServerInfo", covey_pb2.GetServerInfoRequest(),
                    covey_pb2.GetServerInfoResponse)
    assert (info.max_workers, info.max_result_bytes) == (30, 2 << 20), info
    assert daemon.stop() == 0


def test_documented():
    """Every flag is in docs/configuration.md, and nothing else is."""
    text = subprocess.run([COVEYD, "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"--([a-z][a-z-]*)=", text)) - {"config"}
    with open(os.path.join(SOURCE, "docs", "configuration.md"), encoding="utf-8") as document:
        documented = set(re.findall(r"^\| `([a-z-]+)` \|", document.read(), re.M))
    assert flags == documented, flags ^ documented


for name, test in sorted(globals().copy().items()):
    if name.startswith("test_"):
        print(name, flush=True)
        test()
