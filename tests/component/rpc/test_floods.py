#!/usr/bin/python3
"""What a hostile or broken client may send: each is refused, and the server goes on for others."""

import random
import select
import sys
import time
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import frames  # noqa: E402
from frames import Connection, frame, header, message, request  # noqa: E402

outside.make_stubs()
HELLO = message(b"\x0a\x05hello")


def ask(connection, stream, block, body=HELLO):
    connection.send(frame(frames.HEADERS, frames.END_HEADERS, stream, block) +
                    frame(frames.DATA, frames.END_STREAM, stream, body))
    return connection.finish(stream)


class Case(unittest.TestCase):
    address = "127.0.0.1:0"
    environment = {}
    is_impatient = False  # the server is so short with everybody that one of these clients may be late, too

    def setUp(self):
        self.server = outside.Server(self.address, **self.environment)

    def tearDown(self):
        self.server.stop()

    def connect(self, **options):
        return Connection(self.server.address, **options)

    def check_serves(self):
        deadline = time.monotonic() + frames.DEADLINE_S
        while True:
            try:
                self.check_answers()
                return
            except (OSError, AssertionError):
                if not self.is_impatient or time.monotonic() > deadline:
                    raise

    def check_answers(self):
        with self.connect() as connection:
            fields = ask(connection, 1, request())
            self.assertEqual(fields["grpc-status"], "0", fields)
            self.assertEqual(connection.data[1], HELLO)

    def check_calmed(self, octets, times=1):
        """The flood ends in GOAWAY with ENHANCE_YOUR_CALM, or with the door shut on it."""
        with self.connect() as connection:
            connection.send_until_closed(octets, times)
            try:
                code = connection.goaway()
            except OSError:
                code = None
            self.assertIn(code, (frames.ENHANCE_YOUR_CALM, None))
        self.check_serves()


class Floods(Case):
    def test_pings(self):
        self.check_calmed(frame(frames.PING, payload=bytes(8)) * 1000, 100)

    def test_pings_that_are_not_answered_count_too(self):
        with self.connect() as connection:
            connection.send(frame(frames.PING, payload=bytes(8)) * 1100)
            self.assertEqual(connection.goaway(), frames.ENHANCE_YOUR_CALM)

    def test_settings(self):
        self.check_calmed(frame(frames.SETTINGS) * 1000, 100)

    def test_priorities(self):
        self.check_calmed(frame(frames.PRIORITY, stream=1, payload=bytes((0, 0, 0, 3, 1))) * 1000,
                          100)

    def test_empty_data(self):
        opening = frame(frames.HEADERS, frames.END_HEADERS, 1, request("/covey.test.Echo/Join"))
        self.check_calmed(opening + frame(frames.DATA, stream=1) * 2000)

    def test_rapid_reset(self):
        octets = b"".join(
            frame(frames.HEADERS, frames.END_HEADERS, stream, request("/covey.test.Echo/Join")) +
            frame(frames.RST_STREAM, stream=stream, payload=bytes((0, 0, 0, 8)))
            for stream in range(1, 6001, 2))
        self.check_calmed(octets)

    def test_continuations(self):
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, 0, 1, request()))
            connection.send_until_closed(
                frame(frames.CONTINUATION, 0, 1, header("x-more", "y")) * 100, 100)
            self.assertNotEqual(connection.goaway(), 0)
        self.check_serves()

    def test_headers_that_grow_when_read(self):
        # One entry of 4 KiB in the table, then named 10000 times by one byte each: 40 MB of headers.
        big = b"\x40\x05x-big\x7f" + bytes(((4000 - 127) & 127 | 128, (4000 - 127) >> 7)) + b"v" * 4000
        before = self.server.resident_kib()
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, 1,
                                  request() + big + b"\xbe" * 10000))
            fields = connection.finish(1)
            self.assertEqual(fields["grpc-status"], "8")
        self.assertLess(self.server.resident_kib() - before, 8192)
        self.check_serves()

    def test_streams(self):
        with self.connect() as connection:
            connection.until(frames.SETTINGS, flags=frames.ACK)
            connection.send(b"".join(
                frame(frames.HEADERS, frames.END_HEADERS, stream, request("/covey.test.Echo/Join"))
                for stream in range(1, 2 * 257 + 1, 2)))
            refused = connection.until(frames.RST_STREAM)
            self.assertEqual(refused[2], 2 * 257 - 1)
            self.assertEqual(int.from_bytes(refused[3], "big"), frames.REFUSED_STREAM)
        self.check_serves()

    def test_noise(self):
        dice = random.Random(1)
        for _ in range(100):
            with self.connect() as connection:
                octets = b"".join(
                    frame(dice.randrange(12), dice.randrange(256), dice.randrange(4),
                          dice.randbytes(dice.choice((0, 1, 4, 5, 8, 40))))
                    for _ in range(20))
                connection.send_until_closed(octets, 1)
        for _ in range(100):
            with self.connect(hello=False) as connection:
                connection.send_until_closed(dice.randbytes(200), 1)
        self.check_serves()


