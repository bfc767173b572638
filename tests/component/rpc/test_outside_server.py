#!/usr/bin/python3
"""Our client against an outside server, Debian's grpcio."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import grpc  # noqa: E402

outside.make_stubs()
import echo_pb2  # noqa: E402  (made just now)

Note = echo_pb2.Note
cancelled = threading.Event()
held = threading.Event()


def unary(request, context):
    if request.text == "fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "geht nicht: 100 % ü")
    if request.text == "hold":
        context.add_callback(cancelled.set)
        held.set()
        cancelled.wait(60)
    if request.text == "gzip":
        context.set_compression(grpc.Compression.Gzip)
    if request.text == "deflate":
        context.set_compression(grpc.Compression.Deflate)
    if request.text == "double":
        return Note(payload=request.payload * 2)
    return request


def split(request, context):
    for count in range(request.count):
        yield Note(count=count, payload=request.payload)


def join(notes, context):
    sizes = [len(note.payload) for note in notes]
    return Note(count=len(sizes), payload=bytes(sum(sizes) % 1000))


def chat(notes, context):
    yield from notes


def make_server(credentials=None):
    kinds = {"Unary": grpc.unary_unary_rpc_method_handler(unary, Note.FromString,
                                                          Note.SerializeToString),
             "Split": grpc.unary_stream_rpc_method_handler(split, Note.FromString,
                                                           Note.SerializeToString),
             "Join": grpc.stream_unary_rpc_method_handler(join, Note.FromString,
                                                          Note.SerializeToString),
             "Chat": grpc.stream_stream_rpc_method_handler(chat, Note.FromString,
                                                           Note.SerializeToString)}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8),
                         options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("covey.test.Echo", kinds),))
    address = "localhost:0"
    port = (server.add_secure_port(address, credentials) if credentials
            else server.add_insecure_port(address))
    server.start()
    return server, port


def call(target, *arguments):
    """(code, messages, bytes, message) of one call by our client."""
    program = os.path.join(outside.BUILD, "tests", "echo_client")
    done = subprocess.run([program, target, *map(str, arguments)], stdout=subprocess.PIPE,
                          text=True, timeout=120)
    assert done.returncode == 0, f"the client ended with {done.returncode}"
    code, messages, size, *message = done.stdout.rstrip("\n").split(" ", 3)
    return code, int(messages.split("=")[1]), int(size.split("=")[1]), "".join(message)


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server, port = make_server()
        cls.target = f"localhost:{port}"

    @classmethod
    def tearDownClass(cls):
        cls.server.stop(0).wait(60)

    def test_unary(self):
        self.assertEqual(call(self.target, "Unary", "hi", 1, 1000), ("OK", 1, 1000, ""))

    def test_server_stream(self):
        self.assertEqual(call(self.target, "Split", "", 300, 30000),
                         ("OK", 300, 9000000, ""))

    def test_client_stream(self):
        self.assertEqual(call(self.target, "Join", "", 300, 30001), ("OK", 1, 300, ""))

    def test_bidirectional(self):
        self.assertEqual(call(self.target, "Chat", "", 300, 30000), ("OK", 300, 9000000, ""))

    def test_error(self):
        self.assertEqual(call(self.target, "Unary", "fail", 1, 0),
                         ("FAILED_PRECONDITION", 0, 0, "geht nicht: 100 % ü"))

    def test_unknown_method(self):
        self.assertEqual(call(self.target, "Missing", "", 1, 0)[0], "UNIMPLEMENTED")

    def test_deadline(self):
        """The server hears of it, where the deadline was long enough for the call to get there."""
        for milliseconds in (100, 1000, 10000):
            held.clear()
            cancelled.clear()
            self.assertEqual(call(self.target, "Unary", "hold", 1, 0, milliseconds)[0], "DEADLINE_EXCEEDED")
            if held.is_set():
                break
        self.assertTrue(held.is_set())
        self.assertTrue(cancelled.wait(60))

    def test_compressed_answers(self):
        self.assertEqual(call(self.target, "Unary", "gzip", 1, 100000), ("OK", 1, 100000, ""))
        # Not among what we accept, and grpcio uses it all the same.
        self.assertEqual(call(self.target, "Unary", "deflate", 1, 1000)[:2], ("INTERNAL", 0))

    def test_too_large_an_answer(self):
        code, _, _, message = call(self.target, "Unary", "double", 1, 2 * 1024 * 1024)
        self.assertEqual(code, "RESOURCE_EXHAUSTED", message)


class Tls(unittest.TestCase):
    def test_calls(self):
        certificate, key = outside.make_certificate()
        with open(certificate, "rb") as one, open(key, "rb") as other:
            pair = (other.read(), one.read())
        server, port = make_server(grpc.ssl_server_credentials([pair]))
        target = f"localhost:{port}"
        self.assertEqual(call(target, "Split", "", 100, 100000, 20000, certificate),
                         ("OK", 100, 10000000, ""))
        code, _, _, message = call(target, "Unary", "", 1, 0, 5000, "/etc/ssl/certs/ca-certificates.crt") \
            if os.path.exists("/etc/ssl/certs/ca-certificates.crt") else ("UNAVAILABLE", 0, 0, "")
        self.assertEqual(code, "UNAVAILABLE", message)
        self.assertEqual(call(target, "Unary", "", 1, 0, 5000)[0], "UNAVAILABLE")
        server.stop(0).wait(60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
