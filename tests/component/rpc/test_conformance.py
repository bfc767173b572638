#!/usr/bin/python3
"""What HTTP/2 demands of a server for frames that come at the wrong time: RFC 9113, 5.1, 5.1.1, 5.1.2, 6.9.2, 8.1."""

import sys
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import frames  # noqa: E402
from frames import Connection, frame, message, request  # noqa: E402

outside.make_stubs()
HELLO = message(b"\x0a\x05hello")
JOIN = request("/covey.test.Echo/Join")
PAGE = request("/", method="GET", content_type=None, te=None)
NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, CANCEL = 0x0, 0x1, 0x5, 0x8
END = frames.END_HEADERS | frames.END_STREAM


def headers(stream, block, flags=frames.END_HEADERS):
    return frame(frames.HEADERS, flags, stream, block)


def data(stream, payload, flags=frames.END_STREAM):
    return frame(frames.DATA, flags, stream, payload)


def reset(stream):
    return frame(frames.RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = outside.Server("127.0.0.1:0")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def connect(self, **options):
        return Connection(self.server.address, **options)

    def check_error(self, octets, codes, kinds=(frames.GOAWAY, frames.RST_STREAM)):
        """The last of the frames is answered by one of the errors, or by the end of the connection."""
        with self.connect() as connection:
            for part in octets:
                connection.send(part)
            got = connection.receive()
            while got is not None and (got[0] not in kinds or got[0] == frames.RST_STREAM and
                                       int.from_bytes(got[3], "big") == NO_ERROR):
                got = connection.receive()
            if got is not None:
                payload = got[3][4:8] if got[0] == frames.GOAWAY else got[3]
                self.assertIn(int.from_bytes(payload, "big"), codes)
        self.check_serves()

    def check_answers(self, connection, stream):
        connection.send(headers(stream, request()) + data(stream, HELLO))
        self.assertEqual(connection.finish(stream).get("grpc-status"), "0")

    def check_serves(self):
        with self.connect() as connection:
            self.check_answers(connection, 1)


class ClosedStreams(Case):
    def test_data_after_the_clients_reset(self):
        self.check_error([headers(1, JOIN) + reset(1) + data(1, HELLO)], [STREAM_CLOSED])

    def test_headers_after_the_clients_reset(self):
        self.check_error([headers(1, JOIN) + reset(1) + headers(1, JOIN, END)], [STREAM_CLOSED])

    def test_data_after_the_end(self):
        self.check_error([headers(1, JOIN) + data(1, HELLO) + data(1, HELLO)], [STREAM_CLOSED])

    def test_data_after_both_ends(self):
        self.check_after_both_ends(data(1, HELLO))

    def test_headers_after_both_ends(self):
        self.check_after_both_ends(headers(1, JOIN, END), (frames.GOAWAY,))

    def check_after_both_ends(self, octets, kinds=(frames.GOAWAY, frames.RST_STREAM)):
        with self.connect() as connection:
            self.check_answers(connection, 1)
            connection.send(octets)
            got = connection.until(kinds[0])
            if got is not None:
                self.assertEqual(int.from_bytes(got[3][4:8], "big"), STREAM_CLOSED)
        self.check_serves()

    def test_what_is_on_its_way_when_the_server_ends_a_stream_is_ignored(self):
        """An early answer calls off the rest of the request: that may have been sent by then, and the connection stays."""
        with self.connect() as connection:
            connection.send(headers(1, request("/covey.test.Echo/Nothing")))
            self.assertEqual(connection.finish(1).get("grpc-status"), "12")
            connection.send(data(1, HELLO, 0) * 3 + data(1, HELLO))
            connection.send(headers(3, request("/covey.test.Echo/Nothing")) + data(3, HELLO, 0) * 3)
            self.assertEqual(connection.finish(3).get("grpc-status"), "12")
            connection.send(reset(3))
            self.check_answers(connection, 5)


class Identifiers(Case):
    def test_a_stream_that_was_passed_over(self):
        self.check_error([headers(5, JOIN) + headers(3, JOIN)], [PROTOCOL_ERROR], (frames.GOAWAY,))

    def test_an_even_one(self):
        self.check_error([headers(2, JOIN)], [PROTOCOL_ERROR], (frames.GOAWAY,))

    def test_more_streams_than_there_may_be(self):
        with self.connect() as connection:
            most = 0
            while not most:
                _, flags, _, payload = connection.until(frames.SETTINGS)
                for at in range(0, len(payload), 6):
                    if int.from_bytes(payload[at:at + 2], "big") == 3:
                        most = int.from_bytes(payload[at + 2:at + 6], "big")
            connection.send(b"".join(headers(1 + 2 * i, PAGE) for i in range(most + 1)))
            got = connection.until(frames.RST_STREAM, 1 + 2 * most)
            self.assertEqual(int.from_bytes(got[3], "big"), frames.REFUSED_STREAM)


class Requests(Case):
    def test_second_headers_that_end_nothing(self):
        self.check_error([headers(1, PAGE) + headers(1, PAGE)], [PROTOCOL_ERROR])

    def test_what_is_not_grpc_is_answered_when_it_has_ended(self):
        for block, status in [(PAGE, "405"), (request(content_type="text/html"), "415")]:
            with self.connect() as connection:
                connection.send(headers(1, block) + data(1, b"x" * 100, 0))
                self.check_answers(connection, 3)
                self.assertNotIn(1, connection.headers)
                connection.send(data(1, b"x"))
                self.assertEqual(connection.finish(1).get(":status"), status)
                self.assertIn(b"this is a gRPC server", connection.data[1])

    def test_frames_on_a_stream_that_the_client_has_ended(self):
        for octets in [frame(frames.WINDOW_UPDATE, 0, 1, (100).to_bytes(4, "big")),
                       frame(frames.PRIORITY, 0, 1, bytes((0, 0, 0, 0, 8)))]:
            with self.connect() as connection:
                connection.send(headers(1, PAGE, END) + octets)
                self.assertEqual(connection.finish(1).get(":status"), "405")

    def test_an_answer_larger_than_the_window(self):
        tiny = (4).to_bytes(2, "big") + (1).to_bytes(4, "big")
        with self.connect(settings=tiny) as connection:
            connection.send(headers(1, PAGE, END))
            got = connection.until(frames.DATA, 1)
            self.assertEqual(got[3], b"t")
            connection.send(frame(frames.WINDOW_UPDATE, 0, 1, (1000).to_bytes(4, "big")))
            connection.finish(1)
            self.assertEqual(connection.data[1], b"this is a gRPC server: call it with a gRPC client\n")


if __name__ == "__main__":
    unittest.main()
