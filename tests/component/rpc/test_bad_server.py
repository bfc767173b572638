#!/usr/bin/python3
"""Our client against servers that answer wrongly: each call ends, with a code that says why."""

import socket
import ssl
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import frames  # noqa: E402
from frames import frame, header, message  # noqa: E402

outside.make_stubs()
END = frames.END_HEADERS | frames.END_STREAM


def response(status="200", kind="application/grpc", **more):
    fields = [(":status", status)] + ([("content-type", kind)] if kind else [])
    fields += [(name.replace("_", "-"), value) for name, value in more.items()]
    return b"".join(header(name, value) for name, value in fields)


def headers(block, flags=frames.END_HEADERS):
    return frame(frames.HEADERS, flags, 1, block)


def data(payload, flags=0):
    return frame(frames.DATA, flags, 1, payload)


OK = headers(header("grpc-status", "0"), END)


def await_request(connection):
    """Reads the preface and frames up to the first HEADERS; False where the client goes before."""
    octets = b""
    at = len(frames.PREFACE)
    while True:
        got = connection.recv(65536)
        if not got:
            return False
        octets += got
        while len(octets) >= at + 9:
            if octets[at + 3] == frames.HEADERS:
                return True
            at += 9 + int.from_bytes(octets[at:at + 3], "big")


class BadServer(unittest.TestCase):
    def call(self, answer, method="Unary", wrap=None, closes=False):
        """(code, messages, message) of a call that is answered with these frames."""
        listener = socket.create_server(("127.0.0.1", 0))

        def converse(connection):
            connection.sendall(frame(frames.SETTINGS))
            if await_request(connection):
                connection.sendall(answer)
                while not closes and connection.recv(65536):
                    pass

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                try:
                    if wrap:
                        connection = wrap.wrap_socket(connection, server_side=True)
                    with connection:
                        converse(connection)
                except OSError:
                    pass  # the client has broken it off, as it should

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        arguments = [outside.BUILD + "/tests/echo_client", f"localhost:{port}", method, "hi", "1",
                     "10", "5000"] + ([self.certificate] if wrap else [])
        done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 0)
        listener.close()
        thread.join(10)
        code, messages, _, text = done.stdout.rstrip("\n").split(" ", 3)
        return code, int(messages.split("=")[1]), text

    def check(self, expected, answer, messages=0, **options):
        code, got, text = self.call(answer, **options)
        self.assertEqual((code, got), (expected, messages), text)
        return text

    def test_good(self):
        self.check("OK", headers(response()) + data(message(b"")) + OK, 1)
        self.check("OK", headers(response("103", None)) + headers(response()) + data(message(b"")) +
                   OK, 1)
        self.check("ABORTED", headers(response(grpc_status="10", grpc_message="a%20b%"), END))

    def test_http(self):
        for status, code in (("404", "UNIMPLEMENTED"), ("503", "UNAVAILABLE"), ("403",
                             "PERMISSION_DENIED"), ("200", "UNKNOWN"), ("418", "UNKNOWN")):
            text = self.check(code, headers(response(status, "text/html")) + data(b"<html>"))
            self.assertIn(status, text)
            self.check(code, headers(response(status, None), END))

    def test_no_status(self):
        self.check("INTERNAL", headers(response()) + data(message(b""), frames.END_STREAM), 1)
        self.check("UNKNOWN", headers(response(grpc_status="x"), END))
        self.check("UNKNOWN", headers(response(grpc_status="99"), END))

    def test_broken_messages(self):
        self.check("INTERNAL", headers(response()) + data(b"\0\0\0\0\5abc") + OK)
        self.check("INTERNAL", headers(response()) + data(b"\7\0\0\0\0") + OK)
        self.check("INTERNAL", headers(response()) + data(message(b"\x0a\x02\xc3\x28")) + OK)
        self.check("INTERNAL", headers(response()) + data(message(b"", 1)) + OK)
        self.check("INTERNAL", headers(response(grpc_encoding="snappy")) + data(message(b"", 1)) + OK)
        self.check("RESOURCE_EXHAUSTED", headers(response()) + data(b"\0\xff\xff\xff\xff"))

    def test_headers_too_large(self):
        block = response() + b"".join(header("x-more", "v" * 100) for _ in range(140))
        self.check("RESOURCE_EXHAUSTED", headers(block) + data(message(b"")) + OK)

    def test_resets(self):
        for error, code in ((0, "INTERNAL"), (7, "UNAVAILABLE"), (8, "CANCELLED"),
                            (11, "RESOURCE_EXHAUSTED"), (12, "PERMISSION_DENIED")):
            self.check(code, frame(frames.RST_STREAM, 0, 1, error.to_bytes(4, "big")))

    def test_goaway(self):
        self.check("UNAVAILABLE", frame(frames.GOAWAY, payload=bytes(8)))
        self.check("OK", frame(frames.GOAWAY, payload=(1).to_bytes(4, "big") + bytes(4)) +
                   headers(response()) + data(message(b"")) + OK, 1)

    def test_lost_connection(self):
        text = self.check("UNAVAILABLE", headers(response()) + data(message(b"")), 1, closes=True)
        self.assertIn("lost", text)

    def test_answer_before_the_request_has_ended(self):
        self.check("ABORTED", headers(response(grpc_status="10"), END), method="Join")

    def test_rules_of_http2(self):
        push = frame(frames.PUSH, 4, 1, (2).to_bytes(4, "big") + frames.request())
        for bad in (frame(frames.SETTINGS, frames.ACK) + push,
                    data(b"before any headers"),
                    frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)),
                    frame(frames.PING, 0, 0, b"short"),
                    frame(frames.CONTINUATION, 4, 1, b""),
                    frame(frames.HEADERS, 4, 2, response()),
                    b"\xff" * 50):
            code, messages, _ = self.call(bad)
            self.assertEqual(messages, 0)
            self.assertIn(code, ("UNAVAILABLE", "INTERNAL"), bad)

    def test_tls_without_h2(self):
        certificate, key = outside.make_certificate()
        type(self).certificate = certificate
        for protocols, code in ((["http/1.1"], "UNAVAILABLE"), ([], "UNAVAILABLE"), (["h2"], "OK")):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if protocols:
                context.set_alpn_protocols(protocols)
            answer = headers(response()) + data(message(b"")) + OK
            got, _, text = self.call(answer, wrap=context)
            self.assertEqual(got, code, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
