"""Frames between the lab, its guests and its clients: kind, channel, length, payload.

Imported in the guests too, where every module costs start-up time: struct only.
"""
import struct

HEADER = struct.Struct("!BII")
MAX_PAYLOAD = 1 << 20

# Lab to guest, and client to lab.
CONFIGURE = 1  # strings NAME=VALUE
START = 2      # strings: tty or "", working directory, number of arguments, arguments, NAME=VALUE ...
STDIN = 3      # empty: end of input
SIGNAL = 4     # one byte
WINDOW = 5     # strings: rows, columns
PING = 6
SYNCED = 7     # strings: reason of failure or ""
FLUSH = 8
REQUEST = 9    # client to lab: strings: verb, arguments
TAKEN = 10     # eight bytes: this much output was written where it belongs
# Guest to lab, and lab to client.
READY = 16
FAILED = 17    # text
STDOUT = 18
STDERR = 19
EXIT = 20      # one byte: exit status
SYNC = 21      # name
PONG = 22
FLUSHED = 23
FED = 24       # eight bytes: this much input was taken by the command


# Bytes of one command that may be under way, each way: who is slow holds up that command and nothing else.
WINDOW_BYTES = 256 * 1024
COUNT = struct.Struct("!Q")


class ProtocolError(Exception):
    """The peer sent what is no frame."""


def pack(kind, channel=0, payload=b""):
    return HEADER.pack(kind, channel, len(payload)) + payload


def pack_strings(kind, channel, strings):
    for string in strings:
        if "\0" in string:
            raise ValueError("a string with a NUL")
    return pack(kind, channel, "".join(string + "\0" for string in strings).encode(errors="surrogateescape"))


def strings(payload):
    if not payload.endswith(b"\0"):
        raise ProtocolError("strings without an end")
    return payload[:-1].decode(errors="surrogateescape").split("\0")


class Decoder:
    """Bytes in, whole frames out."""

    def __init__(self):
        self._held = bytearray()

    def feed(self, data):
        self._held += data
        found = []
        start = 0
        while len(self._held) - start >= HEADER.size:
            kind, channel, length = HEADER.unpack_from(self._held, start)
            if length > MAX_PAYLOAD:
                raise ProtocolError(f"a frame of {length} bytes")
            end = start + HEADER.size + length
            if len(self._held) < end:
                break
            found.append((kind, channel, bytes(self._held[start + HEADER.size:end])))
            start = end
        del self._held[:start]
        return found