class Requests(Case):
    def refused(self, code, block=None, body=HELLO):
        with self.connect() as connection:
            fields = ask(connection, 1, block or request(), body)
            self.assertEqual(fields.get("grpc-status"), str(code), fields)
            return fields

    def test_http(self):
        for changes, status in (({"content_type": "text/html"}, "415"),
                                ({"content_type": None}, "415"),
                                ({"content_type": "application/grpc+json"}, "415"),
                                ({"content_type": "application/grpcx"}, "415"),
                                ({"method": "GET"}, "405")):
            with self.connect() as connection:
                self.assertEqual(ask(connection, 1, request(**changes))[":status"], status)
        for kind in ("application/grpc+proto", "application/grpc;charset=utf-8"):
            with self.connect() as connection:
                self.assertEqual(ask(connection, 1, request(content_type=kind))["grpc-status"], "0")

    def test_paths(self):
        for path in ("/", "/covey.test.Echo", "/covey.test.Echo/No", "covey.test.Echo/Unary", "*"):
            with self.connect() as connection:
                fields = ask(connection, 1, request(path))
                self.assertIn(fields.get("grpc-status"), ("12", None))

    def test_timeouts(self):
        for text in ("", "x", "5", "5x", "123456789S", "-1S", "1" * 100):
            self.refused(13, request(grpc_timeout=text))
        self.refused(4, request(grpc_timeout="1n"), message(b"\x0a\x04hold"))

    def test_encodings(self):
        fields = self.refused(12, request(grpc_encoding="deflate"))
        self.assertEqual(fields["grpc-accept-encoding"], "identity,gzip")
        self.refused(13, body=message(b"\x0a\x05hello", 1))
        self.refused(13, request(grpc_encoding="identity"), message(b"\x0a\x05hello", 1))
        self.refused(3, request(grpc_encoding="gzip"), message(b"\x0a\x05hello", 1))
        self.refused(0, request(grpc_encoding="gzip"))

    def test_framing(self):
        self.refused(13, body=message(b"", 2))
        self.refused(8, body=b"\0\xff\xff\xff\xff")
        self.refused(3, body=b"\0\0\0\0\5abc")
        self.refused(3, body=b"")
        self.refused(3, body=HELLO + HELLO)
        self.refused(13, request("/covey.test.Echo/Join"), HELLO + b"\0\0\0\0\5abc")

    def test_trailers_of_a_request(self):
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, frames.END_HEADERS, 1, request()) +
                            frame(frames.DATA, 0, 1, HELLO) +
                            frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1,
                                  header("x-trailer", "y")))
            self.assertEqual(connection.finish(1)["grpc-status"], "0")

    def test_answered_early_the_rest_is_called_off(self):
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, frames.END_HEADERS, 1,
                                  request("/covey.test.Echo/Join")) +
                            frame(frames.DATA, 0, 1, message(b"\x0a\x04fail")))
            self.assertEqual(connection.finish(1)["grpc-status"], "10")
            reset = connection.until(frames.RST_STREAM, 1)
            self.assertEqual(reset[3], bytes(4))
            connection.send(frame(frames.DATA, 0, 1, HELLO) * 10)
            self.assertEqual(ask(connection, 3, request())["grpc-status"], "0")

    def test_deadline_is_the_servers_too(self):
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, frames.END_HEADERS, 1,
                                  request("/covey.test.Echo/Chat", grpc_timeout="100m")) +
                            frame(frames.DATA, 0, 1, HELLO))
            # Answered already, so it can only be reset.
            self.assertIsNotNone(connection.until(frames.DATA, 1))
            self.assertIsNotNone(connection.until(frames.RST_STREAM, 1))
            connection.send(frame(frames.HEADERS, frames.END_HEADERS, 3,
                                  request(grpc_timeout="100m")))
            self.assertEqual(connection.finish(3)["grpc-status"], "4")
        self.check_serves()


