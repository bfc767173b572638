"""The other side of a session's socket: lab exec, shell, kill, cut, mend, status, down."""
import fcntl
import os
import selectors
import signal
import socket
import struct
import sys
import termios
import tty

from . import frames, places
from .errors import LabError, STATUS_LAB
from .guest import READ_BYTES
from .terminal import Lines, Speaker, write_all


def connect(session):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(places.control_socket(session))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise LabError(f"no session \"{session}\" is up; start it with: lab up") from error
    return connection


class Exchange:
    """One request and what comes back."""

    def __init__(self, session, request, write):
        self.connection = connect(session)
        self.connection.sendall(frames.pack_strings(frames.REQUEST, 0, request))
        self.decoder = frames.Decoder()
        self.write = write  # (kind, data)
        self.status = None
        self.credit = frames.WINDOW_BYTES

    def send(self, kind, payload):
        try:
            self.connection.sendall(frames.pack(kind, 0, payload))
        except ConnectionError:  # what came before it is still to be read
            pass

    def receive(self):
        try:
            data = self.connection.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self.status = STATUS_LAB
            Speaker.warn("the session has ended")
            return
        for kind, _, payload in self.decoder.feed(data):
            if kind in (frames.STDOUT, frames.STDERR):
                self.write(kind, payload)
                self.send(frames.TAKEN, frames.COUNT.pack(len(payload)))
            elif kind == frames.FED:
                self.credit += frames.COUNT.unpack(payload)[0]
            elif kind == frames.FAILED:
                Speaker.warn(payload.decode(errors="replace"))
            elif kind == frames.EXIT:
                self.status = payload[0]
                return


def plain(kind, data):
    write_all(1 if kind == frames.STDOUT else 2, data)


def ask(session, *request):
    exchange = Exchange(session, request, plain)
    while exchange.status is None:
        exchange.receive()
    return exchange.status


def exec_request(node, command, variables, is_tty):
    return ["exec", node, "tty" if is_tty else "", os.getcwd(), str(len(command)), *command,
            *(f"{name}={value}" for name, value in variables.items())]


def run_on_one(session, node, command, variables, is_tty=False):
    """Standard input, output and error are the command's; with a terminal, raw and of the same size."""
    exchange = Exchange(session, exec_request(node, command, variables, is_tty), plain)
    # Not epoll, which takes no plain file for an input.
    with selectors.PollSelector() as selector:
        selector.register(exchange.connection, selectors.EVENT_READ)
        stdin_open = True
        while exchange.status is None:
            watch_stdin(selector, stdin_open and exchange.credit > 0)
            for key, _ in selector.select():
                if key.fileobj == 0:
                    data = os.read(0, min(exchange.credit, READ_BYTES))
                    exchange.send(frames.STDIN, data)
                    exchange.credit -= len(data)
                    stdin_open = bool(data)
                else:
                    exchange.receive()
    return exchange.status


def watch_stdin(selector, wanted):
    watched = 0 in selector.get_map()
    if wanted and not watched:
        selector.register(0, selectors.EVENT_READ)
    elif watched and not wanted:
        selector.unregister(0)


def shell(session, node, variables):
    if not os.isatty(0):
        raise LabError("lab shell needs a terminal; without one: lab exec NODE -- COMMAND", 2)
    before = termios.tcgetattr(0)

    def window():
        return struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]

    rows, columns = window()
    command = ["/bin/sh", "-c", f"stty rows {rows} cols {columns} 2>/dev/null; exec ${{SHELL:-/bin/bash}} -i"]
    signal.signal(signal.SIGWINCH, lambda number, frame: None)
    tty.setraw(0)
    try:
        return run_on_one(session, node, command, variables, is_tty=True)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def run_on_all(session, nodes, command, variables):
    """Lines with the node's name in front; the worst status."""
    with selectors.DefaultSelector() as selector:
        exchanges, streams = [], []
        for node in range(nodes):
            name = f"node{node}"
            lines = {frames.STDOUT: Lines(name, 1), frames.STDERR: Lines(name, 2)}
            exchange = Exchange(session, exec_request(name, command, variables, False),
                                lambda kind, data, lines=lines: lines[kind].feed(data))
            exchange.send(frames.STDIN, b"")
            selector.register(exchange.connection, selectors.EVENT_READ, exchange)
            exchanges.append(exchange)
            streams += lines.values()
        while any(exchange.status is None for exchange in exchanges):
            for key, _ in selector.select():
                key.data.receive()
                if key.data.status is not None:
                    selector.unregister(key.fileobj)
    for lines in streams:
        lines.finish()
    sys.stdout.flush()
    return max(exchange.status for exchange in exchanges)
