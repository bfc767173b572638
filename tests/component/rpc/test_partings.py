#!/usr/bin/python3
"""The end of a connection: what the server said last arrives, and its socket is not reset, while the client still sends. And
nobody holds the server's sockets by not ending: they go after a time, after too many bytes, and when their place is needed."""

import os
import select
import socket
import ssl
import sys
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import frames  # noqa: E402
from frames import Connection, frame, message, request  # noqa: E402

outside.make_stubs()
HELLO = message(b"\x0a\x05hello")
PING = frame(frames.PING, payload=bytes(8))
GOODBYE = frame(frames.GOAWAY, payload=bytes(4) + (0xff).to_bytes(4, "big"))
FAULT = frame(frames.WINDOW_UPDATE, payload=bytes(4))  # an increment of 0: PROTOCOL_ERROR
PROTOCOL_ERROR = 0x1
LONG_MS = "600000"


class Case(unittest.TestCase):
    address = "127.0.0.1:0"
    environment = {}

    def setUp(self):
        self.server = outside.Server(self.address, *self.tls(), **self.environment)

    def tearDown(self):
        self.server.stop()

    def tls(self):
        return ()

    def connect(self):
        connection = Connection(self.server.address, hello=False)
        connection.send(frames.PREFACE + frame(frames.SETTINGS))
        return connection

    def answer(self, connection, stream=1, **changes):
        connection.send(frame(frames.HEADERS, frames.END_HEADERS, stream, request(**changes)) +
                        frame(frames.DATA, frames.END_STREAM, stream, HELLO))
        return connection.finish(stream).get("grpc-status")

    def read_to_end(self, connection):
        """All frames until the server's end, which must not be a reset: that would raise."""
        got = []
        octets = connection.buffer
        while True:
            more = connection.socket.recv(65536)
            if not more:
                break
            octets += more
        while octets:
            length = int.from_bytes(octets[:3], "big")
            got.append((octets[3], octets[9:9 + length]))
            octets = octets[9 + length:]
        connection.buffer = b""
        return got

    def open_sockets(self):
        folder = f"/proc/{self.server.process.pid}/fd"
        found = 0
        for name in os.listdir(folder):
            try:
                found += os.readlink(os.path.join(folder, name)).startswith("socket:")
            except FileNotFoundError:
                pass
        return found


class LastWords(Case):
    environment = {"ECHO_PARTING_MS": LONG_MS}

    def check_fault(self, connection):
        """More than is read at once is there behind the fault, and never will be read."""
        with connection:
            connection.send(FAULT + PING * 30000)
            got = self.read_to_end(connection)
            self.assertEqual(got[-1][0], frames.GOAWAY)
            self.assertEqual(int.from_bytes(got[-1][1][4:8], "big"), PROTOCOL_ERROR)

    def send_below_tls(self, connection):
        connection.send(PING)

    def test_after_a_fault(self):
        self.check_fault(self.connect())

    def test_what_the_client_sends_after_the_end_resets_nothing(self):
        with self.connect() as connection:
            connection.send(GOODBYE)
            self.read_to_end(connection)
            for _ in range(10):
                self.send_below_tls(connection)
            gone = select.poll()
            gone.register(connection.socket, 0)
            self.assertEqual(gone.poll(0), [], "the connection was reset")

    def test_answers_before_it_arrive(self):
        """A client that says goodbye in the middle of its requests gets the answers to those it began."""
        with self.connect() as connection:
            calls = b"".join(
                frame(frames.HEADERS, frames.END_HEADERS, stream, request()) +
                frame(frames.DATA, frames.END_STREAM, stream, HELLO) for stream in range(1, 101, 2))
            connection.send(calls + GOODBYE + PING * 100)
            got = self.read_to_end(connection)
            self.assertEqual(sum(kind == frames.DATA for kind, _ in got), 50)


