"""The network between the guests: frames in datagrams over socket pairs, so that no address, file or privilege is needed.

Two guests have the two ends of one pair. More have a pair each to a switch, a process of the lab's.
"""
import ctypes
import errno
import os
import selectors
import socket
import struct

from . import processes

MAX_FRAME = 65536
QUEUE_FRAMES = 1024
BUFFER_BYTES = 4 << 20
ADDRESS_PREFIX = "10.77.0"
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
BROADCAST_BIT = 1
COMMAND = struct.Struct("!cBB")


def mac(node):
    return f"52:54:00:c0:0e:{node + 1:02x}"


def address(node):
    return f"{ADDRESS_PREFIX}.{node + 1}"


def datagram_pair():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return pair


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def drop_what_arrives(end):
    """A socket filter that accepts no byte: the sender notices nothing, as with a cable that is cut further on."""
    instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    program = _FilterProgram(1, ctypes.cast(instruction, ctypes.c_void_p))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


def accept_what_arrives(end):
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, b"\0\0\0\0")
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


class DirectLink:
    """Between two guests."""

    pidfd = None  # no process

    def __init__(self):
        self.ends = datagram_pair()
        self.dead = set()
        self.is_cut = False

    def guest_end(self, node):
        return self.ends[node]

    def _apply(self):
        for node, end in enumerate(self.ends):
            # What arrives at a guest that is off would fill its buffer, and the other would wait for room.
            if self.is_cut or node in self.dead:
                drop_what_arrives(end)
            else:
                accept_what_arrives(end)

    def set_cut(self, _first, _second, is_cut):
        self.is_cut = is_cut
        self._apply()

    def remove(self, node):
        self.dead.add(node)
        self._apply()

    def close(self):
        for end in self.ends:
            end.close()


class SwitchedLinks:
    """Any number of guests at a switch in a process of its own, so that nothing else delays the frames."""

    def __init__(self, nodes, log):
        self.log = log
        pairs = [datagram_pair() for _ in range(nodes)]
        self.ends = [pair[0] for pair in pairs]
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            processes.run_forked(lambda: Switch([pair[1] for pair in pairs], control).run(),
                                 keep=[pair[1].fileno() for pair in pairs] + [control.fileno()], parent=parent, log=log)
        self.pidfd = os.pidfd_open(self.pid)
        control.close()
        for pair in pairs:
            pair[1].close()

    def guest_end(self, node):
        return self.ends[node]

    def _command(self, letter, first, second):
        self.control.send(COMMAND.pack(letter, first, second))
        # Its answer says that no frame of before is on its way any more.
        self.control.recv(1)

    def set_cut(self, first, second, is_cut):
        self._command(b"c" if is_cut else b"m", first, second)

    def remove(self, node):
        self._command(b"r", node, node)

    def failure(self):
        """Once its process has ended by itself: what it said."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    def close(self):
        self.control.close()
        for end in self.ends:
            end.close()
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)


class Switch:
    """Forwards frames by the addresses that it has learnt, between ports that are not cut from each other."""

    def __init__(self, ports, control):
        self.ports = ports
        self.control = control
        self.port_of = {}  # MAC address: number of the port behind which it was seen
        self.cut = set()   # pairs of numbers, both ways round
        self.removed = set()
        self.waiting = [[] for _ in ports]  # frames for a port whose buffer is full
        self.selector = selectors.DefaultSelector()
        for number, port in enumerate(ports):
            port.setblocking(False)
            self.selector.register(port, selectors.EVENT_READ, number)
        self.selector.register(control, selectors.EVENT_READ, None)

    def run(self):
        while True:
            for key, events in self.selector.select():
                if key.data is None:
                    if not self.obey():
                        return
                    continue
                if key.data in self.removed:
                    continue
                if events & selectors.EVENT_WRITE:
                    self.send_waiting(key.data)
                if events & selectors.EVENT_READ:
                    self.forward_from(key.data)

    def obey(self):
        command = self.control.recv(COMMAND.size)
        if not command:
            return False
        letter, first, second = COMMAND.unpack(command)
        if letter == b"c":
            self.cut |= {(first, second), (second, first)}
        elif letter == b"m":
            self.cut -= {(first, second), (second, first)}
        elif first not in self.removed:
            self.removed.add(first)
            self.waiting[first].clear()
            self.selector.unregister(self.ports[first])
        self.control.send(b"k")
        return True

    def forward_from(self, number):
        # Not without end: the other ports have their turn.
        for _ in range(64):
            try:
                frame = self.ports[number].recv(MAX_FRAME)
            except BlockingIOError:
                return
            except ConnectionError:
                return
            if len(frame) < 14:
                continue
            self.port_of[frame[6:12]] = number
            known = None if frame[0] & BROADCAST_BIT else self.port_of.get(frame[:6])
            targets = range(len(self.ports)) if known is None else (known,)
            for target in targets:
                if target != number and target not in self.removed and (number, target) not in self.cut:
                    self.send_to(target, frame)

    def send_to(self, target, frame):
        waiting = self.waiting[target]
        if not waiting:
            try:
                self.ports[target].send(frame)
                return
            except BlockingIOError:
                self.selector.modify(self.ports[target], selectors.EVENT_READ | selectors.EVENT_WRITE, target)
            except ConnectionError:
                return
        # A switch drops what finds no room.
        if len(waiting) < QUEUE_FRAMES:
            waiting.append(frame)

    def send_waiting(self, target):
        waiting = self.waiting[target]
        sent = 0
        try:
            for frame in waiting:
                self.ports[target].send(frame)
                sent += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            sent = len(waiting)
        del waiting[:sent]
        if not waiting:
            self.selector.modify(self.ports[target], selectors.EVENT_READ, target)


def connect(nodes, folder):
    return DirectLink() if nodes == 2 else SwitchedLinks(nodes, os.path.join(folder, "switch"))