class Handshake(Case):
    environment = {"ECHO_HANDSHAKE_MS": "200"}
    is_impatient = True

    def test_silence(self):
        with self.connect(hello=False) as connection:
            self.assertIsNone(connection.until(frames.GOAWAY))
        with self.connect(hello=False) as connection:
            connection.send(frames.PREFACE[:10])
            self.assertIsNone(connection.until(frames.GOAWAY))
        with self.connect(hello=False) as connection:
            connection.send(frames.PREFACE)
            self.assertIsNone(connection.until(frames.GOAWAY))
        self.check_serves()

    def test_another_protocol(self):
        with self.connect(hello=False) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while connection.socket.recv(65536):
                pass
        self.check_serves()


class Keepalive(Case):
    # By TCP a client that does not read would not see the end either.
    address = f"unix:{outside.folder.name}/keepalive.sock"
    environment = {"ECHO_KEEPALIVE_MS": "100"}
    is_impatient = True

    def test_silence(self):
        with self.connect() as connection:
            self.assertIsNotNone(connection.until(frames.PING))
            self.assertIsNone(connection.until(frames.GOAWAY))
        self.check_serves()

    def test_who_does_not_read(self):
        # A window without end, and nobody who reads: the socket is full, and no PING comes back.
        window = frame(frames.WINDOW_UPDATE, payload=(2**31 - 1 - 65535).to_bytes(4, "big"))
        settings = (4).to_bytes(2, "big") + (2**31 - 1).to_bytes(4, "big")
        before = self.server.resident_kib()
        note = b"\x12\x90\x4e" + bytes(10000) + b"\x18\xa0\x8d\x06"  # 10000 bytes, 100000 times
        with self.connect(settings=settings) as connection:
            connection.send(window + frame(frames.HEADERS, frames.END_HEADERS, 1,
                                           request("/covey.test.Echo/Split")) +
                            frame(frames.DATA, frames.END_STREAM, 1, message(note)))
            poll = select.poll()
            poll.register(connection.socket, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
            self.assertTrue(poll.poll(1000 * frames.DEADLINE_S), "the server keeps a client that does not read")
            self.assertLess(self.server.resident_kib() - before, 16384)
        self.check_serves()


class Buffers(Case):
    environment = {"ECHO_HELD_MIB": "32"}

    def test_bodies_that_never_end(self):
        # Each stream's window full of a message that is never whole, beyond all buffers.
        before = self.server.resident_kib()
        with self.connect() as connection:
            connection.until(frames.SETTINGS, flags=frames.ACK)
            connection.send(frame(frames.SETTINGS, frames.ACK))
            for stream in range(1, 2 * 250, 2):
                connection.send(frame(frames.HEADERS, frames.END_HEADERS, stream, request()) +
                                frame(frames.DATA, 0, stream, b"\0\0\x3f\xff\xff"))
                connection.send(frame(frames.DATA, 0, stream, bytes(16384)) * 63)
            fields = connection.finish(499)
            self.assertEqual(fields["grpc-status"], "8")
            self.assertLess(self.server.resident_kib() - before, 100 * 1024)
        self.check_serves()


class SlowReaders(Case):
    """Services of our own, asked more than is read: they stop reading, then go on."""

    COUNT = 30000

    def flood(self, path, body, limit_kib):
        settings = (4).to_bytes(2, "big") + (2**31 - 1).to_bytes(4, "big")
        window = frame(frames.WINDOW_UPDATE, payload=(2**31 - 1 - 65535).to_bytes(4, "big"))
        before = self.server.resident_kib()
        with self.connect(settings=settings) as connection:
            connection.until(frames.SETTINGS, flags=frames.ACK)
            connection.send(frame(frames.SETTINGS, frames.ACK) + window +
                            frame(frames.HEADERS, frames.END_HEADERS, 1, request(path)))
            asks = body * self.COUNT
            for at in range(0, len(asks), 16384):
                connection.send(frame(frames.DATA, 0, 1, asks[at:at + 16384]))
            self.assertLess(self.server.resident_kib() - before, limit_kib)
            connection.send(frame(frames.DATA, frames.END_STREAM, 1))
            self.assertEqual(connection.finish(1)["grpc-status"], "0")
            return connection.data[1]

    def test_reflection(self):
        answers = self.flood("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                             message(b"\x3a\x01*"), 16384)
        self.assertEqual(answers.count(b"grpc.health.v1.Health"), self.COUNT)

    def test_chat(self):
        answers = self.flood("/covey.test.Echo/Chat", message(b"\x0a\x10" + b"0123456789abcdef"),
                             16384)
        self.assertEqual(answers.count(b"0123456789abcdef"), self.COUNT)


class Silence(Case):
    environment = {"ECHO_REQUEST_MS": "200"}
    is_impatient = True

    def test_no_body(self):
        for path in ("/covey.test.Echo/Unary", "/covey.test.Echo/Join"):
            with self.connect() as connection:
                connection.send(frame(frames.HEADERS, frames.END_HEADERS, 1, request(path)))
                self.assertEqual(connection.finish(1)["grpc-status"], "4")

    def test_half_a_body(self):
        with self.connect() as connection:
            connection.send(frame(frames.HEADERS, frames.END_HEADERS, 1, request()) +
                            frame(frames.DATA, 0, 1, HELLO[:-1]))
            self.assertEqual(connection.finish(1)["grpc-status"], "4")
        self.check_serves()


class Stalls(Case):
    environment = {"ECHO_STALL_MS": "300"}
    note = b"\x12\x90\x4e" + bytes(10000) + b"\x18\xa0\x8d\x06"  # 10000 bytes, 100000 times

    def open_streams(self, connection, count):
        connection.send(b"".join(
            frame(frames.HEADERS, frames.END_HEADERS, stream, request("/covey.test.Echo/Split")) +
            frame(frames.DATA, frames.END_STREAM, stream, message(self.note))
            for stream in range(1, 2 * count, 2)))

    def test_streams_that_are_not_read(self):
        """They hold next to nothing, whatever waits for them, and end; one that is read slowly goes on."""
        for window in (0, 1):
            settings = (4).to_bytes(2, "big") + window.to_bytes(4, "big")
            before = self.server.resident_kib()
            with self.connect(settings=settings) as connection:
                connection.until(frames.SETTINGS, flags=frames.ACK)
                self.open_streams(connection, 250)
                ended = set()
                while len(ended) < 250:
                    kind, _, stream, payload = connection.receive()
                    if kind == frames.RST_STREAM:
                        self.assertEqual(int.from_bytes(payload, "big"), frames.ENHANCE_YOUR_CALM)
                        ended.add(stream)
                self.assertLess(self.server.resident_kib() - before, 20 * 1024)
        self.check_serves()


class SlowReader(Stalls):
    environment = {"ECHO_STALL_MS": "3000"}
    test_streams_that_are_not_read = None

    def test_a_stream_that_is_read_slowly(self):
        """It goes on for longer than the server lets one stand still."""
        settings = (4).to_bytes(2, "big") + (0).to_bytes(4, "big")
        with self.connect(settings=settings) as connection:
            connection.until(frames.SETTINGS, flags=frames.ACK)
            self.open_streams(connection, 1)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                connection.send(frame(frames.WINDOW_UPDATE, stream=1, payload=(1).to_bytes(4, "big")))
                self.assertIsNotNone(connection.until(frames.DATA, 1), "its stream was ended")
                time.sleep(0.1)


class Connections(Case):
    environment = {"ECHO_CONNECTIONS": "4"}

    def test_limit(self):
        """Beyond it the connections that nobody has used give way, the oldest first."""
        first = self.connect()
        self.assertEqual(ask(first, 1, request())["grpc-status"], "0")
        unused = [self.connect() for _ in range(3)]
        for connection in unused:
            connection.until(frames.SETTINGS, flags=frames.ACK)
        more = [self.connect() for _ in range(2)]
        for connection in more + unused[2:] + [first]:
            self.assertEqual(ask(connection, 3, request())["grpc-status"], "0")
        for connection in unused[:2]:
            self.assertIsNone(connection.until(frames.GOAWAY))
        self.check_serves()
        for connection in [first] + unused + more:
            connection.__exit__()


if __name__ == "__main__":
    unittest.main(verbosity=2)
