"""coveyd as an outside client sees it: Debian's grpcio, and stubs that protoc makes of the .proto files."""
import importlib
import os
import subprocess
import sys
import tempfile

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

try:
    import grpc
    from google.protobuf import json_format
except ImportError:
    print("skipped: python3-grpcio is not there")
    sys.exit(77)

_folder = tempfile.TemporaryDirectory(prefix="covey-stubs-")
_proto = os.path.join(os.environ["COVEY_SOURCE_DIR"], "proto")
subprocess.run(["protoc", f"--python_out={_folder.name}", "-I", _proto,
                *(f"covey/v1/{name}.proto" for name in ("types", "covey", "blobs"))], cwd=_proto, check=True)
sys.path.insert(0, _folder.name)
messages = importlib.import_module("covey.v1.covey_pb2")
blobs = importlib.import_module("covey.v1.blobs_pb2")

PREFIXES = ("FLARE_STATE_", "WORKER_STATE_", "NODE_STATE_")


def plain(value):
    """JSON as `covey --json` writes it: enum values without their prefix."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        for prefix in PREFIXES:
            value = value.removeprefix(prefix)
    return value


def to_dict(message):
    return plain(json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True))


class Api:
    """Unary calls of covey.v1.Covey at a unix socket."""

    error = grpc.RpcError

    def __init__(self, socket_path):
        self.channel = grpc.insecure_channel(f"unix:{socket_path}", [("grpc.enable_retries", 0)])

    def call(self, method, request, seconds=120):
        name = type(request).__name__.removesuffix("Request")
        answer = getattr(messages, name + "Response")
        return self.channel.unary_unary(f"/covey.v1.Covey/{method}", type(request).SerializeToString, answer.FromString)(
            request, timeout=seconds, wait_for_ready=True)

    def raw(self, method, request, seconds=120):
        """Bytes as they are; returns the status code of the answer."""
        try:
            self.channel.unary_unary(f"/covey.v1.Covey/{method}", None, None)(request, timeout=seconds)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def flare(self, flare_id):
        return to_dict(self.call("GetFlare", messages.GetFlareRequest(id=flare_id)).flare)

    def nodes(self):
        return [to_dict(node) for node in self.call("ListNodes", messages.ListNodesRequest()).nodes]

    def drain(self, name, drain, reason=""):
        return to_dict(self.call("DrainNode", messages.DrainNodeRequest(name=name, drain=drain, reason=reason)).node)

    def server_info(self):
        return self.call("GetServerInfo", messages.GetServerInfoRequest())

    def close(self):
        self.channel.close()
