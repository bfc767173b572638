"""HTTP/2 frames by hand, for saying what no proper client would. Headers are read by libnghttp2."""

import ctypes
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
DEADLINE_S = 60  # for what must come: no promise of speed
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ENHANCE_YOUR_CALM, REFUSED_STREAM = 0xb, 0x7


def frame(kind, flags=0, stream=0, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) +
            struct.pack(">I", stream) + payload)


def header(name, value):
    """A literal without indexing, names and values below 127 bytes."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def request(path="/covey.test.Echo/Unary", **changes):
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
              "te": "trailers", "content-type": "application/grpc"}
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    if "method" in fields:
        fields[":method"] = fields.pop("method")
    return b"".join(header(name, value) for name, value in fields.items() if value is not None)


def message(payload, flag=0):
    return struct.pack(">BI", flag, len(payload)) + payload


class _Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_uint8)), ("value", ctypes.POINTER(ctypes.c_uint8)),
                ("name_bytes", ctypes.c_size_t), ("value_bytes", ctypes.c_size_t),
                ("flags", ctypes.c_uint8)]


class _Inflater:
    def __init__(self):
        self.library = ctypes.CDLL("libnghttp2.so.14")
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.inflater = ctypes.c_void_p()
        assert self.library.nghttp2_hd_inflate_new(ctypes.byref(self.inflater)) == 0

    def read(self, block):
        fields = {}
        at = 0
        while True:
            pair = _Pair()
            flags = ctypes.c_int()
            taken = self.library.nghttp2_hd_inflate_hd2(
                self.inflater, ctypes.byref(pair), ctypes.byref(flags),
                ctypes.c_char_p(block[at:]), ctypes.c_size_t(len(block) - at), 1)
            assert taken >= 0, taken
            at += taken
            if flags.value & 2:
                fields[ctypes.string_at(pair.name, pair.name_bytes).decode()] = \
                    ctypes.string_at(pair.value, pair.value_bytes).decode()
            if flags.value & 1:
                self.library.nghttp2_hd_inflate_end_headers(self.inflater)
                return fields

    def close(self):
        self.library.nghttp2_hd_inflate_del(self.inflater)


class Connection:
    """A socket to the server. Every wait has a deadline."""

    def __init__(self, address, hello=True, settings=b""):
        host, _, port = address.rpartition(":")
        if host == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE_S)
            self.socket.connect(port)
        else:
            self.socket = socket.create_connection((host, int(port)), DEADLINE_S)
        self.buffer = b""
        self.inflater = _Inflater()
        self.headers = {}  # stream -> all its headers
        self.data = {}
        if hello:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.inflater.close()
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def send_until_closed(self, octets, times):
        """Sends again and again; True where the server broke it off."""
        try:
            for _ in range(times):
                self.socket.sendall(octets)
        except OSError:
            return True
        return False

    def receive(self):
        """(kind, flags, stream, payload), or None at the end."""
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    break
            try:
                octets = self.socket.recv(65536)
            except ConnectionResetError:
                octets = b""
            if not octets:
                return None
            self.buffer += octets
        kind, flags = self.buffer[3:5]
        stream = int.from_bytes(self.buffer[5:9], "big")
        payload = self.buffer[9:9 + length]
        self.buffer = self.buffer[9 + length:]
        if kind == HEADERS:
            self.headers.setdefault(stream, {}).update(self.inflater.read(payload))
        if kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
        return kind, flags, stream, payload

    def until(self, kind, stream=None, flags=0):
        """The next frame of a kind, or None at the end of the connection."""
        while True:
            got = self.receive()
            if got is None or (got[0] == kind and stream in (None, got[2]) and
                               got[1] & flags == flags):
                return got

    def finish(self, stream):
        """All headers of a stream, once it has ended."""
        while True:
            got = self.receive()
            assert got is not None, "the connection ended"
            if got[2] == stream and (got[0] == RST_STREAM or got[1] & END_STREAM and
                                     got[0] in (HEADERS, DATA)):
                return self.headers.get(stream, {})

    def goaway(self):
        """The error code of the server's GOAWAY; None where it only closed."""
        got = self.until(GOAWAY)
        return got and int.from_bytes(got[3][4:8], "big")
