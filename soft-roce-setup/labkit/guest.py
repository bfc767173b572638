"""One guest: its machine, the channel to its agent, and the commands that run in it."""
import os
import re
import selectors
import signal
import socket
import time

from . import frames, links, machine
from .errors import LabError

BOOTING, READY, LOST = "booting", "ready", "lost"
CONSOLE_TAIL_LINES = 15
READ_BYTES = 65536


class Guest:
    """Its owner watches the channel and the pidfd, and calls what belongs to an event."""

    def __init__(self, node, folder):
        self.node = node
        self.name = f"node{node}"
        self.folder = os.path.join(folder, self.name)
        self.out = os.path.join(folder, "out", self.name)
        os.makedirs(self.folder)
        os.makedirs(self.out)
        self.state = BOOTING
        self.lost_reason = None
        self.cut_off = False  # on request
        self.last_heard = time.monotonic()
        self.jobs = {}  # channel: Job
        self.unsent = bytearray()
        self.decoder = frames.Decoder()
        self.process = self.pidfd = self.channel = None

    def start(self, base_command, link):
        self.channel, far = socket.socketpair()
        self.channel.setblocking(False)
        end = link.guest_end(self.node)
        command = machine.guest_command(base_command, self.folder, self.out, far.fileno(), end.fileno(), links.mac(self.node))
        self.process = machine.start(command, self.folder, [far.fileno(), end.fileno()])
        far.close()
        self.pidfd = os.pidfd_open(self.process.pid)

    def send(self, data):
        """Queued here where the guest does not take it at once; the owner calls send_unsent when it does again."""
        if self.state == LOST:
            return
        self.unsent += data
        self.send_unsent()

    def send_unsent(self):
        try:
            while self.unsent:
                del self.unsent[:self.channel.send(self.unsent)]
        except BlockingIOError:
            pass
        except ConnectionError:  # its end is told by the pidfd
            self.unsent.clear()

    def wanted_events(self):
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)

    def receive(self):
        """Frames that have arrived; None at the end of the channel."""
        try:
            data = self.channel.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not data:
            return None
        self.last_heard = time.monotonic()
        return self.decoder.feed(data)

    def power_off(self):
        """As by pulling the plug."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def console(self):
        try:
            with open(os.path.join(self.folder, "console"), encoding="utf-8", errors="replace") as file:
                return file.read().replace("\r", "")
        except FileNotFoundError:
            return ""

    def qemu_said(self):
        with open(os.path.join(self.folder, "qemu"), encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    def cause_of_death(self):
        """Once QEMU has ended without being asked to."""
        panic = re.search(r"Kernel panic - not syncing: (.*)", self.console())
        if panic:
            return f"kernel panic: {panic.group(1)}"
        status = self.process.wait()
        if status == 0:
            return "powered itself off or restarted"
        if status < 0:
            return f"its QEMU was killed by signal {-status}"
        return f"its QEMU ended with status {status}: {self.qemu_said()}"

    def console_tail(self):
        # What led to a panic stands before it, and what follows is a trace.
        before_trace = re.split(r"(?<=Kernel panic)(?= - not syncing)", self.console())[0]
        lines = before_trace.splitlines()[-CONSOLE_TAIL_LINES:]
        return "".join(f"\n  {self.name} console: {line}" for line in lines)

    def close(self):
        self.power_off()
        if self.channel:
            self.channel.close()
        if self.pidfd is not None:
            os.close(self.pidfd)


class Job:
    """A command in a guest. on_output(kind of frame, data); on_exit(status, why it was lost or None)."""

    def __init__(self, channel, guest, on_output, on_exit):
        self.channel = channel
        self.guest = guest
        self.on_output = on_output
        self.on_exit = on_exit
        self.on_fed = None

    def taken(self, count):
        self.guest.send(frames.pack(frames.TAKEN, self.channel, frames.COUNT.pack(count)))


def environment(node, nodes, netem):
    """What every process of a guest finds."""
    return {
        "LAB_NODE": str(node), "LAB_NODES": str(nodes), "LAB_ADDRESS": links.address(node),
        "LAB_PEERS": " ".join(links.address(peer) for peer in range(nodes) if peer != node),
        "LAB_RDMA_DEVICE": "rxe0", "LAB_OUT": "/run/lab/out", "LAB_PREFIX": links.ADDRESS_PREFIX,
        "LAB_MTU": str(machine.MTU), "LAB_NETEM": netem,
    }


def start_payload(channel, arguments, folder, variables, tty):
    fields = ["tty" if tty else "", folder, str(len(arguments)), *arguments, *(f"{name}={value}" for name, value in variables.items())]
    try:
        data = frames.pack_strings(frames.START, channel, fields)
    except ValueError as error:
        raise LabError("a command or its environment contains a NUL", 2) from error
    if len(data) > frames.MAX_PAYLOAD:
        raise LabError("a command and its environment are longer than 1 MiB", 2)
    return data