class LastWordsLocally(LastWords):
    @property
    def address(self):
        return "unix:" + os.path.join(outside.folder.name, "parting.sock")


class LastWordsOverTls(LastWords):
    certificate = outside.make_certificate()

    def tls(self):
        return self.certificate

    def connect(self):
        context = ssl.create_default_context(cafile=self.certificate[0])
        context.set_alpn_protocols(["h2"])
        connection = Connection(self.server.address, hello=False)
        connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost",
                                                suppress_ragged_eofs=False)
        connection.send(frames.PREFACE + frame(frames.SETTINGS))
        return connection

    def send_below_tls(self, connection):
        """TLS itself would not send on an ended session; whoever does sends bytes all the same."""
        os.write(connection.socket.fileno(), bytes((23, 3, 3, 0, 17)) + bytes(17))

    def test_why_plaintext_is_refused(self):
        with Connection(self.server.address, hello=False) as connection:
            connection.send(frames.PREFACE + frame(frames.SETTINGS) + PING * 30000)
            octets = b""
            while more := connection.socket.recv(65536):
                octets += more
            self.assertEqual(octets, bytes((21, 3, 1, 0, 2, 2, 70)))


class Bounds(Case):
    environment = {"ECHO_PARTING_MS": "100"}

    def test_who_never_ends_is_closed_in_time(self):
        before = self.open_sockets()
        connections = [self.connect() for _ in range(10)]
        for connection in connections:
            connection.send(GOODBYE)
            self.read_to_end(connection)
        for connection in connections:
            self.assertTrue(connection.send_until_closed(PING, sys.maxsize))
            connection.__exit__()
        self.assertEqual(self.open_sockets(), before)


class BoundOfBytes(Case):
    environment = {"ECHO_PARTING_MS": LONG_MS}

    def test_who_sends_for_ever_is_closed(self):
        with self.connect() as connection:
            connection.send(GOODBYE)
            self.read_to_end(connection)
            self.assertTrue(connection.send_until_closed(bytes(1 << 20), 100))


class Room(Case):
    environment = {"ECHO_PARTING_MS": LONG_MS, "ECHO_CONNECTIONS": "2", "ECHO_CONNECTIONS_EACH": "2",
                   "ECHO_CALLERS": "1"}

    def leave(self, caller):
        connection = self.connect()
        self.assertEqual(self.answer(connection, x_caller=caller), "0")
        connection.send(GOODBYE)
        self.read_to_end(connection)
        return connection

    def test_who_parts_gives_way_to_all(self):
        """Before an idle one, which stays; and what they hold is never more than the connections there may be."""
        before = self.open_sockets()
        with self.connect() as idle:
            self.assertEqual(self.answer(idle, x_caller="alice"), "0")
            parting = [self.leave("bob") for _ in range(5)]
            self.assertLessEqual(self.open_sockets(), before + 2)
            self.assertEqual(self.answer(idle, 3, x_caller="alice"), "0")
            for connection in parting:
                connection.__exit__()


class RoomOfOne(Room):
    environment = {**Room.environment, "ECHO_CONNECTIONS": "100"}

    def test_who_parts_gives_way_to_all(self):
        """The places of one caller: its own that parts is given up for its next, and it is not refused."""
        before = self.open_sockets()
        parting = [self.leave("bob") for _ in range(5)]
        self.assertLessEqual(self.open_sockets(), before + 2)
        with self.connect() as other:
            self.assertEqual(self.answer(other, x_caller="alice"), "0")
        for connection in parting:
            connection.__exit__()


class Stop(Case):
    environment = {"ECHO_PARTING_MS": LONG_MS}

    def test_a_server_that_stops_does_not_wait_longer_than_its_grace(self):
        with self.connect() as connection:
            connection.send(GOODBYE)
            self.read_to_end(connection)
            self.server.begin_stop()
            self.assertEqual(self.server.process.wait(frames.DEADLINE_S), 0)


if __name__ == "__main__":
    unittest.main()
