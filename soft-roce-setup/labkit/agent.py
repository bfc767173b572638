"""The first process of a guest once its root is there: runs commands for the lab and reaps what they leave.

It speaks frames over a virtio-serial port. Start-up under emulation is dear, so it imports little.
"""
import fcntl
import os
import select
import signal
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import frames  # noqa: E402  pylint: disable=wrong-import-position

PORT_NAME = "covey.lab"
SYNC_FIFO = "/run/lab/sync"
BASE_ENVIRONMENT = {"PATH": "/run/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
CHUNK = 65536
CHUNKS_OF_A_PIPE = 16  # its default capacity is one, its most as an ordinary user these


def open_port():
    folder = "/sys/class/virtio-ports"
    for port in os.listdir(folder):
        with open(f"{folder}/{port}/name", encoding="ascii") as file:
            if file.read().strip() == PORT_NAME:
                return os.open(f"/dev/{port}", os.O_RDWR | os.O_CLOEXEC)
    raise RuntimeError(f"no virtio port is called {PORT_NAME}")


class Job:
    """One command: its process and the descriptors that feed and drain it."""

    def __init__(self, channel, pid, stdin, outputs):
        self.channel = channel
        self.pid = pid
        self.stdin = stdin
        self.outputs = outputs  # descriptor: kind of frame
        self.unwritten = bytearray()
        self.stdin_ended = False
        self.untaken_bytes = 0
        self.paused = False


def run_child(arguments, folder, environment, tty, descriptors):
    """In the child: never returns."""
    try:
        os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(folder)
        os.execvpe(arguments[0], arguments, environment)
    except OSError as error:
        status = 126 if isinstance(error, PermissionError) else 127
        os.write(2, f"{arguments[0]}: {error.strerror}{': ' + error.filename if error.filename else ''}\n".encode())
        os._exit(status)
    finally:
        os._exit(125)


class Agent:
    def __init__(self):
        self.port = open_port()
        self.decoder = frames.Decoder()
        self.poll = select.poll()
        self.jobs = {}       # channel: Job
        self.by_output = {}  # descriptor: Job
        self.by_stdin = {}
        self.leftovers = set()  # outputs that a command's own background processes still hold
        self.syncs = {}      # channel: path of the fifo that waits for the answer
        self.next_sync = 1
        self.environment = dict(BASE_ENVIRONMENT)
        self.setup = None
        self.setup_said = bytearray()
        self.wake, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        os.mkfifo(SYNC_FIFO)
        # Held open for writing too: otherwise it would be at its end whenever no lab-sync writes.
        self.sync = os.open(SYNC_FIFO, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self.sync_held = b""
        for descriptor in (self.port, self.wake, self.sync):
            self.poll.register(descriptor, select.POLLIN)

    def send(self, kind, channel=0, payload=b""):
        data = memoryview(frames.pack(kind, channel, payload))
        while data:
            data = data[os.write(self.port, data):]

    # Commands

    def start(self, channel, arguments, folder, environment, tty):
        if tty:
            master, slave = os.openpty()
            os.set_inheritable(master, False)
            child_ends, stdin, outputs = (slave, slave, slave), master, {master: frames.STDOUT}
        else:
            in_read, stdin = os.pipe2(os.O_CLOEXEC)
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            err_read, err_write = os.pipe2(os.O_CLOEXEC)
            child_ends, outputs = (in_read, out_write, err_write), {out_read: frames.STDOUT, err_read: frames.STDERR}
        pid = os.fork()
        if pid == 0:
            run_child(arguments, folder, environment, tty, child_ends)
        for descriptor in set(child_ends):
            os.close(descriptor)
        job = Job(channel, pid, stdin, outputs)
        os.set_blocking(stdin, False)
        self.jobs[channel] = job
        for descriptor in outputs:
            os.set_blocking(descriptor, False)
            self.by_output[descriptor] = job
            self.poll.register(descriptor, select.POLLIN)
        return job

    def feed(self, job, data):
        if job.stdin is None:
            return
        if not data:
            job.stdin_ended = True
        job.unwritten += data
        self.write_stdin(job)

    def write_stdin(self, job):
        try:
            while job.unwritten:
                written = os.write(job.stdin, job.unwritten)
                del job.unwritten[:written]
                self.send(frames.FED, job.channel, frames.COUNT.pack(written))
        except BlockingIOError:
            self.by_stdin[job.stdin] = job
            if job.stdin in self.by_output:
                self.watch_outputs(job)
            else:
                self.poll.register(job.stdin, select.POLLOUT)
            return
        except OSError:
            job.unwritten.clear()
            job.stdin_ended = True
        self.by_stdin.pop(job.stdin, None)
        if job.stdin in self.by_output:
            self.watch_outputs(job)
            return
        try:
            self.poll.unregister(job.stdin)
        except KeyError:
            pass
        if job.stdin_ended:
            os.close(job.stdin)
            job.stdin = None

    def drain(self, job, descriptor, to_end):
        """One chunk, or what a pipe can hold."""
        for _ in range(CHUNKS_OF_A_PIPE if to_end else 1):
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return
            except OSError:  # a terminal whose other side is closed
                data = b""
            if not data:
                self.forget_output(job, descriptor)
                return
            if job is self.setup:
                self.setup_said += data
            else:
                self.send(job.outputs[descriptor], job.channel, data)
                job.untaken_bytes += len(data)
        if not to_end and job.untaken_bytes >= frames.WINDOW_BYTES and not job.paused:
            job.paused = True
            self.watch_outputs(job)

    def watch_outputs(self, job):
        for descriptor in job.outputs:
            events = 0 if job.paused else select.POLLIN
            self.poll.register(descriptor, events | (select.POLLOUT if descriptor in self.by_stdin else 0))

    def taken(self, job, count):
        job.untaken_bytes -= count
        if job.paused and job.untaken_bytes < frames.WINDOW_BYTES:
            job.paused = False
            self.watch_outputs(job)

    def forget_output(self, job, descriptor):
        del self.by_output[descriptor]
        job.outputs.pop(descriptor)
        self.poll.unregister(descriptor)
        if descriptor == job.stdin:
            self.by_stdin.pop(descriptor, None)
            job.stdin = None
        os.close(descriptor)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for job in list(self.jobs.values()):
                if job.pid == pid:
                    self.finish(job, os.waitstatus_to_exitcode(status))

    def finish(self, job, code):
        for descriptor in list(job.outputs):
            self.drain(job, descriptor, to_end=True)
        # What is still open belongs to background processes of the command: they may write on, and nobody reads.
        for descriptor in job.outputs:
            del self.by_output[descriptor]
            self.leftovers.add(descriptor)
            self.poll.register(descriptor, select.POLLIN)
        if job.stdin is not None and job.stdin not in self.leftovers:
            if self.by_stdin.pop(job.stdin, None):
                self.poll.unregister(job.stdin)
            os.close(job.stdin)
        del self.jobs[job.channel]
        status = code if code >= 0 else 128 - code
        if job is not self.setup:
            self.send(frames.EXIT, job.channel, bytes([status]))
        elif status == 0:
            self.send(frames.READY)
        else:
            self.send(frames.FAILED, 0, bytes(self.setup_said[-4096:]) or b"setup-guest failed without a word")

    # Barriers

    def read_syncs(self):
        self.sync_held += os.read(self.sync, CHUNK)
        *lines, self.sync_held = self.sync_held.split(b"\n")
        for line in lines:
            pid, name = line.split(b" ", 1)
            self.syncs[self.next_sync] = f"/run/lab/sync.{int(pid)}"
            self.send(frames.SYNC, self.next_sync, name)
            self.next_sync += 1

    def answer_sync(self, channel, reason):
        path = self.syncs.pop(channel, None)
        if path is None:
            return
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # lab-sync was killed
            return
        os.write(fifo, (reason or "ok").encode() + b"\n")
        os.close(fifo)

    # The loop

    def handle(self, kind, channel, payload):
        if kind == frames.PING:
            self.send(frames.PONG)
        elif kind == frames.CONFIGURE:
            self.environment.update(string.split("=", 1) for string in frames.strings(payload))
            self.setup = self.start(0, ["/run/lab/bin/setup-guest"], "/", self.environment, False)
            self.feed(self.setup, b"")
        elif kind == frames.START:
            tty, folder, count, *rest = frames.strings(payload)
            arguments, variables = rest[:int(count)], rest[int(count):]
            environment = {**self.environment, **dict(variable.split("=", 1) for variable in variables)}
            self.start(channel, arguments, folder, environment, bool(tty))
        elif kind == frames.SYNCED:
            self.answer_sync(channel, frames.strings(payload)[0])
        elif kind == frames.FLUSH:
            os.sync()
            self.send(frames.FLUSHED)
        elif channel in self.jobs:
            self.handle_job(kind, self.jobs[channel], payload)

    def handle_job(self, kind, job, payload):
        if kind == frames.STDIN:
            self.feed(job, payload)
        elif kind == frames.TAKEN:
            self.taken(job, frames.COUNT.unpack(payload)[0])
        elif kind == frames.SIGNAL:
            try:
                os.killpg(job.pid, payload[0])
            except ProcessLookupError:
                pass
        elif kind == frames.WINDOW and job.stdin is not None:
            rows, columns = (int(string) for string in frames.strings(payload))
            termios.tcsetwinsize(job.stdin, (rows, columns))

    def run(self):
        while True:
            for descriptor, event in self.poll.poll():
                if descriptor == self.port:
                    for frame in self.decoder.feed(os.read(self.port, CHUNK)):
                        self.handle(*frame)
                elif descriptor == self.wake:
                    os.read(self.wake, CHUNK)
                    self.reap()
                elif descriptor == self.sync:
                    self.read_syncs()
                elif descriptor in self.by_stdin and event & (select.POLLOUT | select.POLLERR):
                    self.write_stdin(self.by_stdin[descriptor])
                elif descriptor in self.by_output:
                    self.drain(self.by_output[descriptor], descriptor, to_end=False)
                elif descriptor in self.leftovers:
                    self.discard(descriptor)

    def discard(self, descriptor):
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.leftovers.discard(descriptor)
            self.poll.unregister(descriptor)
            os.close(descriptor)


if __name__ == "__main__":
    Agent().run()
